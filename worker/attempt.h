/* One attempt of a job in flight: a table of states takes it from step to step to its one end. */
#ifndef JM_ATTEMPT_H
#define JM_ATTEMPT_H

#include "worker/executor.h"
#include "worker/outcome.h"
#include "worker/runner.h"

typedef struct jm_attempt jm_attempt;

/* What the runner lends its attempts. */
typedef struct jm_attempt_env {
    jm_loop *loop;
    struct jm_spawner *spawner;
    jm_executors *executors;
    struct jm_output_dirs *output_dirs;
    int kill_grace_ms, lock_grace_ms; /* the second for jobs that hold a lock */
    int stuck_ms;                     /* behind SIGKILL */
    /* An attempt that was told to end did not (true), or has ended after all (false). */
    void (*stuck)(void *ctx, bool stuck);
    /* Takes a report. One with an end is the attempt's last: attempt is freed after the call, and
     * the runner forgets it. */
    void (*emit)(void *ctx, jm_attempt *attempt, jm_report *report);
    void *ctx;
} jm_attempt_env;

/* Where the runner lists it; embedded in the attempt, found by the runner through jm_attempt_links.
 */
typedef struct jm_attempt_links {
    jm_attempt *prev, *next;
} jm_attempt_links;

jm_attempt *jm_attempt_new(const jm_attempt_env *env, jm_job *job);
jm_attempt_links *jm_attempt_get_links(jm_attempt *attempt);
const jm_job *jm_attempt_job(const jm_attempt *attempt);
/* How it stands; strings are copied into the arena. */
void jm_attempt_describe(const jm_attempt *attempt, jm_arena *arena, jm_running_job *out);
/* Starts the first step. The attempt may be over, and gone, when this returns. */
void jm_attempt_begin(jm_attempt *attempt);
/* Asks it to end as `end` says, for the reason error. at_once: its step gets no more grace, also
 * when it was asked before. It may be gone when this returns. */
void jm_attempt_stop(jm_attempt *attempt, jm_end end, const char *error, bool at_once);

#endif
