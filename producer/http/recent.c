/* Jobs as the topic of events tells about them, for a producer without a database. */
#include "producer/http/recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "common/mem.h"
#include "common/uuid7.h"
#include "producer/http/api.h"
#include "producer/http/events_reader.h"
#include "producer/http/job_submit.h"
#include "producer/http/routes.h"

enum { KEPT = 1000, BACK = 1000, TURN_MS = 100 };

typedef struct entry {
    char id[JM_UUID_TEXT];
    json_t *job;
    UT_hash_handle hh;
} entry;

struct jm_recent {
    const jm_config *config;
    jm_events_reader reader; /* the thread's */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    entry *jobs; /* the one that was told about last stands at the end */
    bool stop;
    pthread_t thread;
};

/* ---- what is told ---- */

static const char *text_of(const json_t *job, const char *name)
{
    const char *text = json_string_value(json_object_get(job, name));
    return text ? text : "";
}

/* The columns that an event has, and when it was. */
static json_t *describe(const json_t *event)
{
    static const char *const columns[] = {
        "id",           "project",     "type",        "queue",      "status",
        "attempt",      "external_id", "due_at",      "started_at", "completed_at",
        "run_at",       "duration_ms", "items_total", "items_ok",   "error",
        "items_failed", "schedule_id", "result",      NULL};
    const json_t *data = json_object_get(event, "data");
    json_t *job = json_object();
    for (const char *const *name = columns; *name; name++) {
        json_t *value = json_object_get(data, *name);
        if (value)
            json_object_set(job, *name, value);
    }
    json_object_set(job, "updated_at", json_object_get(event, "time"));
    if (strlen(text_of(job, "id")) == JM_UUID_TEXT - 1 && *text_of(job, "updated_at"))
        return job;
    json_decref(job); /* of something else: a schedule, or no event at all */
    return NULL;
}

static void drop(jm_recent *recent, entry *e)
{
    HASH_DEL(recent->jobs, e);
    json_decref(e->job);
    free(e);
}

static void keep(jm_recent *recent, json_t *job)
{
    entry *e, *old;
    const char *id = text_of(job, "id");
    HASH_FIND_STR(recent->jobs, id, old);
    if (old)
        drop(recent, old);
    else if (HASH_COUNT(recent->jobs) >= KEPT)
        drop(recent, recent->jobs);
    e = jm_calloc(1, sizeof *e);
    memcpy(e->id, id, sizeof e->id);
    e->job = job;
    HASH_ADD_STR(recent->jobs, id, e);
}

static void take(jm_recent *recent, const rd_kafka_message_t *message)
{
    json_t *event = NULL;
    jm_err err;
    if (!message->len || jm_json_exact_load(message->payload, message->len, &event, &err))
        return;
    json_t *job = describe(event);
    json_decref(event);
    if (!job)
        return;
    pthread_mutex_lock(&recent->lock);
    keep(recent, job);
    pthread_mutex_unlock(&recent->lock);
}

/* Until it is time to look again; false: it is time to end. */
static bool go_on(jm_recent *recent, int64_t wait_ms)
{
    int64_t until_us = jm_mono_us() + wait_ms * 1000;
    pthread_mutex_lock(&recent->lock);
    while (wait_ms && !recent->stop && jm_cond_wait_until(&recent->wake, &recent->lock, until_us))
        ;
    bool stop = recent->stop;
    pthread_mutex_unlock(&recent->lock);
    return !stop;
}

static void *run(void *arg)
{
    jm_recent *recent = arg;
    bool open = true;
    pthread_setname_np(pthread_self(), "jm-recent");
    while (go_on(recent, open ? 0 : TURN_MS)) {
        open = jm_events_reader_open(&recent->reader, recent->config, BACK);
        rd_kafka_message_t *message = open ? jm_events_reader_next(&recent->reader, TURN_MS) : NULL;
        if (!message)
            continue;
        take(recent, message);
        rd_kafka_message_destroy(message);
    }
    jm_events_reader_close(&recent->reader);
    return NULL;
}

jm_recent *jm_recent_new(const jm_config *config)
{
    jm_recent *recent = jm_calloc(1, sizeof *recent);
    recent->config = config;
    pthread_mutex_init(&recent->lock, NULL);
    jm_cond_init(&recent->wake);
    if (pthread_create(&recent->thread, NULL, run, recent))
        abort(); /* out of threads before the program has begun to work */
    return recent;
}

void jm_recent_free(jm_recent *recent)
{
    if (!recent)
        return;
    pthread_mutex_lock(&recent->lock);
    recent->stop = true;
    pthread_cond_signal(&recent->wake);
    pthread_mutex_unlock(&recent->lock);
    pthread_join(recent->thread, NULL);
    while (recent->jobs)
        drop(recent, recent->jobs);
    pthread_cond_destroy(&recent->wake);
    pthread_mutex_destroy(&recent->lock);
    free(recent);
}

/* ---- what is asked ---- */

/* Those that have all of these; NULL: any. */
typedef struct filter {
    const char *project, *status, *type, *queue;
} filter;

