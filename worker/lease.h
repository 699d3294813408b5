/* The thread that keeps a worker's row in workers: registration, heartbeat, announcement of job
 * types. */
#ifndef JM_LEASE_H
#define JM_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/pg.h"
#include "worker/type_dir.h"

typedef struct jm_lease jm_lease;

typedef struct jm_lease_options {
    jm_uuid worker_id;
    const char *conninfo, *schema;
    jm_db_clock *clock;
    const char *const *queues; /* NULL-terminated; borrowed */
    jm_type_dir *types;
    int concurrency;
    int lease_s;
    int lock_grace_ms; /* what jobs that hold a lock are given between SIGTERM and SIGKILL */
    /* Written after each renewal: jm_boot_us() at which such jobs must be told to stop unless there
     * is another renewal, so that they are dead before the lease can have lapsed. */
    _Atomic int64_t *locks_until_us;
    jm_pulse *pulse; /* may be NULL */
    bool auto_migrate, allow_unsafe;
    int (*running)(void *ctx);     /* jobs in flight */
    void (*registered)(void *ctx); /* the lease is there, for the first time */
    /* Somebody wants a job cancelled that this worker runs; may be said again until it ends. */
    void (*cancel)(void *ctx, const jm_uuid *id, int attempt, const char *why);
    /* After each renewal, for each queue: whether it is to be left, its topic being made anew. */
    void (*released)(void *ctx, int queue, bool released);
    void (*unusable)(
        void *ctx); /* the schema or the server is one that this program cannot run on */
    void *ctx;
} jm_lease_options;

jm_lease *jm_lease_new(const jm_lease_options *options);
int jm_lease_start(jm_lease *lease, jm_err *err);
bool jm_lease_is_up(jm_lease *lease);         /* the last renewal succeeded */
int64_t jm_lease_renewed_ms(jm_lease *lease); /* when, monotonic; 0: never */
void jm_lease_set_stopping(jm_lease *lease);  /* shown in workers.state */
void jm_lease_renew_now(jm_lease *lease);     /* job types have changed, or jobs are cancelled */
/* Ends the thread. release: marks the worker as stopped if it can, within two seconds; otherwise
 * the lease runs out by itself, so that what is in the worker's spool may still be recorded. */
void jm_lease_stop(jm_lease *lease, bool release);
void jm_lease_free(jm_lease *lease);

#endif
