/* The topic of events for those who listen. One consumer serves all: each listener has its own
 * place in the topic, and is told what lies at it or behind. One who comes back sets the consumer
 * back to where he left; the others have seen that already. */
#include "producer/http/tail.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/httpd.h"
#include "common/json_scan.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/http/api.h"
#include "producer/http/events_reader.h"
#include "producer/http/key_cache.h"
#include "producer/http/live.h"

enum {
    BACK = 100000,      /* events of a partition that one who comes back may have missed */
    BEAT_MS = 15000,    /* between two comments on a stream on which nothing happens */
    PATIENCE_MS = 2000, /* that one who comes waits for a word while there is no Kafka */
    TURN_MS = 100,
    MAX_LISTENERS = 5000
};

typedef struct listener {
    struct listener *next;
    jm_http_stream *stream;
    jm_key_hold *key;
    char project[101], type[101];     /* "": all */
    int64_t at[JM_EVENTS_PARTITIONS]; /* offset of what it is told next; -1: from now on */
    int64_t told_ms;
    bool placed, over;
} listener;

struct jm_tail {
    const jm_config *config;
    pthread_mutex_t lock;
    pthread_cond_t more;
    listener *fresh; /* not yet taken by the thread */
    int n;
    bool stop, started;
    pthread_t thread;
    /* The thread's. */
    listener *listeners;
    jm_events_reader reader; /* closed while there is nobody: who comes next begins at the end */
};

/* ---- writing ---- */

static void write_to(listener *l, const char *data, size_t len)
{
    l->over = l->over || !jm_live_write(&l->stream, data, len);
    l->told_ms = jm_mono_ms();
}

static bool is_text(const jm_json_value *value, const char *text, size_t len)
{
    return value && value->len == len && !memcmp(value->at, text, len);
}

/* source is "/jobmill/<project>"; type is what was asked for, or that and more behind a dot. */
static bool wants(const listener *l, const jm_json_value *source, const jm_json_value *type)
{
    char project[120];
    size_t len = strlen(l->type);
    int n = snprintf(project, sizeof project, "/jobmill/%s", l->project);
    if (*l->project && !is_text(source, project, (size_t)n))
        return false;
    return !len || (type && type->len >= len && !memcmp(type->at, l->type, len) &&
                    (type->len == len || type->at[len] == '.'));
}

static void tell(const jm_tail *tail, listener *l, const rd_kafka_message_t *message,
                 const jm_json_value *type)
{
    jm_buf text = {0};
    jm_buf_adds(&text, "id: ");
    for (int i = 0; i < tail->reader.n_partitions; i++)
        jm_buf_addf(&text, "%s%d:%lld", i ? "," : "", i, (long long)l->at[i]);
    jm_buf_addf(&text, "\nevent: %.*s\ndata: ", (int)type->len, type->at);
    jm_buf_add(&text, message->payload, message->len);
    jm_buf_adds(&text, "\n\n");
    write_to(l, jm_buf_str(&text), text.len);
    jm_buf_fini(&text);
}

/* ---- reading ---- */

static const jm_json_value *member(const jm_json *json, const char *name)
{
    for (size_t i = 0; i < json->n_members; i++)
        if (is_text(&json->members[i].name, name, strlen(name)))
            return &json->members[i].value;
    return NULL;
}

/* What is no event, nobody is told. Events are written on one line. */
static void tell_all(jm_tail *tail, const rd_kafka_message_t *message)
{
    int p = message->partition;
    jm_json json = {0};
    jm_err err;
    bool good = !jm_json_scan(&json, message->payload, message->len, JM_JSON_DEPTH_MAX, &err) &&
                !memchr(message->payload, '\n', message->len);
    const jm_json_value *source = good ? member(&json, "source") : NULL;
    const jm_json_value *type = good ? member(&json, "type") : NULL;
    for (listener *l = tail->listeners; l; l = l->next) {
        if (message->offset < l->at[p])
            continue;
        l->at[p] = message->offset + 1;
        if (type && !jm_key_hold_has_ended(l->key) && wants(l, source, type))
            tell(tail, l, message, type);
    }
    jm_json_fini(&json);
}

