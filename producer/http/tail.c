/* The topic of events for those who listen. One consumer serves all: each listener has its own
 * place in the topic, and is told what lies at it or behind. One who comes back sets the consumer
 * back to where he left; the others have seen that already. */
#include "producer/http/tail.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/httpd.h"
#include "common/json_scan.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/http/api.h"
#include "producer/http/live.h"

enum {
    PARTITIONS = 64, /* of the topic at most */
    BACK = 100000,   /* events of a partition that one who comes back may have missed */
    BEAT_MS = 15000, /* between two comments on a stream on which nothing happens */
    TURN_MS = 100,
    ASK_MS = 2000,   /* for what the topic is like */
    RETRY_MS = 1000, /* after nobody could say */
    MAX_LISTENERS = 5000
};

typedef struct listener {
    struct listener *next;
    jm_http_stream *stream;
    char project[101], type[101]; /* "": all */
    int64_t at[PARTITIONS];       /* offset of what it is told next; -1: from now on */
    int64_t told_ms;
    bool over;
} listener;

struct jm_tail {
    const jm_config *config;
    char *topic;
    pthread_mutex_t lock;
    pthread_cond_t more;
    listener *fresh; /* not yet taken by the thread */
    int n;
    bool stop, started;
    pthread_t thread;
    /* The thread's. */
    listener *listeners;
    rd_kafka_t *rk; /* NULL: there is none yet */
    int64_t retry_ms;
    int n_partitions;
    int64_t at[PARTITIONS];   /* what the consumer reads next */
    int64_t most[PARTITIONS]; /* what lies behind all that it has read */
};

/* ---- writing ---- */

static void write_to(listener *l, const char *data, size_t len)
{
    int rc = l->over ? JM_OK : jm_http_stream_write(l->stream, data, len);
    l->told_ms = jm_mono_ms();
    if (rc == JM_ERR_TIMEOUT) {
        jm_http_stream_drop(l->stream, JM_LIVE_TOO_SLOW);
        l->stream = NULL;
    }
    l->over |= rc != JM_OK;
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
    for (int i = 0; i < tail->n_partitions; i++)
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
        if (type && wants(l, source, type))
            tell(tail, l, message, type);
    }
    jm_json_fini(&json);
}

static void consume(jm_tail *tail)
{
    int64_t until = jm_mono_ms() + TURN_MS, left = TURN_MS;
    for (rd_kafka_message_t *message;
         left >= 0 && (message = rd_kafka_consumer_poll(tail->rk, (int)left));
         left = until - jm_mono_ms()) {
        int p = message->partition;
        if (!message->err && p < tail->n_partitions) {
            tail->at[p] = message->offset + 1;
            if (tail->most[p] < tail->at[p])
                tail->most[p] = tail->at[p];
            tell_all(tail, message);
        }
        rd_kafka_message_destroy(message);
    }
}

static bool assign(jm_tail *tail)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < tail->n_partitions; i++)
        rd_kafka_topic_partition_list_add(list, tail->topic, i)->offset = tail->at[i];
    bool done = !rd_kafka_assign(tail->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return done;
}

/* How many partitions the topic has and where they end. false: nobody could say. */
static bool find_end(jm_tail *tail, rd_kafka_t *rk)
{
    const rd_kafka_metadata_t *about = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, tail->topic, NULL);
    int n = 0;
    if (!rd_kafka_metadata(rk, 0, topic, &about, ASK_MS)) {
        n = about->topic_cnt == 1 ? about->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(about);
    }
    rd_kafka_topic_destroy(topic);
    tail->n_partitions = n < PARTITIONS ? n : PARTITIONS;
    bool known = n > 0;
    for (int i = 0; known && i < tail->n_partitions; i++) {
        int64_t low = 0;
        known = !rd_kafka_query_watermark_offsets(rk, tail->topic, i, &low, &tail->at[i], ASK_MS);
        tail->most[i] = tail->at[i];
    }
    return known;
}

static rd_kafka_t *new_consumer(const jm_tail *tail, jm_err *err)
{
    rd_kafka_conf_t *conf = NULL;
    char text[256];
    if (jm_kafka_conf(tail->config, "api", &conf, err))
        return NULL;
    rd_kafka_t *rk = NULL;
    if (!jm_kafka_conf_prefer(conf, "group.id", "jobmill-api", err) && /* needed, never joined */
        !jm_kafka_conf_prefer(conf, "enable.auto.commit", "false", err) &&
        !jm_kafka_conf_prefer(conf, "auto.offset.reset", "earliest", err) &&
        !jm_kafka_conf_prefer(conf, "fetch.wait.max.ms", "100", err)) {
        rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
        if (!rk)
            jm_err_set(err, JM_ERR_KAFKA, "%s", text);
    }
    if (!rk)
        rd_kafka_conf_destroy(conf);
    else
        rd_kafka_poll_set_consumer(rk);
    return rk;
}

