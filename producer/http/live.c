/* Jobs that somebody watches. */
#include "producer/http/live.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/http/api.h"
#include "producer/http/job_parts.h"
#include "producer/http/key_cache.h"
#include "producer/http/listener.h"
#include "producer/service/follow.h"

enum {
    LOOK_MS = 200, /* between two looks */
    LINES = 500,   /* of one job in one look */
    MAX_FOLLOWERS = 5000
};

typedef struct follower {
    jm_listener listener;
    jm_live_what what;
    jm_followed job;
    bool seen;  /* the last look found the job */
    bool ended; /* the job has; once no line is left, so has the stream */
} follower;

struct jm_live {
    jm_pg *pg;
    jm_inbox inbox;
    bool known; /* the last look was answered */
};

/* ---- looking ---- */

static void say(follower *f, const jm_buf *text)
{
    jm_listener_write(&f->listener, jm_buf_str(text), text->len);
}

static void on_line(void *ctx, int n, const jm_followed_line *line)
{
    follower *f = ((follower **)ctx)[n];
    jm_buf text = {0};
    jm_buf_addf(&text, "id: %d.%d\nevent: log\ndata: %s\n\n", line->attempt, line->seq, line->json);
    say(f, &text);
    jm_buf_fini(&text);
}

static void on_state(void *ctx, int n, const jm_followed_state *state)
{
    follower *f = ((follower **)ctx)[n];
    bool told = !strcmp(f->job.state, state->word);
    f->seen = true;
    f->ended |= state->ended;
    if (told || f->what != JM_LIVE_STATE)
        return;
    jm_buf text = {0};
    snprintf(f->job.state, sizeof f->job.state, "%s", state->word);
    jm_buf_addf(&text, "id: %s\nevent: status\ndata: %s\n\n", state->word, state->json);
    say(f, &text);
    jm_buf_fini(&text);
}

/* States before lines: of a job that had ended when it was asked, all lines are there. */
static int look(jm_live *live, follower **list, int n)
{
    const jm_followed_calls calls = {.on_state = on_state, .on_line = on_line, .ctx = list};
    jm_followed **jobs = jm_calloc((size_t)n, sizeof(jm_followed *));
    jm_err err;
    for (int i = 0; i < n; i++) {
        jobs[i] = &list[i]->job;
        jobs[i]->lines = list[i]->what == JM_LIVE_LOGS;
        jobs[i]->n_new = 0;
        list[i]->seen = false;
    }
    int rc = jm_pg_ensure(live->pg, &err);
    if (!rc)
        rc = jm_follow_look(live->pg, jobs, n, LINES, &calls, &err);
    free(jobs);
    if (rc && rc != JM_ERR_DB_DOWN)
        jm_log_kv(JM_WARNING, "http", err.msg, "of", "jobs that are followed", NULL);
    return rc;
}

/* Whether it is followed on. */
static bool keep(void *ctx, jm_inbox_item *item)
{
    const jm_live *live = ctx;
    follower *f = (follower *)item;
    f->ended |= live->known && !f->seen; /* it has been deleted */
    bool all_told = f->what != JM_LIVE_LOGS || f->job.n_new < LINES;
    if (live->known && f->ended && all_told && !jm_key_hold_has_ended(f->listener.key)) {
        jm_listener_say(&f->listener, "event: end\ndata: {}\n\n");
        f->listener.over = true;
    }
    return jm_listener_keep(&f->listener, live->known ? ":\n\n" : ": the database is away\n\n");
}

static void one_look(jm_live *live)
{
    int n = 0;
    follower **list = jm_calloc((size_t)jm_inbox_count(&live->inbox) + 1, sizeof(follower *));
    for (jm_inbox_item *item = live->inbox.held; item; item = item->next)
        list[n++] = (follower *)item;
    live->known = !n || !look(live, list, n);
    free(list);
    jm_inbox_sift(&live->inbox, keep, live);
}

static void run(void *ctx)
{
    jm_live *live = ctx;
    while (jm_inbox_take(&live->inbox, jm_mono_ms() + LOOK_MS))
        one_look(live);
    jm_inbox_sift(&live->inbox, jm_listener_stop, NULL);
}

/* ---- followers ---- */

/* "attempt.seq" of a line, or the word of a state. */
static bool resume(jm_req *req, follower *f)
{
    const char *last = jm_req_last_event(req);
    char *end = NULL;
    if (!last)
        return true;
    if (f->what == JM_LIVE_STATE) {
        snprintf(f->job.state, sizeof f->job.state, "%s", last);
        return true;
    }
    long attempt = strtol(last, &end, 10);
    long seq = *end == '.' ? strtol(end + 1, &end, 10) : -1;
    f->job.attempt = (int)attempt;
    f->job.seq = (int)seq;
    if (!*end && attempt >= 0 && attempt <= INT32_MAX && seq >= 0 && seq <= INT32_MAX)
        return true;
    jm_req_problem(req, 400, "bad_header", NULL,
                   "Last-Event-ID is \"%.60s\", needs the id of a line, such as 1.17", last);
    return false;
}

void jm_live_follow(jm_req *req, jm_live_what what)
{
    jm_live *live = jm_api_live(jm_req_api(req));
    struct jm_pg *pg;
    jm_uuid id;
    if (!jm_job_find(req, &pg, &id, NULL))
        return;
    follower *f = jm_calloc(1, sizeof *f);
    f->what = what;
    f->job.id = id;
    if (!resume(req, f)) {
        free(f);
        return;
    }
    jm_listener_begin(&f->listener, req);
    jm_listener_say(&f->listener, ":\n\n"); /* the headers go out with it */
    jm_listener_join(&f->listener, &live->inbox);
}

jm_live *jm_live_new(const char *conninfo, const char *schema)
{
    jm_live *live = jm_calloc(1, sizeof *live);
    live->pg = jm_pg_new(
        &(jm_pg_options){.conninfo = conninfo, .schema = schema, .name = "jobmill-producer live"});
    jm_inbox_init(
        &live->inbox,
        &(jm_inbox_options){.name = "jm-live", .run = run, .ctx = live, .max = MAX_FOLLOWERS});
    return live;
}

void jm_live_stop(jm_live *live)
{
    jm_inbox_stop(&live->inbox);
    jm_pg_give_up_at(live->pg, jm_mono_ms() + 1000);
    jm_inbox_join(&live->inbox);
}

void jm_live_free(jm_live *live)
{
    if (!live)
        return;
    jm_live_stop(live);
    jm_pg_free(live->pg);
    jm_inbox_fini(&live->inbox);
    free(live);
}