static void consume(jm_tail *tail)
{
    int64_t until = jm_mono_ms() + TURN_MS, left = TURN_MS;
    for (rd_kafka_message_t *message;
         left >= 0 && (message = jm_events_reader_next(&tail->reader, (int)left));
         left = until - jm_mono_ms()) {
        tell_all(tail, message);
        rd_kafka_message_destroy(message);
    }
}

/* ---- listeners ---- */

/* The headers go out with it: who has them misses nothing from then on. */
static const char greeting[] = ":\n\n";
static const char gap[] = "event: gap\ndata: {\"reason\":\"what was missed is too long ago\"}\n\n";

/* Where one begins: now, or where he left. true: that lies before what is read next. */
static bool place(const jm_tail *tail, listener *l)
{
    bool before = false, missed = false;
    for (int i = 0; i < tail->reader.n_partitions; i++) {
        if (l->at[i] < 0 || l->at[i] > tail->reader.most[i]) /* or the topic is another one now */
            l->at[i] = tail->reader.most[i];
        missed |= l->at[i] < tail->reader.most[i] - BACK;
        if (l->at[i] < tail->reader.most[i] - BACK)
            l->at[i] = tail->reader.most[i] - BACK;
        before |= l->at[i] < tail->reader.at[i];
    }
    if (missed)
        write_to(l, gap, sizeof gap - 1);
    return before;
}

/* All that come while there is no Kafka are placed when there is. Sets the consumer back to where
 * those who come back left. */
static void take_in(jm_tail *tail)
{
    bool back = false;
    for (listener *l = tail->listeners; l; l = l->next) {
        if (l->placed)
            continue;
        l->placed = true;
        bool before = place(tail, l);
        write_to(l, greeting, sizeof greeting - 1);
        if (!before)
            continue;
        back = true;
        for (int i = 0; i < tail->reader.n_partitions; i++)
            if (l->at[i] < tail->reader.at[i])
                tail->reader.at[i] = l->at[i];
    }
    if (back)
        jm_events_reader_assign(&tail->reader);
}

static void free_listener(listener *l)
{
    if (l->stream)
        jm_http_stream_end(l->stream);
    jm_key_hold_free(l->key);
    free(l);
}

static void look_after(jm_tail *tail)
{
    for (listener **at = &tail->listeners; *at;) {
        listener *l = *at;
        if (jm_key_hold_has_ended(l->key)) {
            write_to(l, JM_LIVE_NO_KEY, sizeof JM_LIVE_NO_KEY - 1);
            l->over = true;
        }
        if (!l->over && jm_mono_ms() - l->told_ms > BEAT_MS)
            write_to(l, greeting, sizeof greeting - 1);
        if (!l->over) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free_listener(l);
    }
}

/* ---- the thread ---- */

