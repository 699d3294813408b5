/* Publishes events. */
#include "common/events.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/queue.h"

enum {
    WAITING_BYTES = 32 << 20, /* of texts between us and librdkafka; above it batches are dropped */
    TURN_MS = 100,
    CREATE_MS = 5000,    /* to make the topic */
    CREATE_GAP_MS = 2000 /* between two tries */
};

struct jm_event_batch {
    jm_node node;
    jm_buf text;
    jm_event_time time;
    struct event_place {
        size_t end; /* in text; it begins where the one before ends */
        jm_uuid id;
    } * events;
    int n, cap;
};

struct jm_events {
    jm_events_options options;
    jm_events_level level;
    char *topic;
    jm_queue *queue;
    _Atomic int64_t waiting;    /* bytes */
    _Atomic int64_t stop_by_ms; /* monotonic; INT64_MAX: not stopping */
    pthread_t thread;
    bool started;
    jm_series *sent, *waiting_bytes, *queue_full, *refused, *stopped;

    /* The thread's own. */
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt;
    bool has_topic;
    int64_t create_at_ms, told_ms;
};

/* ---- metrics ---- */

static const jm_metric_def sent_def = {.name = "jobmill_events_published_total",
                                       .help = "Events handed to the Kafka client.",
                                       .kind = JM_COUNTER};
static const jm_metric_def dropped_def = {
    .name = "jobmill_events_dropped_total",
    .help = "Events that were not published: queue_full (too many waited), not_delivered (Kafka "
            "did not take it in time), stopped (the program ended first).",
    .kind = JM_COUNTER,
    .labels = {"reason"}};
static const jm_metric_def waiting_def = {.name = "jobmill_events_waiting_bytes",
                                          .help = "Events that wait for the Kafka client.",
                                          .kind = JM_GAUGE};

static void add_metrics(jm_events *events, jm_metrics *metrics)
{
    if (!metrics)
        return;
    jm_metric *dropped = jm_metrics_add(metrics, &dropped_def);
    events->sent = jm_metric_get(jm_metrics_add(metrics, &sent_def), NULL);
    events->waiting_bytes = jm_metric_get(jm_metrics_add(metrics, &waiting_def), NULL);
    events->queue_full = jm_metric_get(dropped, (const char *[]){"queue_full"});
    events->refused = jm_metric_get(dropped, (const char *[]){"not_delivered"});
    events->stopped = jm_metric_get(dropped, (const char *[]){"stopped"});
    jm_series_set(events->waiting_bytes, 0);
}

/* ---- batches ---- */

jm_event_batch *jm_events_open(jm_events *events)
{
    return events ? jm_calloc(1, sizeof(jm_event_batch)) : NULL;
}

static void free_batch(jm_event_batch *batch)
{
    jm_buf_fini(&batch->text);
    free(batch->events);
    free(batch);
}

/* What has been written since the last one is an event about id. */
static void end_event(jm_event_batch *batch, const jm_uuid *id)
{
    if (batch->n == batch->cap) {
        batch->cap = batch->cap ? batch->cap * 2 : 64;
        batch->events = jm_realloc(batch->events, (size_t)batch->cap * sizeof *batch->events);
    }
    batch->events[batch->n++] = (struct event_place){.end = batch->text.len, .id = *id};
}

void jm_event_batch_add(jm_event_batch *batch, const jm_job_event *event)
{
    if (!batch)
        return;
    jm_job_event_write(&batch->text, &batch->time, event);
    end_event(batch, event->id);
}

void jm_event_batch_add_text(jm_event_batch *batch, const jm_uuid *subject, const char *text,
                             size_t len)
{
    if (!batch)
        return;
    jm_buf_add(&batch->text, text, len);
    end_event(batch, subject);
}

void jm_events_push(jm_events *events, jm_event_batch *batch)
{
    if (!batch)
        return;
    int64_t len = (int64_t)batch->text.len;
    jm_chain chain = {0};
    jm_chain_add(&chain, &batch->node);
    int64_t waiting = atomic_fetch_add(&events->waiting, len) + len;
    if (batch->n && waiting <= WAITING_BYTES && !jm_queue_push(events->queue, &chain)) {
        jm_series_set(events->waiting_bytes, waiting);
        return;
    }
    atomic_fetch_sub(&events->waiting, len);
    jm_series_add(events->queue_full, batch->n);
    free_batch(batch);
}

/* ---- Kafka ---- */

