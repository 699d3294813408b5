/* An idempotent Kafka producer that survives its own fatal errors by being rebuilt. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kafka.h"
#include "log.h"
#include "mem.h"

struct jm_kafka_producer {
    rd_kafka_t *rk; /* NULL between a fatal error and a rebuild that worked */
    const jm_config *config;
    char *role;
    jm_kafka_delivered delivered;
    void *ctx;
    size_t in_flight; /* sent and not yet reported */
    int64_t rebuild_at_ms;
    int wake_fd; /* -1: none */
};

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    jm_kafka_producer *producer = opaque;
    jm_err err = {0};
    if (message->err) {
        jm_err_set(&err, JM_ERR_KAFKA, "%s", rd_kafka_err2str(message->err));
        err.kafka = message->err;
        err.retriable = message->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE &&
                        message->err != RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE &&
                        message->err != RD_KAFKA_RESP_ERR_INVALID_RECORD;
    }
    producer->in_flight--;
    producer->delivered(producer->ctx, message->_private, message->err ? JM_ERR_KAFKA : JM_OK,
                        &err);
}

/* What the application sets in [kafka] wins, except what the promise stands on. */
static int producer_conf(const jm_config *config, const char *role, rd_kafka_conf_t **out,
                         jm_err *err)
{
    static const char *const fixed[][2] = {{"enable.idempotence", "true"}, {"acks", "all"}};
    int rc = jm_kafka_conf(config, role, out, err);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed && !rc; i++) {
        char text[256];
        if (rd_kafka_conf_set(*out, fixed[i][0], fixed[i][1], text, sizeof text)) {
            rc = jm_err_field(err, fixed[i][0], "%s", text);
            rd_kafka_conf_destroy(*out);
        }
    }
    return rc;
}

static int build(jm_kafka_producer *producer, jm_err *err)
{
    rd_kafka_conf_t *conf;
    char text[256];
    int rc = producer_conf(producer->config, producer->role, &conf, err);
    if (rc)
        return rc;
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_opaque(conf, producer);
    producer->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!producer->rk) {
        rd_kafka_conf_destroy(conf);
        return jm_err_field(err, "kafka", "%s", text);
    }
    if (producer->wake_fd >= 0)
        jm_kafka_producer_wake_fd(producer, producer->wake_fd);
    return JM_OK;
}

void jm_kafka_producer_wake_fd(jm_kafka_producer *producer, int fd)
{
    static const uint64_t one = 1;
    producer->wake_fd = fd;
    if (!producer->rk)
        return;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->rk);
    rd_kafka_queue_io_event_enable(queue, fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
}

bool jm_kafka_producer_answers(jm_kafka_producer *producer, int timeout_ms)
{
    const struct rd_kafka_metadata *meta = NULL;
    if (!producer->rk || rd_kafka_metadata(producer->rk, 0, NULL, &meta, timeout_ms))
        return false;
    rd_kafka_metadata_destroy(meta);
    return true;
}

int jm_kafka_producer_new(const jm_config *config, const char *role, jm_kafka_delivered delivered,
                          void *ctx, jm_kafka_producer **out, jm_err *err)
{
    jm_kafka_producer *producer = jm_calloc(1, sizeof *producer);
    producer->config = config;
    producer->role = jm_strdup(role);
    producer->delivered = delivered;
    producer->ctx = ctx;
    producer->wake_fd = -1;
    int rc = build(producer, err);
    if (rc) {
        free(producer->role);
        free(producer);
        return rc;
    }
    *out = producer;
    return JM_OK;
}

/* Reports as failed whatever has no report yet, and gives the handle up. */
static void tear_down(jm_kafka_producer *producer)
{
    rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    int64_t deadline = jm_mono_ms() + 5000;
    while (producer->in_flight && jm_mono_ms() < deadline)
        rd_kafka_poll(producer->rk, 100);
    rd_kafka_destroy(producer->rk);
    producer->rk = NULL;
    assert(!producer->in_flight); /* a purge reports everything */
}

void jm_kafka_producer_free(jm_kafka_producer *producer, int timeout_ms)
{
    if (!producer)
        return;
    int64_t deadline = jm_mono_ms() + timeout_ms;
    while (producer->rk && producer->in_flight && jm_mono_ms() < deadline)
        rd_kafka_poll(producer->rk, 20);
    if (producer->rk)
        tear_down(producer);
    free(producer->role);
    free(producer);
}

static int send_failed(jm_err *err, rd_kafka_resp_err_t code)
{
    jm_err_set(err, JM_ERR_KAFKA, "%s", rd_kafka_err2str(code));
    if (err) {
        err->kafka = code;
        err->retriable = code != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    }
    return JM_ERR_KAFKA;
}

int jm_kafka_producer_send(jm_kafka_producer *producer, const char *topic, const void *key,
                           size_t key_len, const void *value, size_t value_len,
                           const jm_header *headers, size_t n_headers, void *opaque, jm_err *err)
{
    if (!producer->rk)
        return send_failed(err, RD_KAFKA_RESP_ERR__STATE);
    rd_kafka_headers_t *list = rd_kafka_headers_new(n_headers);
    for (size_t i = 0; i < n_headers; i++)
        rd_kafka_header_add(list, headers[i].name, -1, headers[i].value, (ssize_t)headers[i].len);
    rd_kafka_resp_err_t code =
        rd_kafka_producev(producer->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_len),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value_len),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(list),
                          RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (code) {
        rd_kafka_headers_destroy(list);
        return send_failed(err, code);
    }
    producer->in_flight++;
    return JM_OK;
}

/* A fatal error ends an idempotent producer for good; a new one starts with a new producer id, and
 * the caller sends again what was reported as failed. Workers tell such duplicates by the row. */
static int rebuild(jm_kafka_producer *producer)
{
    char text[256];
    jm_err err = {0};
    if (producer->rk) {
        rd_kafka_resp_err_t code = rd_kafka_fatal_error(producer->rk, text, sizeof text);
        jm_logf(JM_WARNING, "kafka", "producer ended by %s: %s; starting a new one",
                rd_kafka_err2name(code), text);
        tear_down(producer);
    }
    if (jm_mono_ms() < producer->rebuild_at_ms)
        return JM_OK;
    producer->rebuild_at_ms = jm_mono_ms() + 1000;
    int rc = build(producer, &err);
    if (rc)
        jm_logf(JM_ERROR, "kafka", "cannot start a producer: %s", err.msg);
    return rc;
}

int jm_kafka_producer_poll(jm_kafka_producer *producer, int timeout_ms)
{
    char text[256];
    if (producer->rk)
        rd_kafka_poll(producer->rk, timeout_ms);
    if (!producer->rk || rd_kafka_fatal_error(producer->rk, text, sizeof text))
        return rebuild(producer);
    return JM_OK;
}

size_t jm_kafka_producer_in_flight(const jm_kafka_producer *producer)
{
    return producer->in_flight;
}
