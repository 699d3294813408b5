/* Runs a command while holding a lock. */
#ifndef JM_CLI_LOCK_RUN_H
#define JM_CLI_LOCK_RUN_H

#include "common/err.h"

struct jm_pg;

/* All borrowed. */
typedef struct jm_lock_run {
    struct jm_pg *pg;
    const char *project, *name, *owner;
    double ttl_s;  /* for how long the lock is held ahead */
    double wait_s; /* for it */
    char **argv;   /* NULL-terminated */
} jm_lock_run;

/* Takes the lock, runs argv, keeps the lock meanwhile, releases it. Blocks until the command has
 * ended; call it from a process with one thread. *status: the command's exit status, 128 + n for
 * signal n. Errors: as jm_locks_acquire; JM_ERR_CONFLICT when the lock was lost, after the command
 * has been ended. */
int jm_lock_run_command(const jm_lock_run *run, int *status, jm_err *err);

#endif