static bool is(const json_t *job, const char *name, const char *wanted)
{
    return !wanted || !strcmp(text_of(job, name), wanted);
}

static bool fits(const json_t *job, const filter *f)
{
    return is(job, "project", f->project) && is(job, "status", f->status) &&
           is(job, "type", f->type) && is(job, "queue", f->queue);
}

/* RFC 3339 in UTC, with microseconds: as texts they stand in their order. */
static int by_time(const void *a, const void *b)
{
    return strcmp(text_of(*(json_t *const *)b, "updated_at"),
                  text_of(*(json_t *const *)a, "updated_at"));
}

/* Each answer has a copy, made under the lock: it is printed while the list changes. */
static void answer_list(jm_req *req, const filter *f, int64_t offset, int64_t limit)
{
    jm_recent *recent = jm_api_recent(jm_req_api(req));
    json_t *found[KEPT] = {0}, *items = json_array();
    size_t n = 0, from = offset < KEPT ? (size_t)offset : KEPT;
    pthread_mutex_lock(&recent->lock);
    for (const entry *e = recent->jobs; e; e = e->hh.next)
        if (fits(e->job, f))
            found[n++] = e->job;
    if (n)
        qsort(found, n, sizeof *found, by_time);
    for (size_t i = from; i < n && i < from + (size_t)limit; i++)
        json_array_append_new(items, json_deep_copy(found[i]));
    pthread_mutex_unlock(&recent->lock);
    jm_req_list(req, items, NULL);
}

static void list_jobs(jm_req *req)
{
    static const char *const others[] = {
        "schedule",   "callbacks",      "created_from", "created_to", "started_from",
        "started_to", "completed_from", "completed_to", "cursor",     "total",
        NULL};
    filter f = {.status = jm_req_query(req, "status"),
                .type = jm_req_query(req, "type"),
                .queue = jm_req_query(req, "queue")};
    jm_page page;
    json_t *metadata = jm_req_query_group(req, "metadata.");
    const char *other = metadata ? "metadata" : NULL;
    json_decref(metadata);
    for (const char *const *name = others; *name && !other; name++)
        other = jm_req_query(req, *name) ? *name : NULL;
    if (other)
        jm_req_problem(req, 503, "no_database", NULL,
                       "this producer has no database: its jobs are found by project, status, type "
                       "and queue, not by %s",
                       other);
    else if (jm_req_narrow(req, jm_req_query(req, "project"), &f.project) &&
             jm_req_get_page(req, &page))
        answer_list(req, &f, page.offset, page.limit);
}

static void newest_jobs(jm_req *req)
{
    filter f = {0};
    int64_t limit;
    if (jm_req_narrow(req, jm_req_query(req, "project"), &f.project) &&
        jm_req_query_int(req, "limit", 10, 1, KEPT, &limit))
        answer_list(req, &f, 0, limit);
}

/* By its id, or by the newest that has it as external id in what the key sees. */
static json_t *find(const jm_recent *recent, const char *name, const char *project)
{
    entry *e;
    const json_t *found = NULL;
    HASH_FIND_STR(recent->jobs, name, e);
    if (e)
        return json_deep_copy(e->job);
    for (e = recent->jobs; e; e = e->hh.next)
        if (is(e->job, "external_id", name) && is(e->job, "project", project))
            found = e->job;
    return found ? json_deep_copy(found) : NULL;
}

static void show_job(jm_req *req)
{
    jm_recent *recent = jm_api_recent(jm_req_api(req));
    const char *name = jm_req_path(req, "id");
    if (jm_req_query(req, "include")) {
        jm_req_problem(req, 503, "no_database", "?include",
                       "this producer has no database: of a job it knows what its last event said");
        return;
    }
    pthread_mutex_lock(&recent->lock);
    json_t *job = find(recent, name, jm_req_project(req));
    pthread_mutex_unlock(&recent->lock);
    if (!job)
        jm_req_problem(req, 404, "not_found", NULL, "there is no job %.200s", name);
    else if (jm_req_sees(req, text_of(job, "project"), "job", name))
        jm_req_ok(req, json_incref(job));
    json_decref(job);
}

static const jm_api_route answered[] = {
    {.method = "POST", .path = "/jobs", .handler = jm_job_submit},
    {.method = "GET", .path = "/jobs", .handler = list_jobs},
    {.method = "GET", .path = "/jobs/recent", .handler = newest_jobs},
    {.method = "GET", .path = "/jobs/{id}", .handler = show_job},
    {.method = NULL}};

jm_req_handler *jm_recent_handler(const jm_api_route *route)
{
    const jm_api_route *a = answered;
    while (a->method &&
           (strcmp(a->method, route->method) != 0 || strcmp(a->path, route->path) != 0))
        a++;
    bool meta = !strcmp(route->path, "/openapi.json") || !strcmp(route->path, "/whoami") ||
                !strcmp(route->path, "/events");
    return a->method ? a->handler : meta ? route->handler : NULL;
}
