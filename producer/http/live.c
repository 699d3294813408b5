/* Jobs that somebody watches. */
#include "producer/http/live.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/httpd.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/http/api.h"
#include "producer/http/job_parts.h"
#include "producer/http/key_cache.h"
#include "producer/service/follow.h"

enum {
    LOOK_MS = 200,   /* between two looks */
    BEAT_MS = 15000, /* between two comments on a stream on which nothing happens */
    LINES = 500,     /* of one job in one look */
    MAX_FOLLOWERS = 5000
};

typedef struct follower {
    struct follower *next;
    jm_http_stream *stream;
    jm_key_hold *key;
    jm_live_what what;
    jm_followed job;
    int64_t told_ms; /* when something was last written */
    bool seen;       /* the last look found the job */
    bool ended;      /* the job has; once no line is left, so has the stream */
    bool over;
} follower;

struct jm_live {
    jm_pg *pg;
    pthread_mutex_t lock;
    pthread_cond_t more;
    follower *followers, *fresh; /* fresh: not yet taken by the thread */
    int n;
    bool stop, started;
    pthread_t thread;
};

/* ---- writing ---- */

bool jm_live_write(jm_http_stream **stream, const char *data, size_t len)
{
    int rc = jm_http_stream_write(*stream, data, len);
    if (rc == JM_ERR_TIMEOUT) {
        jm_http_stream_drop(*stream, JM_LIVE_TOO_SLOW);
        *stream = NULL;
    }
    return rc == JM_OK;
}

static void say(follower *f, const jm_buf *text)
{
    f->over = f->over || !jm_live_write(&f->stream, jm_buf_str(text), text->len);
    f->told_ms = jm_mono_ms();
}

static void say_text(follower *f, const char *text)
{
    jm_buf buf = {0};
    jm_buf_adds(&buf, text);
    say(f, &buf);
    jm_buf_fini(&buf);
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

/* ---- looking ---- */

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

static void settle(follower *f, bool known)
{
    if (!f->over && jm_key_hold_has_ended(f->key)) {
        say_text(f, JM_LIVE_NO_KEY);
        f->over = true;
    }
    f->ended |= known && !f->seen; /* it has been deleted */
    if (!f->over && known && f->ended && !(f->what == JM_LIVE_LOGS && f->job.n_new >= LINES)) {
        say_text(f, "event: end\ndata: {}\n\n");
        f->over = true;
    }
    if (!f->over && jm_mono_ms() - f->told_ms > BEAT_MS)
        say_text(f, known ? ":\n\n" : ": the database is away\n\n");
}

static void free_follower(follower *f)
{
    if (f->stream)
        jm_http_stream_end(f->stream);
    jm_key_hold_free(f->key);
    free(f);
}

static int count(const jm_live *live)
{
    int n = 0;
    for (const follower *f = live->followers; f; f = f->next)
        n++;
    return n;
}

static void one_look(jm_live *live)
{
    int n = 0;
    follower **list = jm_calloc((size_t)count(live) + 1, sizeof(follower *));
    for (follower *f = live->followers; f; f = f->next)
        list[n++] = f;
    bool known = !n || !look(live, list, n);
    free(list);
    for (follower **at = &live->followers; *at;) {
        follower *f = *at;
        settle(f, known);
        if (!f->over) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        free_follower(f);
    }
}

/* Takes what has come; false: it is time to end. Waits while there is nobody. */
static bool take_fresh(jm_live *live)
{
    pthread_mutex_lock(&live->lock);
    while (!live->stop && !live->fresh && !live->followers)
        pthread_cond_wait(&live->more, &live->lock);
    while (live->fresh) {
        follower *f = live->fresh;
        live->fresh = f->next;
        f->next = live->followers;
        live->followers = f;
    }
    live->n = count(live);
    bool go_on = !live->stop;
    pthread_mutex_unlock(&live->lock);
    return go_on;
}

/* Until the next look, or the end. */
static void pause_a_little(jm_live *live)
{
    int64_t until_ms = jm_mono_ms() + LOOK_MS;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&live->lock);
    while (!live->stop && !live->fresh && !pthread_cond_timedwait(&live->more, &live->lock, &until))
        ;
    pthread_mutex_unlock(&live->lock);
}

static void *run(void *arg)
{
    jm_live *live = arg;
    pthread_setname_np(pthread_self(), "jm-live");
    while (take_fresh(live)) {
        one_look(live);
        pause_a_little(live);
    }
    for (follower *f; (f = live->followers);) {
        live->followers = f->next;
        say_text(f, JM_LIVE_STOPPING);
        free_follower(f);
    }
    return NULL;
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

static bool add(jm_live *live, follower *f)
{
    pthread_mutex_lock(&live->lock);
    bool taken = !live->stop && live->n < MAX_FOLLOWERS;
    if (taken) {
        f->next = live->fresh;
        live->fresh = f;
        live->n++;
        pthread_cond_signal(&live->more);
        if (!live->started && pthread_create(&live->thread, NULL, run, live))
            abort(); /* out of threads */
        live->started = true;
    }
    pthread_mutex_unlock(&live->lock);
    return taken;
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
    f->told_ms = jm_mono_ms();
    if (!resume(req, f)) {
        free(f);
        return;
    }
    f->key = jm_req_hold(req);
    f->stream = jm_req_stream(req);
    say_text(f, ":\n\n"); /* the headers go out with it */
    if (!add(live, f)) {
        say_text(f, JM_LIVE_TOO_MANY);
        free_follower(f);
    }
}

jm_live *jm_live_new(const char *conninfo, const char *schema)
{
    jm_live *live = jm_calloc(1, sizeof *live);
    pthread_condattr_t attr;
    live->pg = jm_pg_new(
        &(jm_pg_options){.conninfo = conninfo, .schema = schema, .name = "jobmill-producer live"});
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&live->lock, NULL);
    pthread_cond_init(&live->more, &attr);
    pthread_condattr_destroy(&attr);
    return live;
}

void jm_live_stop(jm_live *live)
{
    pthread_mutex_lock(&live->lock);
    live->stop = true;
    pthread_cond_broadcast(&live->more);
    bool started = live->started;
    live->started = false;
    pthread_mutex_unlock(&live->lock);
    jm_pg_give_up_at(live->pg, jm_mono_ms() + 1000);
    if (started)
        pthread_join(live->thread, NULL);
}

void jm_live_free(jm_live *live)
{
    if (!live)
        return;
    jm_live_stop(live);
    jm_pg_free(live->pg);
    pthread_cond_destroy(&live->more);
    pthread_mutex_destroy(&live->lock);
    free(live);
}