/* Waits while there is nobody, and a little while there is no Kafka. false: it is time to end. */
static bool take_fresh(jm_tail *tail)
{
    struct timespec until;
    pthread_mutex_lock(&tail->lock);
    while (!tail->stop && !tail->fresh && !tail->listeners)
        pthread_cond_wait(&tail->more, &tail->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (!tail->stop && !tail->reader.rk && jm_mono_ms() < tail->reader.retry_ms)
        pthread_cond_timedwait(&tail->more, &tail->lock, &until);
    for (listener *l = tail->fresh; l; l = tail->fresh) {
        tail->fresh = l->next;
        l->next = tail->listeners;
        tail->listeners = l;
    }
    bool go_on = !tail->stop;
    pthread_mutex_unlock(&tail->lock);
    return go_on;
}

static int count(jm_tail *tail)
{
    int n = 0;
    for (const listener *l = tail->listeners; l; l = l->next)
        n++;
    pthread_mutex_lock(&tail->lock);
    for (const listener *l = tail->fresh; l; l = l->next)
        n++;
    tail->n = n;
    pthread_mutex_unlock(&tail->lock);
    return n;
}

static void end_all(listener *list)
{
    for (listener *l; (l = list);) {
        list = l->next;
        write_to(l, JM_LIVE_STOPPING, sizeof JM_LIVE_STOPPING - 1);
        free_listener(l);
    }
}

static void *run(void *arg)
{
    jm_tail *tail = arg;
    pthread_setname_np(pthread_self(), "jm-tail");
    while (take_fresh(tail)) {
        if (jm_events_reader_open(&tail->reader, tail->config, 0)) {
            take_in(tail);
            consume(tail);
        }
        look_after(tail);
        if (!count(tail))
            jm_events_reader_close(&tail->reader);
    }
    end_all(tail->listeners);
    end_all(tail->fresh);
    tail->listeners = tail->fresh = NULL;
    jm_events_reader_close(&tail->reader);
    return NULL;
}

/* "0:17,1:4": of each partition the offset that comes next. */
static bool parse_place(const char *text, listener *l)
{
    while (*text) {
        char *end = NULL;
        long partition = strtol(text, &end, 10);
        if (end == text || *end != ':' || partition < 0 || partition >= JM_EVENTS_PARTITIONS)
            return false;
        text = end + 1;
        l->at[partition] = strtoll(text, &end, 10);
        if (end == text || l->at[partition] < 0 || (*end && *end != ','))
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

static bool add(jm_tail *tail, listener *l)
{
    pthread_mutex_lock(&tail->lock);
    bool taken = !tail->stop && tail->n < MAX_LISTENERS;
    if (taken) {
        l->next = tail->fresh;
        tail->fresh = l;
        tail->n++;
        pthread_cond_signal(&tail->more);
        if (!tail->started && pthread_create(&tail->thread, NULL, run, tail))
            abort(); /* out of threads */
        tail->started = true;
    }
    pthread_mutex_unlock(&tail->lock);
    return taken;
}

/* NULL: answered. */
static listener *new_listener(jm_req *req)
{
    const char *last = jm_req_last_event(req), *type = jm_req_query(req, "type");
    const char *project = NULL;
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return NULL;
    listener *l = jm_calloc(1, sizeof *l);
    for (int i = 0; i < JM_EVENTS_PARTITIONS; i++)
        l->at[i] = -1;
    snprintf(l->project, sizeof l->project, "%s", project ? project : "");
    snprintf(l->type, sizeof l->type, "%s", type ? type : "");
    if (!last || parse_place(last, l))
        return l;
    jm_req_problem(req, 400, "bad_header", NULL,
                   "Last-Event-ID is \"%.60s\", needs the id of an event, such as 0:17,1:4", last);
    free(l);
    return NULL;
}

void jm_tail_listen(jm_req *req)
{
    listener *l = new_listener(req);
    if (!l)
        return;
    l->key = jm_req_hold(req);
    l->stream = jm_req_stream(req);
    l->told_ms = jm_mono_ms() - BEAT_MS + PATIENCE_MS;
    if (!add(jm_api_tail(jm_req_api(req)), l)) {
        write_to(l, JM_LIVE_TOO_MANY, sizeof JM_LIVE_TOO_MANY - 1);
        free_listener(l);
    }
}

jm_tail *jm_tail_new(const jm_config *config)
{
    jm_tail *tail = jm_calloc(1, sizeof *tail);
    tail->config = config;
    pthread_mutex_init(&tail->lock, NULL);
    pthread_cond_init(&tail->more, NULL);
    return tail;
}

void jm_tail_stop(jm_tail *tail)
{
    pthread_mutex_lock(&tail->lock);
    tail->stop = true;
    pthread_cond_broadcast(&tail->more);
    bool started = tail->started;
    tail->started = false;
    pthread_mutex_unlock(&tail->lock);
    if (started)
        pthread_join(tail->thread, NULL);
}

void jm_tail_free(jm_tail *tail)
{
    if (!tail)
        return;
    jm_tail_stop(tail);
    pthread_cond_destroy(&tail->more);
    pthread_mutex_destroy(&tail->lock);
    free(tail);
}
