/* Requests whose answer is held until a job has ended: one question for all of them. */
#include "producer/http/waiter.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/pg.h"
#include "producer/service/jobs.h"

enum { LOOK_MS = 100, AWAY_MS = 5000 /* past its time, while the database is away */ };

typedef struct wait {
    struct wait *next;
    jm_req *req;
    jm_uuid id;
    int status;
    int64_t until_ms;
    bool last; /* the next look is the last */
    bool over;
} wait;

struct jm_waiter {
    jm_pg *pg;
    pthread_mutex_t lock;
    pthread_cond_t more;
    wait *fresh; /* not yet taken by the thread */
    wait *waits; /* the thread's */
    bool stop, started;
    pthread_t thread;
};

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
    for (wait *w = waiter->waits; w; w = w->next)
        if (!w->over && !jm_uuid_cmp(&w->id, id))
            answer(w, json_incref(job));
}

static void give_up(wait *w, const jm_err *err)
{
    jm_req_fail(w->req, err);
    jm_req_finish(w->req);
    w->over = true;
}

/* Those whose last look did not find them. */
static void settle(jm_waiter *waiter, int rc, const jm_err *err)
{
    jm_err gone;
    jm_err_set(&gone, JM_ERR_NOT_FOUND, "the job is not there any more");
    for (wait **at = &waiter->waits; *at;) {
        wait *w = *at;
        if (!w->over && !rc && w->last)
            give_up(w, &gone);
        else if (!w->over && rc && jm_mono_ms() > w->until_ms + AWAY_MS)
            give_up(w, err);
        if (!w->over) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free(w);
    }
}

static void look(jm_waiter *waiter)
{
    size_t n = 0, n_last = 0;
    jm_err err = {0};
    for (const wait *w = waiter->waits; w; w = w->next)
        n++;
    jm_uuid *ids = jm_calloc(2 * n + 1, sizeof *ids), *last = ids + n;
    n = 0;
    for (wait *w = waiter->waits; w; w = w->next) {
        ids[n++] = w->id;
        w->last = jm_mono_ms() >= w->until_ms;
        if (w->last)
            last[n_last++] = w->id;
    }
    int rc = jm_pg_ensure(waiter->pg, &err);
    rc = rc ? rc : jm_jobs_ended_of(waiter->pg, ids, n, last, n_last, seen, waiter, &err);
    settle(waiter, rc, &err);
    free(ids);
}

/* Waits for the next look; false: it is time to end. */
static bool next_look(jm_waiter *waiter)
{
    int64_t at_ms = jm_mono_ms() + LOOK_MS;
    struct timespec at = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->stop && !waiter->fresh) {
        if (!waiter->waits)
            pthread_cond_wait(&waiter->more, &waiter->lock);
        else if (pthread_cond_timedwait(&waiter->more, &waiter->lock, &at))
            break;
    }
    while (waiter->fresh) {
        wait *w = waiter->fresh;
        waiter->fresh = w->next;
        w->next = waiter->waits;
        waiter->waits = w;
    }
    bool go_on = !waiter->stop;
    pthread_mutex_unlock(&waiter->lock);
    return go_on;
}

static void *run(void *arg)
{
    jm_waiter *waiter = arg;
    jm_err err;
    pthread_setname_np(pthread_self(), "jm-waiter");
    while (next_look(waiter))
        look(waiter);
    jm_err_set(&err, JM_ERR_CLOSED, "this program is stopping; the job goes on");
    for (wait *w; (w = waiter->waits);) {
        waiter->waits = w->next;
        give_up(w, &err);
        free(w);
    }
    return NULL;
}

void jm_waiter_add(jm_waiter *waiter, jm_req *req, const jm_uuid *id, int status, int64_t ms)
{
    wait *w = jm_calloc(1, sizeof *w);
    *w = (wait){.req = req, .id = *id, .status = status, .until_ms = jm_mono_ms() + ms};
    pthread_mutex_lock(&waiter->lock);
    bool taken = !waiter->stop;
    if (taken) {
        w->next = waiter->fresh;
        waiter->fresh = w;
        pthread_cond_signal(&waiter->more);
        if (!waiter->started && pthread_create(&waiter->thread, NULL, run, waiter))
            abort(); /* out of threads */
        waiter->started = true;
    }
    pthread_mutex_unlock(&waiter->lock);
    if (taken)
        return;
    jm_err err;
    jm_err_set(&err, JM_ERR_CLOSED, "this program is stopping; the job goes on");
    give_up(w, &err);
    free(w);
}

jm_waiter *jm_waiter_new(const char *conninfo, const char *schema)
{
    jm_waiter *waiter = jm_calloc(1, sizeof *waiter);
    pthread_condattr_t attr;
    waiter->pg = jm_pg_new(&(jm_pg_options){
        .conninfo = conninfo, .schema = schema, .name = "jobmill-producer waiter"});
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->more, &attr);
    pthread_condattr_destroy(&attr);
    return waiter;
}

void jm_waiter_stop(jm_waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    waiter->stop = true;
    pthread_cond_broadcast(&waiter->more);
    bool started = waiter->started;
    waiter->started = false;
    pthread_mutex_unlock(&waiter->lock);
    jm_pg_give_up_at(waiter->pg, jm_mono_ms() + 1000);
    if (started)
        pthread_join(waiter->thread, NULL);
}

void jm_waiter_free(jm_waiter *waiter)
{
    if (!waiter)
        return;
    jm_waiter_stop(waiter);
    jm_pg_free(waiter->pg);
    pthread_cond_destroy(&waiter->more);
    pthread_mutex_destroy(&waiter->lock);
    free(waiter);
}
