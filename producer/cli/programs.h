/* Other programs, for commands that run them: each in a process group of its own, so that Ctrl-C
 * reaches the command alone, and none outlives it. The caller has blocked SIGINT, SIGTERM and
 * SIGCHLD. */
#ifndef JM_CLI_PROGRAMS_H
#define JM_CLI_PROGRAMS_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct jm_cli_program {
    const char *name; /* for messages */
    pid_t pid;        /* 0: does not run */
    int stop_signal;  /* asks it to end */
    const char *user; /* that runs it; NULL: the same as this one */
    const char *log;  /* file that its output is added to; NULL: where this one's goes */
} jm_cli_program;

/* Where a program of jobmill is: beside this one, else its name alone, to be looked for in PATH. */
void jm_cli_program_find(const char *name, char path[PATH_MAX]);

/* Starts it with argv[0] as its path. -1 with errno when it cannot be forked; one that cannot be
 * executed says so and ends with 127. */
int jm_cli_program_start(jm_cli_program *program, char *const *argv);
/* 1 once it has ended, with *status as waitpid() gives it; 0 while it runs. */
int jm_cli_program_ended(jm_cli_program *program, int *status);
/* Runs it to its end. Its exit status, 128 + the signal that ended it, or -1 with errno. */
int jm_cli_program_run(jm_cli_program *program, char *const *argv);
/* Waits at most ms for SIGINT, SIGTERM or the end of a child; the signal, or 0. */
int jm_cli_program_signal(int ms);
/* Asks it to end, again for each SIGINT or SIGTERM that arrives meanwhile, and kills it after
 * timeout_s seconds. One that does not run is left alone. */
void jm_cli_program_stop(jm_cli_program *program, int timeout_s);

#endif
