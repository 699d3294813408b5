/* The helper process that forks children: made before the program has threads, told what to start
 * over a socket, it reports how each child ended, and kills all of them when its worker is gone. */
#ifndef JM_SPAWNER_H
#define JM_SPAWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "worker/loop.h"

typedef struct jm_spawner jm_spawner;

typedef struct jm_spawn_request {
    const char *const *argv;            /* NULL-terminated; argv[0] is looked up in PATH of env */
    const char *const *env;             /* NULL-terminated "NAME=value": the whole environment */
    const char *cwd;                    /* NULL: the worker's */
    const char *user;                   /* NULL: the worker's */
    const char *output_dir;             /* given to the user; or NULL */
    int fds[4];                         /* become 0, 1, 2 and 3 */
    int64_t cpu_s, memory_bytes, files; /* limits; 0: none */
} jm_spawn_request;

typedef struct jm_spawn_end {
    int status;         /* as waitpid gives it; meaningless with failed */
    const char *failed; /* what could not be done before the program ran, static; or NULL */
    int error;          /* errno of that */
} jm_spawn_end;

typedef void jm_spawn_end_fn(void *ctx, const jm_spawn_end *end);

/* Forks the helper. Call it while the process has one thread and few open files. Raises the
 * process's soft limit of descriptors; children get it as it was. */
int jm_spawner_new(jm_spawner **out, jm_err *err);
/* Kills what is running and waits for the helper. NULL is fine. */
void jm_spawner_free(jm_spawner *spawner);

/* From here on, all by the thread of the loop. */
int jm_spawner_attach(jm_spawner *spawner, jm_loop *loop, jm_err *err);
void jm_spawner_detach(jm_spawner *spawner);

/* Starts a child: a session and process group of its own, nothing inherited but fds. fds are closed
 * in any case. On success fn is called once, when the child has ended (or could not be started),
 * and what was left of its group has been killed; *id is for jm_spawner_kill until then. Does not
 * block. */
int jm_spawner_spawn(jm_spawner *spawner, const jm_spawn_request *request, jm_spawn_end_fn *fn,
                     void *ctx, uint64_t *id, jm_err *err);
/* Sends the signal to the child's group. */
void jm_spawner_kill(jm_spawner *spawner, uint64_t id, int signal);

#endif
