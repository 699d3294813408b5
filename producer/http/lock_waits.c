/* Requests that wait for a lock. */
#include "producer/http/lock_waits.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/locks.h"
#include "common/mem.h"
#include "producer/http/inbox.h"

enum {
    LOOK_MS = 100, /* between two rounds, at the least */
    REST = 4,      /* a round is followed by a rest of so many times as long as it took */
    MAX_WAITS = 1000
};

typedef struct waiter {
    jm_inbox_item item;
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
    jm_inbox inbox; /* in the order in which they came */
};

static waiter *first(const jm_lock_waits *waits)
{
    return (waiter *)waits->inbox.held;
}

static waiter *after(const waiter *w)
{
    return (waiter *)w->item.next;
}

static void free_waiter(waiter *w)
{
    free(w->project);
    free(w->name);
    free(w->owner);
    free(w);
}

static void end_waiter(waiter *w)
{
    if (w->lock)
        jm_req_ok(w->req, w->lock);
    else
        jm_req_fail(w->req, &w->err);
    jm_req_finish(w->req);
    free_waiter(w);
}

/* ---- a round ---- */

/* Whether somebody before it wants the same lock and did not get it: then neither does it. */
static const waiter *ahead_of(const waiter *list, const waiter *w)
{
    for (const waiter *o = list; o != w; o = after(o))
        if (!o->lock && !strcmp(o->name, w->name) && !strcmp(o->project, w->project))
            return o;
    return NULL;
}

static void try_all(waiter *list, jm_pg *pg)
{
    for (waiter *w = list; w; w = after(w)) {
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

static void do_round(jm_lock_waits *waits)
{
    waiter *list = first(waits);
    jm_pg *pg = NULL;
    jm_err err;
    int rc = jm_pg_pool_lend(waits->pool, &pg, &err);
    if (!rc) {
        try_all(list, pg);
        jm_pg_pool_give_back(waits->pool, pg);
    }
    for (waiter *w = list; w; w = after(w)) {
        if (rc)
            w->err = err;
        w->over = w->lock || !may_wait(&w->err) || jm_mono_ms() >= w->until_ms;
    }
}

static bool keep(void *ctx, jm_inbox_item *item)
{
    waiter *w = (waiter *)item;
    (void)ctx;
    bool over = w->over;
    if (over)
        end_waiter(w);
    return !over;
}

static bool stop(void *ctx, jm_inbox_item *item)
{
    waiter *w = (waiter *)item;
    (void)ctx;
    jm_err_set(&w->err, JM_ERR_CLOSED, "the program is stopping");
    end_waiter(w);
    return false;
}

static void run(void *ctx)
{
    jm_lock_waits *waits = ctx;
    while (jm_inbox_take(&waits->inbox, 0)) {
        int64_t began_ms = jm_mono_ms();
        do_round(waits);
        jm_inbox_sift(&waits->inbox, keep, NULL);
        int64_t ended_ms = jm_mono_ms(), rest_ms = REST * (ended_ms - began_ms);
        if (waits->inbox.held)
            jm_inbox_rest(&waits->inbox, ended_ms + (rest_ms > LOOK_MS ? rest_ms : LOOK_MS));
    }
    jm_inbox_sift(&waits->inbox, stop, NULL);
}

/* ---- requests ---- */

static waiter *new_waiter(jm_req *req, const jm_lock_wish *wish)
{
    waiter *w = jm_calloc(1, sizeof *w);
    w->req = req;
    w->project = jm_strdup(wish->project);
    w->name = jm_strdup(wish->name);
    w->owner = jm_strdup(wish->owner);
    w->ttl_s = wish->ttl_s;
    w->until_ms = jm_mono_ms() + (int64_t)(wish->wait_s * 1000);
    return w;
}

void jm_lock_waits_add(jm_lock_waits *waits, jm_req *req, const jm_lock_wish *wish)
{
    waiter *w = new_waiter(req, wish);
    jm_req_defer(req);
    if (jm_inbox_add(&waits->inbox, &w->item))
        return;
    jm_req_problem(req, 503, "busy", NULL, "too many wait for locks already");
    jm_req_finish(req);
    free_waiter(w);
}

jm_lock_waits *jm_lock_waits_new(jm_pg_pool *pool)
{
    jm_lock_waits *waits = jm_calloc(1, sizeof *waits);
    waits->pool = pool;
    jm_inbox_init(
        &waits->inbox,
        &(jm_inbox_options){.name = "jm-locks", .run = run, .ctx = waits, .max = MAX_WAITS});
    return waits;
}

void jm_lock_waits_stop(jm_lock_waits *waits)
{
    jm_inbox_stop(&waits->inbox);
    jm_inbox_join(&waits->inbox);
}

void jm_lock_waits_free(jm_lock_waits *waits)
{
    if (!waits)
        return;
    jm_lock_waits_stop(waits);
    jm_inbox_fini(&waits->inbox);
    free(waits);
}
