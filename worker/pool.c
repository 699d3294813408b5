/* Threads for work that blocks, and what becomes of those that do not come back. */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

enum { IDLE_S = 30, NOTES_MAX = 1000, SAY_WAIT_MS = 100 };

struct jm_pool {
    char name[16];
    int max_threads;
    jm_pool_meter *meter; /* or NULL */
    jm_queue *notes;      /* to the loop's thread */
    jm_watch *watch;

    pthread_mutex_t lock; /* of what follows; nothing else is locked while it is held */
    pthread_cond_t work, left;
    jm_chain waiting;
    int threads; /* that are not stuck */
    int idle, stuck;
    long long stuck_total;
    bool closing;
    _Atomic int refs; /* the owner, each thread and each task */
};

/* ---- ownership ---- */

static void pool_destroy(jm_pool *pool)
{
    jm_queue_free(pool->notes);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->left);
    free(pool);
}

static void pool_unref(jm_pool *pool)
{
    if (atomic_fetch_sub(&pool->refs, 1) == 1)
        pool_destroy(pool);
}

static void task_unref(jm_pool_task *task)
{
    if (atomic_fetch_sub(&task->refs, 1) > 1)
        return;
    jm_pool *pool = task->pool;
    if (task->cancel_fd >= 0)
        close(task->cancel_fd);
    task->ops->free(task);
    pool_unref(pool);
}

/* ---- from threads to the loop ---- */

static void drop_note(jm_pool_note *note)
{
    jm_pool_task *task = note->task;
    if (note != &task->end)
        free(note);
    task_unref(task);
}

static void take_note(jm_pool_note *note)
{
    jm_pool_task *task = note->task;
    if (atomic_load(&task->abandoned)) {
        drop_note(note);
    } else if (note != &task->end) {
        task->ops->take(task, note);
        drop_note(note);
    } else {
        task->ops->done(task);
        drop_note(note);
        task_unref(task); /* the loop's own */
    }
}

static void on_notes(void *ctx, uint32_t events)
{
    jm_pool *pool = ctx;
    jm_chain notes = {0};
    (void)events;
    jm_queue_pop_all(pool->notes, &notes, 0);
    for (jm_node *node; (node = jm_chain_take(&notes));)
        take_note((jm_pool_note *)node);
}

void jm_pool_say(jm_pool_task *task, jm_pool_note *note)
{
    jm_chain chain = {0};
    note->task = task;
    atomic_fetch_add(&task->refs, 1);
    jm_chain_add(&chain, &note->node);
    int rc;
    do
        rc = atomic_load(&task->abandoned)
                 ? JM_ERR_CLOSED
                 : jm_queue_push_wait(task->pool->notes, &chain, SAY_WAIT_MS);
    while (rc == JM_ERR_TIMEOUT);
    if (rc)
        drop_note(note);
}

static void say_end(jm_pool_task *task)
{
    jm_chain chain = {0};
    task->end.task = task;
    atomic_fetch_add(&task->refs, 1);
    jm_chain_add(&chain, &task->end.node);
    if (jm_queue_push(task->pool->notes, &chain))
        task_unref(task);
}

/* ---- the threads ---- */

/* How many threads there may be that are not stuck. */
static int capacity(const jm_pool *pool)
{
    int over = pool->stuck - pool->max_threads;
    return pool->max_threads - (over > 0 ? over : 0);
}

/* Under the lock. */
static void count_stuck(jm_pool *pool, int change)
{
    pool->stuck += change;
    pool->stuck_total += change > 0;
    if (!pool->meter)
        return;
    atomic_fetch_add(&pool->meter->stuck, change);
    atomic_fetch_add(&pool->meter->stuck_total, change > 0);
}

/* The next task, or NULL when the thread is to leave. Under the lock. */
static jm_pool_task *next_task(jm_pool *pool)
{
    int64_t until_us = jm_mono_us() + IDLE_S * INT64_C(1000000);
    bool in_time = true;
    while (!pool->waiting.n && !pool->closing && in_time && pool->threads <= capacity(pool)) {
        pool->idle++;
        in_time = jm_cond_wait_until(&pool->work, &pool->lock, until_us);
        pool->idle--;
    }
    if (pool->threads > capacity(pool))
        return NULL;
    return (jm_pool_task *)jm_chain_take(&pool->waiting);
}