/* Only failures are reported. */
static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    jm_events *events = opaque;
    if (!message->err)
        return;
    bool purged = message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                  message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    jm_series_add(purged ? events->stopped : events->refused, 1);
    if (message->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        events->has_topic = false; /* somebody has deleted it */
    int64_t now = jm_mono_ms();
    if (purged || (events->told_ms && now - events->told_ms < 30000))
        return;
    events->told_ms = now;
    jm_log_kv(JM_WARNING, "events", "events are not delivered", "why",
              rd_kafka_err2str(message->err), NULL);
}

/* Ours, where the user has not said otherwise in [kafka]. */
static const char *const settings[][2] = {
    {"acks", "1"},
    {"linger.ms", "100"}, /* few large batches: what the broker pays for is the batch */
    {"sticky.partitioning.linger.ms", "100"},
    {"compression.type", "lz4"},
    {"message.timeout.ms", "60000"},
    {"queue.buffering.max.messages", "200000"},
    {"queue.buffering.max.kbytes", "65536"},
};

static bool is_idempotent(const rd_kafka_conf_t *conf)
{
    char value[16] = "";
    size_t n = sizeof value;
    rd_kafka_conf_get(conf, "enable.idempotence", value, &n);
    return !strcmp(value, "true"); /* needs acks=all */
}

static int configure(jm_events *events, rd_kafka_conf_t **out, jm_err *err)
{
    int rc = jm_kafka_conf(events->options.config, "events", out, err);
    if (rc)
        return rc;
    for (size_t i = is_idempotent(*out); i < sizeof settings / sizeof *settings && !rc; i++)
        rc = jm_kafka_conf_prefer(*out, settings[i][0], settings[i][1], err);
    if (rc) {
        rd_kafka_conf_destroy(*out);
        return rc;
    }
    rd_kafka_conf_set(*out, "delivery.report.only.error", "true", NULL, 0);
    rd_kafka_conf_set_dr_msg_cb(*out, on_report);
    rd_kafka_conf_set_opaque(*out, events);
    return JM_OK;
}

static int open_producer(jm_events *events, jm_err *err)
{
    rd_kafka_conf_t *conf;
    char text[256];
    int rc = configure(events, &conf, err);
    if (rc)
        return rc;
    events->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!events->rk) {
        rd_kafka_conf_destroy(conf);
        return jm_err_field(err, "kafka", "%s", text);
    }
    return JM_OK;
}

/* ---- the thread ---- */

static bool is_over(const jm_events *events)
{
    return jm_mono_ms() >= atomic_load(&events->stop_by_ms);
}

static void wait_a_turn(jm_events *events)
{
    jm_pulse_beat(events->options.pulse);
    rd_kafka_poll(events->rk, TURN_MS);
}

/* Whether there is a topic to publish to. Makes it; now and then tries again. */
static bool has_topic(jm_events *events)
{
    jm_err err;
    bool created = false;
    if (events->has_topic || jm_mono_ms() < events->create_at_ms)
        return events->has_topic;
    jm_pulse_rest(events->options.pulse); /* it has a deadline of its own */
    int rc =
        jm_kafka_topic_create(events->options.config, events->topic, CREATE_MS, &created, &err);
    jm_pulse_beat(events->options.pulse);
    events->has_topic = !rc;
    if (!rc && !events->rkt) /* not before: asking for it would have the broker make it its way */
        events->rkt = rd_kafka_topic_new(events->rk, events->topic, NULL);
    events->create_at_ms = jm_mono_ms() + CREATE_GAP_MS;
    if (created)
        jm_log_kv(JM_INFO, "events", "topic created", "topic", events->topic, NULL);
    else if (rc)
        jm_log_kv(JM_DEBUG, "events", "no topic for events yet", "why", err.msg, NULL);
    return events->has_topic;
}

static rd_kafka_resp_err_t produce(jm_events *events, const char *text, size_t len,
                                   const jm_uuid *id)
{
    char key[JM_UUID_TEXT];
    /* Events of a job must not overtake each other; where a job has only one, whole batches go to
     * one partition, which costs least. */
    bool keyed = events->level == JM_EVENTS_ALL;
    if (keyed)
        jm_uuid_format(id, key);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    rd_kafka_header_add(headers, "content-type", 12, JM_EVENT_CONTENT_TYPE,
                        sizeof JM_EVENT_CONTENT_TYPE - 1);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        events->rk, RD_KAFKA_V_RKT(events->rkt),
        RD_KAFKA_V_KEY(keyed ? key : NULL, keyed ? sizeof key - 1 : 0),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)text, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code)
        rd_kafka_headers_destroy(headers);
    return code;
}