/* Begins at the end of the topic. */
static void start_reading(jm_tail *tail)
{
    jm_err err = {0};
    tail->retry_ms = jm_mono_ms() + RETRY_MS;
    rd_kafka_t *rk = new_consumer(tail, &err);
    if (!rk) {
        jm_log_kv(JM_WARNING, "http", "nobody can listen to events", "why", err.msg, NULL);
        return;
    }
    if (find_end(tail, rk)) {
        tail->rk = rk;
        assign(tail);
    } else {
        rd_kafka_destroy(rk);
    }
}

static void stop_reading(jm_tail *tail)
{
    if (tail->rk)
        rd_kafka_destroy(tail->rk);
    tail->rk = NULL;
    tail->retry_ms = 0;
}

/* ---- listeners ---- */

static const char gap[] = "event: gap\ndata: {\"reason\":\"what was missed is too long ago\"}\n\n";

/* Where one begins: now, or where he left. true: that lies before what is read next. */
static bool place(const jm_tail *tail, listener *l)
{
    bool before = false, missed = false;
    for (int i = 0; i < tail->n_partitions; i++) {
        if (l->at[i] < 0 || l->at[i] > tail->most[i]) /* or the topic is another one now */
            l->at[i] = tail->most[i];
        missed |= l->at[i] < tail->most[i] - BACK;
        if (l->at[i] < tail->most[i] - BACK)
            l->at[i] = tail->most[i] - BACK;
        before |= l->at[i] < tail->at[i];
    }
    if (missed)
        write_to(l, gap, sizeof gap - 1);
    return before;
}

/* Sets the consumer back to where those who come back left. */
static void take_in(jm_tail *tail, listener *come)
{
    bool back = false;
    for (listener *l = come; l; l = come) {
        come = l->next;
        l->next = tail->listeners;
        tail->listeners = l;
        if (!place(tail, l))
            continue;
        back = true;
        for (int i = 0; i < tail->n_partitions; i++)
            if (l->at[i] < tail->at[i])
                tail->at[i] = l->at[i];
    }
    if (back)
        assign(tail);
}

static void free_listener(listener *l)
{
    if (l->stream)
        jm_http_stream_end(l->stream);
    free(l);
}

static void look_after(jm_tail *tail)
{
    for (listener **at = &tail->listeners; *at;) {
        listener *l = *at;
        if (jm_mono_ms() - l->told_ms > BEAT_MS)
            write_to(l, ":\n\n", 3);
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
static bool take_fresh(jm_tail *tail, listener **come)
{
    struct timespec until;
    pthread_mutex_lock(&tail->lock);
    while (!tail->stop && !tail->fresh && !tail->listeners)
        pthread_cond_wait(&tail->more, &tail->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (!tail->stop && !tail->rk && jm_mono_ms() < tail->retry_ms)
        pthread_cond_timedwait(&tail->more, &tail->lock, &until);
    *come = NULL;
    if (tail->rk) {
        *come = tail->fresh;
        tail->fresh = NULL;
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
    listener *come;
    pthread_setname_np(pthread_self(), "jm-tail");
    while (take_fresh(tail, &come)) {
        take_in(tail, come);
        if (!tail->rk && jm_mono_ms() >= tail->retry_ms)
            start_reading(tail);
        if (tail->rk)
            consume(tail);
        look_after(tail);
        if (!count(tail))
            stop_reading(tail); /* who comes next begins where the topic then ends */
    }
    end_all(come);
    end_all(tail->listeners);
    end_all(tail->fresh);
    tail->listeners = tail->fresh = NULL;
    stop_reading(tail);
    return NULL;
}

/* "0:17,1:4": of each partition the offset that comes next. */
static bool parse_place(const char *text, listener *l)
{
    while (*text) {
        char *end = NULL;
        long partition = strtol(text, &end, 10);
        if (end == text || *end != ':' || partition < 0 || partition >= PARTITIONS)
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
    const char *last = jm_req_header(req, "Last-Event-ID"), *type = jm_req_query(req, "type");
    const char *project = NULL;
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return NULL;
    listener *l = jm_calloc(1, sizeof *l);
    for (int i = 0; i < PARTITIONS; i++)
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
    l->stream = jm_req_stream(req);
    write_to(l, ":\n\n", 3); /* the headers go out with it */
    if (!add(jm_api_tail(jm_req_api(req)), l)) {
        write_to(l, JM_LIVE_TOO_MANY, sizeof JM_LIVE_TOO_MANY - 1);
        free_listener(l);
    }
}

jm_tail *jm_tail_new(const jm_config *config)
{
    jm_tail *tail = jm_calloc(1, sizeof *tail);
    jm_buf topic = {0};
    tail->config = config;
    jm_buf_addf(&topic, "%s.events", jm_config_str(config, "topics.prefix"));
    tail->topic = jm_buf_take(&topic);
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
    free(tail->topic);
    pthread_cond_destroy(&tail->more);
    pthread_mutex_destroy(&tail->lock);
    free(tail);
}
