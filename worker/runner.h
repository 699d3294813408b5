/* The thread that runs jobs: an epoll loop, timers, and a table of step states. It knows neither
 * PostgreSQL nor Kafka. */
#ifndef JM_RUNNER_H
#define JM_RUNNER_H

#include "common/mem.h"
#include "common/queue.h"
#include "common/watchdog.h"
#include "worker/job_type.h"
#include "worker/outcome.h"

typedef struct jm_runner jm_runner;

typedef struct jm_runner_options {
    jm_queue *reports; /* where jm_report go, in chains, one push a turn of the loop */
    /* Called from the runner's thread once a turn: n jobs of that type and slot class have ended.
     */
    void (*slots_free)(void *ctx, jm_job_type *type, int n);
    void *ctx;
    const char *work_dir; /* for output directories, made if missing; NULL: $TMPDIR or /tmp */
    int kill_grace_ms;    /* between SIGTERM and SIGKILL */
    int lock_grace_ms;    /* the same for jobs that hold a lock */
    /* jm_boot_us() at which jobs that hold a lock are stopped, and no more of them started; moved
     * on by others while all is well. NULL: never. */
    const _Atomic int64_t *locks_until_us;
    int stuck_ms;    /* behind SIGKILL: a job that has not ended then is stuck; 0: 10 s */
    jm_pulse *pulse; /* beats once a turn; may be NULL */
    const struct jm_executor_env *executor_env; /* borrowed; NULL: as if all of it were unset */
} jm_runner_options;

/* Forks the spawner helper: call before the process has threads. */
int jm_runner_new(const jm_runner_options *options, jm_runner **out, jm_err *err);
int jm_runner_start(jm_runner *runner, jm_err *err); /* starts the thread */

/* Hands jobs over (any thread). Each has id, attempt, job_type (counted; the record
 * thread gives the reference back with the job) and effective max_attempts and timeout_s set.
 * For each job exactly one report with end != JM_END_NONE follows. */
int jm_runner_push(jm_runner *runner, jm_chain *jobs);
/* Stops one job (any thread): SIGTERM to its group, SIGKILL after the grace; it ends as end says
 * (JM_END_CANCELLED or JM_END_RETURNED) with error as the reason, unless it ends by itself first.
 */
void jm_runner_stop_job(jm_runner *runner, const jm_uuid *id, int attempt, jm_end end,
                        const char *error);
/* The same for every job that is running or waiting in the runner. at_once: without the grace; also
 * for those that have been asked already. */
void jm_runner_stop_all(jm_runner *runner, jm_end end, const char *error, bool at_once);
/* The definitions have been read again (any thread): processes that are kept for the next job are
 * replaced by fresh ones. */
void jm_runner_reload(jm_runner *runner);
int jm_runner_running(const jm_runner *runner); /* jobs in flight; any thread */

/* A job in flight, as /jobs shows it. */
typedef struct jm_running_job {
    jm_uuid id;
    const char *type, *queue, *project;
    const char *step; /* or NULL between steps */
    int attempt;
    int64_t started_us;                          /* monotonic */
    int64_t items_total, items_ok, items_failed; /* -1: unknown */
    bool stopping;                               /* it has been told to end */
} jm_running_job;

typedef struct jm_running_list {
    jm_arena *arena; /* holds all of it; the caller frees */
    jm_running_job *jobs;
    int n;
} jm_running_list;

/* What runs now, written down by the runner's thread between two turns: nobody waits for a lock.
 * Blocks until it is there; JM_ERR_TIMEOUT when the thread does not come to it. Any other thread.
 */
int jm_runner_list(jm_runner *runner, int timeout_ms, jm_running_list *out, jm_err *err);
/* Jobs that do not end although they were told to, or killed: now, and ever. Any thread. */
int jm_runner_stuck(const jm_runner *runner);
int64_t jm_runner_stuck_ever(const jm_runner *runner);

/* All jobs have ended: ends the thread and the helper. */
void jm_runner_free(jm_runner *runner);

#endif