/* librdkafka's queue is the second bound: while it is full, batches wait in ours. */
static void publish(jm_events *events, const jm_event_batch *batch)
{
    int sent = 0, i = 0;
    size_t from = 0;
    while (i < batch->n) {
        const struct event_place *place = &batch->events[i];
        rd_kafka_resp_err_t code =
            produce(events, batch->text.data + from, place->end - from, &place->id);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !is_over(events)) {
            wait_a_turn(events);
            continue;
        }
        if (code)
            jm_series_add(is_over(events) ? events->stopped : events->refused, 1);
        sent += !code;
        from = place->end;
        i++;
    }
    jm_series_add(events->sent, sent);
    rd_kafka_poll(events->rk, 0);
}

static void take_off(jm_events *events, jm_event_batch *batch)
{
    int64_t len = (int64_t)batch->text.len;
    jm_series_set(events->waiting_bytes, atomic_fetch_sub(&events->waiting, len) - len);
    free_batch(batch);
}

static void destroy_producer(jm_events *events)
{
    if (events->rkt)
        rd_kafka_topic_destroy(events->rkt);
    rd_kafka_destroy(events->rk);
}

static void end_producer(jm_events *events)
{
    int64_t left = atomic_load(&events->stop_by_ms) - jm_mono_ms();
    jm_pulse_rest(events->options.pulse);
    rd_kafka_flush(events->rk, left > 0 ? (int)left : 0);
    rd_kafka_purge(events->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_poll(events->rk, 0))
        ;
    destroy_producer(events);
}

static void *run(void *arg)
{
    jm_events *events = arg;
    jm_chain batches = {0};
    for (;;) {
        jm_pulse_beat(events->options.pulse);
        rd_kafka_poll(events->rk, 0);
        int rc = batches.n ? JM_OK : jm_queue_pop_all(events->queue, &batches, TURN_MS);
        if (rc == JM_ERR_CLOSED)
            break;
        if (!batches.n)
            continue;
        bool over = is_over(events);
        if (!over && !has_topic(events)) {
            wait_a_turn(events);
            continue;
        }
        jm_event_batch *batch = (jm_event_batch *)jm_chain_take(&batches);
        if (over)
            jm_series_add(events->stopped, batch->n);
        else
            publish(events, batch);
        take_off(events, batch);
    }
    end_producer(events);
    return NULL;
}

/* ---- interface ---- */

static jm_events_level level_of(const char *word)
{
    return !strcmp(word, "all")     ? JM_EVENTS_ALL
           : !strcmp(word, "ended") ? JM_EVENTS_ENDED
                                    : JM_EVENTS_NONE;
}

jm_events *jm_events_new(const jm_events_options *options)
{
    jm_events_level level = level_of(jm_config_str(options->config, "events.publish"));
    if (level == JM_EVENTS_NONE)
        return NULL;
    jm_events *events = jm_calloc(1, sizeof *events);
    jm_buf topic = {0};
    jm_buf_addf(&topic, "%s.events", jm_config_str(options->config, "topics.prefix"));
    events->options = *options;
    events->level = level;
    events->topic = jm_buf_take(&topic);
    events->queue = jm_queue_new(0);
    atomic_store(&events->stop_by_ms, INT64_MAX);
    add_metrics(events, options->metrics);
    return events;
}

int jm_events_start(jm_events *events, jm_err *err)
{
    int rc = events ? open_producer(events, err) : JM_OK;
    if (rc || !events)
        return rc;
    if (pthread_create(&events->thread, NULL, run, events))
        return jm_err_errno(err, JM_ERR_IO, "cannot start the events thread");
    pthread_setname_np(events->thread, "events");
    events->started = true;
    return JM_OK;
}

jm_events_level jm_events_level_of(const jm_events *events)
{
    return events ? events->level : JM_EVENTS_NONE;
}

void jm_events_stop(jm_events *events, int timeout_ms)
{
    if (!events || !events->started)
        return;
    atomic_store(&events->stop_by_ms, jm_mono_ms() + timeout_ms);
    jm_queue_close(events->queue);
    pthread_join(events->thread, NULL);
    events->started = false;
    events->rk = NULL;
}

void jm_events_free(jm_events *events)
{
    if (!events)
        return;
    jm_events_stop(events, 0);
    if (events->rk) /* its thread did not start */
        destroy_producer(events);
    jm_chain left = {0};
    jm_queue_pop_all(events->queue, &left, 0);
    for (jm_node *node; (node = jm_chain_take(&left));)
        free_batch((jm_event_batch *)node);
    jm_queue_free(events->queue);
    free(events->topic);
    free(events);
}
