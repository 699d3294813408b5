/* Requests that wait for a lock. */
#include "producer/http/lock_waits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/locks.h"
#include "common/mem.h"

enum {
    LOOK_MS = 100, /* between two rounds, at the least */
    REST = 4,      /* a round is followed by a rest of so many times as long as it took */
    MAX_WAITS = 1000
};

typedef struct waiter {
    struct waiter *next;
    jm_req *req;
    char *project, *name, *owner;
    double ttl_s;
    int64_t until_ms;
    jm_err err;   /* of the last try */
    json_t *lock; /* got */
    bool over;
} waiter;

struct jm_lock_waits {
    jm_pg_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t more;
    waiter *fresh; /* not yet taken by the thread; both in the order in which they came */
    waiter *list;  /* the thread's own */
    int n;         /* of both */
    bool stop, started;
    pthread_t thread;
};

static void end_waiter(waiter *w)
{
    if (w->lock)
        jm_req_ok(w->req, w->lock);
    else
        jm_req_fail(w->req, &w->err);
    jm_req_finish(w->req);
    free(w->project);
    free(w->name);
    free(w->owner);
    free(w);
}

/* ---- a round ---- */

/* Whether somebody before it wants the same lock and did not get it: then neither does it. */
static const waiter *ahead_of(const waiter *list, const waiter *w)
{
    for (const waiter *o = list; o != w; o = o->next)
        if (!o->lock && !strcmp(o->name, w->name) && !strcmp(o->project, w->project))
            return o;
    return NULL;
}

static void try_all(waiter *list, jm_pg *pg)
{
    for (waiter *w = list; w; w = w->next) {
        const waiter *ahead = ahead_of(list, w);
        if (ahead)
            w->err = ahead->err;
        else
            (void)jm_locks_acquire(pg, w->project, w->name, w->owner, w->ttl_s, 0, &w->lock,
                                   &w->err);
    }
}

/* What can become otherwise by waiting. */
static bool may_wait(const jm_err *err)
{
    return err->code == JM_ERR_CONFLICT || err->code == JM_ERR_DB_DOWN ||
           err->code == JM_ERR_TIMEOUT || err->retriable;
}

static void do_round(jm_lock_waits *waits, waiter *list)
{
    jm_pg *pg = NULL;
    jm_err err;
    int rc = jm_pg_pool_lend(waits->pool, &pg, &err);
    if (!rc) {
        try_all(list, pg);
        jm_pg_pool_give_back(waits->pool, pg);
    }
    for (waiter *w = list; w; w = w->next) {
        if (rc)
            w->err = err;
        w->over = w->lock || !may_wait(&w->err) || jm_mono_ms() >= w->until_ms;
    }
}

/* Ends those that are over; gives the others, in their order, and how many have ended. */
static waiter *settle(waiter *list, int *ended)
{
    waiter *kept = NULL, **end = &kept;
    while (list) {
        waiter *w = list;
        list = w->next;
        w->next = NULL;
        if (w->over) {
            end_waiter(w);
            (*ended)++;
        } else {
            *end = w;
            end = &w->next;
        }
    }
    return kept;
}

/* ---- the thread ---- */

static void append(waiter **list, waiter *more)
{
    while (*list)
        list = &(*list)->next;
    *list = more;
}

/* Takes what has come, behind those that have waited; false: it is time to end. Waits while there
 * is nobody, and otherwise until the next round. */
static bool take_fresh(jm_lock_waits *waits, int64_t rest_ms)
{
    int64_t until_ms = jm_mono_ms() + rest_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&waits->lock);
    while (!waits->stop && !waits->fresh && !waits->list)
        pthread_cond_wait(&waits->more, &waits->lock);
    while (!waits->stop && waits->list &&
           !pthread_cond_timedwait(&waits->more, &waits->lock, &until))
        ;
    append(&waits->list, waits->fresh);
    waits->fresh = NULL;
    bool go_on = !waits->stop;
    pthread_mutex_unlock(&waits->lock);
    return go_on;
}

static void count_off(jm_lock_waits *waits, int ended)
{
    pthread_mutex_lock(&waits->lock);
    waits->n -= ended;
    pthread_mutex_unlock(&waits->lock);
}

static void *run(void *arg)
{
    jm_lock_waits *waits = arg;
    int64_t rest_ms = LOOK_MS;
    int ended = 0;
    pthread_setname_np(pthread_self(), "jm-locks");
    while (take_fresh(waits, rest_ms)) {
        int64_t began_ms = jm_mono_ms();
        ended = 0;
        do_round(waits, waits->list);
        waits->list = settle(waits->list, &ended);
        count_off(waits, ended);
        rest_ms = REST * (jm_mono_ms() - began_ms);
        rest_ms = rest_ms > LOOK_MS ? rest_ms : LOOK_MS;
    }
    for (waiter *w = waits->list; w; w = w->next) {
        jm_err_set(&w->err, JM_ERR_CLOSED, "the program is stopping");
        w->over = true;
    }
    waits->list = settle(waits->list, &ended);
    return NULL;
}

/* ---- requests ---- */

bool jm_lock_waits_add(jm_lock_waits *waits, jm_req *req, const jm_lock_wish *wish)
{
    pthread_mutex_lock(&waits->lock);
    bool taken = !waits->stop && waits->n < MAX_WAITS;
    if (taken) {
        waiter *w = jm_calloc(1, sizeof *w);
        w->req = req;
        w->project = jm_strdup(wish->project);
        w->name = jm_strdup(wish->name);
        w->owner = jm_strdup(wish->owner);
        w->ttl_s = wish->ttl_s;
        w->until_ms = jm_mono_ms() + (int64_t)(wish->wait_s * 1000);
        jm_req_defer(req);
        append(&waits->fresh, w);
        waits->n++;
        pthread_cond_signal(&waits->more);
        if (!waits->started && pthread_create(&waits->thread, NULL, run, waits))
            abort(); /* out of threads */
        waits->started = true;
    }
    pthread_mutex_unlock(&waits->lock);
    if (!taken)
        jm_req_problem(req, 503, "busy", NULL, "too many wait for locks already");
    return taken;
}

jm_lock_waits *jm_lock_waits_new(jm_pg_pool *pool)
{
    jm_lock_waits *waits = jm_calloc(1, sizeof *waits);
    pthread_condattr_t attr;
    waits->pool = pool;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&waits->lock, NULL);
    pthread_cond_init(&waits->more, &attr);
    pthread_condattr_destroy(&attr);
    return waits;
}

void jm_lock_waits_stop(jm_lock_waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    waits->stop = true;
    pthread_cond_broadcast(&waits->more);
    bool started = waits->started;
    waits->started = false;
    pthread_mutex_unlock(&waits->lock);
    if (started)
        pthread_join(waits->thread, NULL);
}

void jm_lock_waits_free(jm_lock_waits *waits)
{
    if (!waits)
        return;
    jm_lock_waits_stop(waits);
    pthread_cond_destroy(&waits->more);
    pthread_mutex_destroy(&waits->lock);
    free(waits);
}