/* Takes the lock and gives it back. */
static void work_on(jm_pool *pool, jm_pool_task *task)
{
    bool wanted = !atomic_load(&task->abandoned);
    if (wanted) {
        task->state = JM_POOL_WORKING;
        task->cancel_fd = eventfd(atomic_load(&task->cancelled), EFD_CLOEXEC | EFD_NONBLOCK);
    }
    pthread_mutex_unlock(&pool->lock);
    if (wanted)
        task->ops->work(task);
    pthread_mutex_lock(&pool->lock);
    bool was_stuck = task->state == JM_POOL_STUCK;
    task->state = JM_POOL_OVER;
    if (was_stuck) {
        count_stuck(pool, -1);
        pool->threads++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (was_stuck)
        jm_logf(JM_WARNING, pool->name, "a thread that was given up has come back");
    else if (wanted)
        say_end(task);
    task_unref(task); /* the thread's own */
    pthread_mutex_lock(&pool->lock);
}

static void *run(void *arg)
{
    jm_pool *pool = arg;
    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (jm_pool_task *task; (task = next_task(pool));)
        work_on(pool, task);
    pool->threads--;
    pthread_cond_broadcast(&pool->left);
    pthread_mutex_unlock(&pool->lock);
    pool_unref(pool);
    return NULL;
}

/* All signals stay with the threads that wait for them. */
static int start_thread(jm_pool *pool)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, &attr, run, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

/* One more thread where of n_waiting tasks no idle one takes all. Returns an errno; the lock is
 * held. */
static int grow(jm_pool *pool, size_t n_waiting)
{
    if ((size_t)pool->idle >= n_waiting || pool->threads >= capacity(pool))
        return 0;
    pool->threads++;
    atomic_fetch_add(&pool->refs, 1);
    int rc = start_thread(pool);
    if (rc) {
        pool->threads--;
        atomic_fetch_sub(&pool->refs, 1);
    }
    return rc;
}

/* ---- interface ---- */

int jm_pool_new(jm_loop *loop, const char *name, int max_threads, jm_pool_meter *meter,
                jm_pool **out, jm_err *err)
{
    jm_pool *pool = jm_calloc(1, sizeof *pool);
    snprintf(pool->name, sizeof pool->name, "%s", name);
    pool->max_threads = max_threads;
    pool->meter = meter;
    atomic_store(&pool->refs, 1);
    pool->notes = jm_queue_new(NOTES_MAX);
    pthread_mutex_init(&pool->lock, NULL);
    jm_cond_init(&pool->work);
    pthread_cond_init(&pool->left, NULL);
    pool->watch = jm_loop_watch(loop, jm_queue_fd(pool->notes), EPOLLIN, on_notes, pool);
    if (!pool->watch) {
        jm_err_errno(err, JM_ERR_IO, "cannot watch what the threads for %s say", name);
        pool_destroy(pool);
        return err->code;
    }
    *out = pool;
    return JM_OK;
}

/* Why no thread will ever take one more task, or JM_OK. The lock is held. */
static int check_room(jm_pool *pool, jm_err *err)
{
    if (capacity(pool) <= 0)
        return jm_err_set(err, JM_ERR_IO, "all threads for %s are stuck (%d): restart the worker",
                          pool->name, pool->stuck);
    int rc = grow(pool, pool->waiting.n + 1);
    if (!rc || pool->threads)
        return JM_OK;
    errno = rc;
    return jm_err_errno(err, JM_ERR_IO, "cannot start a thread for %s", pool->name);
}

int jm_pool_submit(jm_pool *pool, jm_pool_task *task, const jm_pool_ops *ops, jm_err *err)
{
    pthread_mutex_lock(&pool->lock);
    int rc = check_room(pool, err);
    if (!rc) {
        *task = (jm_pool_task){.ops = ops, .pool = pool, .state = JM_POOL_WAITING, .cancel_fd = -1};
        atomic_store(&task->refs, 2); /* the loop's and the thread's */
        atomic_fetch_add(&pool->refs, 1);
        jm_chain_add(&pool->waiting, &task->node);
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void jm_pool_cancel(jm_pool_task *task)
{
    pthread_mutex_lock(&task->pool->lock);
    atomic_store(&task->cancelled, true);
    if (task->cancel_fd >= 0)
        eventfd_write(task->cancel_fd, 1);
    pthread_mutex_unlock(&task->pool->lock);
}

/* No thread will ever come to them. */
static void refuse_all(jm_chain *waiting)
{
    for (jm_pool_task *task; (task = (jm_pool_task *)jm_chain_take(waiting));) {
        task->refused = true;
        say_end(task);
        task_unref(task); /* the thread's */
    }
}

bool jm_pool_abandon(jm_pool_task *task)
{
    jm_pool *pool = task->pool;
    jm_chain hopeless = {0};
    pthread_mutex_lock(&pool->lock);
    bool working = task->state == JM_POOL_WORKING;
    atomic_store(&task->abandoned, true);
    if (working) {
        task->state = JM_POOL_STUCK;
        pool->threads--;
        count_stuck(pool, 1);
        grow(pool, pool->waiting.n);
        pthread_cond_broadcast(&pool->work); /* there may be too many now */
        pthread_cond_broadcast(&pool->left);
    }
    if (capacity(pool) <= 0) {
        hopeless = pool->waiting;
        pool->waiting = (jm_chain){0};
    }
    pthread_mutex_unlock(&pool->lock);
    refuse_all(&hopeless);
    task_unref(task);
    return working;
}

bool jm_pool_is_cancelled(const jm_pool_task *task)
{
    return atomic_load(&task->cancelled);
}

int jm_pool_cancel_fd(const jm_pool_task *task)
{
    return task->cancel_fd;
}

jm_pool_counts jm_pool_get_counts(jm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    jm_pool_counts counts = {.threads = pool->threads,
                             .waiting = (int)pool->waiting.n,
                             .stuck = pool->stuck,
                             .stuck_total = pool->stuck_total};
    pthread_mutex_unlock(&pool->lock);
    return counts;
}

void jm_pool_free(jm_pool *pool)
{
    jm_chain rest = {0};
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    while (pool->threads)
        pthread_cond_wait(&pool->left, &pool->lock);
    jm_chain waiting = pool->waiting; /* abandoned ones */
    pool->waiting = (jm_chain){0};
    pool->meter = NULL;
    pthread_mutex_unlock(&pool->lock);
    for (jm_node *node; (node = jm_chain_take(&waiting));)
        task_unref((jm_pool_task *)node);
    jm_watch_free(pool->watch);
    jm_queue_close(pool->notes);
    jm_queue_pop_all(pool->notes, &rest, 0);
    for (jm_node *node; (node = jm_chain_take(&rest));)
        drop_note((jm_pool_note *)node);
    pool_unref(pool);
}
