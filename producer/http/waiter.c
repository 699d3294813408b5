/* Requests whose answer is held until a job has ended: one question for all of them. */
#include "producer/http/waiter.h"

#include <limits.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/pg.h"
#include "producer/http/inbox.h"
#include "producer/service/jobs.h"

enum { LOOK_MS = 100, AWAY_MS = 5000 /* past its time, while the database is away */ };

typedef struct wait {
    jm_inbox_item item;
    jm_req *req;
    jm_uuid id;
    int status;
    int64_t until_ms;
    bool last; /* the next look is the last */
    bool over;
} wait;

struct jm_waiter {
    jm_pg *pg;
    jm_inbox inbox;
    int rc; /* of the last look, with err */
    jm_err err;
};

static wait *first(const jm_waiter *waiter)
{
    return (wait *)waiter->inbox.held;
}

static wait *after(const wait *w)
{
    return (wait *)w->item.next;
}

static void answer(wait *w, json_t *job)
{
    if (w->status == 201) {
        char id[JM_UUID_TEXT], location[80];
        jm_uuid_format(&w->id, id);
        snprintf(location, sizeof location, "/api/v1/jobs/%s", id);
        jm_req_set_header(w->req, "Location", location);
    }
    jm_req_answer(w->req, w->status, job);
    jm_req_finish(w->req);
    w->over = true;
}

static void seen(void *ctx, const jm_uuid *id, json_t *job)
{
    jm_waiter *waiter = ctx;
    for (wait *w = first(waiter); w; w = after(w))
        if (!w->over && !jm_uuid_cmp(&w->id, id))
            answer(w, json_incref(job));
}

static void give_up(wait *w, const jm_err *err)
{
    jm_req_fail(w->req, err);
    jm_req_finish(w->req);
    w->over = true;
}

/* Of those whose last look did not find their job it is the end. */
static bool keep(void *ctx, jm_inbox_item *item)
{
    const jm_waiter *waiter = ctx;
    wait *w = (wait *)item;
    jm_err gone;
    jm_err_set(&gone, JM_ERR_NOT_FOUND, "the job is not there any more");
    if (!w->over && !waiter->rc && w->last)
        give_up(w, &gone);
    else if (!w->over && waiter->rc && jm_mono_ms() > w->until_ms + AWAY_MS)
        give_up(w, &waiter->err);
    bool over = w->over;
    if (over)
        free(w);
    return !over;
}

static void look(jm_waiter *waiter)
{
    size_t n = (size_t)jm_inbox_count(&waiter->inbox), n_last = 0;
    jm_uuid *ids = jm_calloc(2 * n + 1, sizeof *ids), *last = ids + n;
    n = 0;
    for (wait *w = first(waiter); w; w = after(w)) {
        ids[n++] = w->id;
        w->last = jm_mono_ms() >= w->until_ms;
        if (w->last)
            last[n_last++] = w->id;
    }
    waiter->rc = jm_pg_ensure(waiter->pg, &waiter->err);
    if (!waiter->rc)
        waiter->rc = jm_jobs_ended_of(waiter->pg, ids, n, last, n_last, seen, waiter, &waiter->err);
    free(ids);
    jm_inbox_sift(&waiter->inbox, keep, waiter);
}

static void stop(wait *w)
{
    jm_err err;
    jm_err_set(&err, JM_ERR_CLOSED, "this program is stopping; the job goes on");
    give_up(w, &err);
    free(w);
}

static bool stop_item(void *ctx, jm_inbox_item *item)
{
    (void)ctx;
    stop((wait *)item);
    return false;
}

static void run(void *ctx)
{
    jm_waiter *waiter = ctx;
    while (jm_inbox_take(&waiter->inbox, jm_mono_ms() + LOOK_MS))
        look(waiter);
    jm_inbox_sift(&waiter->inbox, stop_item, NULL);
}

void jm_waiter_add(jm_waiter *waiter, jm_req *req, const jm_uuid *id, int status, int64_t ms)
{
    wait *w = jm_calloc(1, sizeof *w);
    *w = (wait){.req = req, .id = *id, .status = status, .until_ms = jm_mono_ms() + ms};
    if (!jm_inbox_add(&waiter->inbox, &w->item))
        stop(w);
}

jm_waiter *jm_waiter_new(const char *conninfo, const char *schema)
{
    jm_waiter *waiter = jm_calloc(1, sizeof *waiter);
    waiter->pg = jm_pg_new(&(jm_pg_options){
        .conninfo = conninfo, .schema = schema, .name = "jobmill-producer waiter"});
    jm_inbox_init(
        &waiter->inbox,
        &(jm_inbox_options){.name = "jm-waiter", .run = run, .ctx = waiter, .max = INT_MAX});
    return waiter;
}

void jm_waiter_stop(jm_waiter *waiter)
{
    jm_inbox_stop(&waiter->inbox);
    jm_pg_give_up_at(waiter->pg, jm_mono_ms() + 1000);
    jm_inbox_join(&waiter->inbox);
}

void jm_waiter_free(jm_waiter *waiter)
{
    if (!waiter)
        return;
    jm_waiter_stop(waiter);
    jm_pg_free(waiter->pg);
    jm_inbox_fini(&waiter->inbox);
    free(waiter);
}
