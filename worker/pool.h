/* Threads for work that blocks: tasks in from the loop's thread, what they say and their ends back
 * to it. A thread that does not come back is given up and replaced, up to a bound. */
#ifndef JM_POOL_H
#define JM_POOL_H

#include <stdbool.h>

#include "common/queue.h"
#include "worker/loop.h"

typedef struct jm_pool jm_pool;
typedef struct jm_pool_task jm_pool_task;

/* What a task says while it works. On the heap, with this as its first member; freed by the pool.
 */
typedef struct jm_pool_note {
    jm_node node;
    jm_pool_task *task;
} jm_pool_note;

typedef struct jm_pool_ops {
    void (*work)(jm_pool_task *task); /* on a thread of the pool; may block */
    /* Loop's thread: something it said, in order. NULL: it never says anything. */
    void (*take)(jm_pool_task *task, jm_pool_note *note);
    /* Loop's thread: work has returned and all notes were taken; or task->refused: every thread is
     * stuck, and work was never called. */
    void (*done)(jm_pool_task *task);
    void (*free)(jm_pool_task *task); /* any thread: nobody uses it any more */
} jm_pool_ops;

/* Where a task is; under the pool's lock. */
typedef enum jm_pool_state {
    JM_POOL_WAITING,
    JM_POOL_WORKING,
    JM_POOL_STUCK, /* given up while it worked */
    JM_POOL_OVER
} jm_pool_state;

/* First member of what an executor keeps of a step; zeroed, then given to jm_pool_submit. All
 * members are the pool's. */
struct jm_pool_task {
    jm_node node;
    const jm_pool_ops *ops;
    jm_pool *pool;
    jm_pool_note end; /* tells the loop's thread that work has returned */
    jm_pool_state state;
    bool refused;
    _Atomic int refs;
    _Atomic bool cancelled, abandoned;
    int cancel_fd; /* eventfd, while it works; else -1 */
};

/* Counts over all pools that are given it; read by any thread. */
typedef struct jm_pool_meter {
    _Atomic int stuck;
    _Atomic long long stuck_total;
} jm_pool_meter;

/* name is that of the threads, at most 15 bytes. meter (NULL: none) must outlive the pool. As many
 * threads may be stuck as there are threads; one more, and each takes the place of one that works.
 * Loop's thread. */
int jm_pool_new(jm_loop *loop, const char *name, int max_threads, jm_pool_meter *meter,
                jm_pool **out, jm_err *err);
/* Every task has ended or been abandoned. Waits for threads that are not stuck; those that are keep
 * what they use. NULL is fine. */
void jm_pool_free(jm_pool *pool);

/* Loop's thread: has the task done as soon as a thread is free. Refused (JM_ERR_IO, the task stays
 * the caller's) when no thread is left that is not stuck, or none can be started. */
int jm_pool_submit(jm_pool *pool, jm_pool_task *task, const jm_pool_ops *ops, jm_err *err);
/* Loop's thread: asks the task to end soon. */
void jm_pool_cancel(jm_pool_task *task);
/* Loop's thread: the task's end is no longer awaited, take and done are not called any more. If it
 * is at work its thread counts as stuck until it returns, and true is returned. */
bool jm_pool_abandon(jm_pool_task *task);

/* From work. Hands a note over; waits while the loop's thread is behind. Notes of an abandoned task
 * are dropped. */
void jm_pool_say(jm_pool_task *task, jm_pool_note *note);
bool jm_pool_is_cancelled(const jm_pool_task *task);
/* Readable once the task is cancelled; the pool's. */
int jm_pool_cancel_fd(const jm_pool_task *task);

typedef struct jm_pool_counts {
    int threads, waiting, stuck;
    long long stuck_total; /* since the pool was made */
} jm_pool_counts;
jm_pool_counts jm_pool_get_counts(jm_pool *pool); /* any thread */

#endif
