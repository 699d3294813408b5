/* Writes job messages to Kafka for callers that have no database. */
#include "producer/service/publish.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/mem.h"

enum { ACK_TIMEOUT_MS = 15000 };

/* As a worker will read it, so that what it would refuse is refused here. */
int jm_publish_check(const char *text, jm_err *err)
{
    jm_record record = {.topic = "cli", .value = text, .value_len = strlen(text)};
    jm_message_limits limits = {.now_ms = jm_utc_us() / 1000};
    record.timestamp_ms = limits.now_ms;
    jm_arena *arena = jm_arena_new(0);
    jm_job job = {0};
    const char *reason = NULL;
    int rc = jm_job_message_parse(&record, &limits, arena, &job, &reason, err);
    jm_arena_free(arena);
    return rc;
}

struct delivery {
    bool reported;
    int rc;
    jm_err err;
};

static void delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    struct delivery *delivery = ctx;
    (void)opaque;
    delivery->reported = true;
    delivery->rc = rc;
    delivery->err = *err;
}

static int send_message(const jm_config *config, const char *topic, const char *text, jm_err *err)
{
    struct delivery delivery = {0};
    jm_kafka_producer *producer;
    int rc = jm_kafka_producer_new(config, "cli", delivered, &delivery, &producer, err);
    if (rc)
        return rc;
    rc = jm_kafka_producer_send(producer, topic, NULL, 0, text, strlen(text), NULL, 0, NULL, err);
    int64_t until = jm_mono_ms() + ACK_TIMEOUT_MS;
    while (!rc && !delivery.reported && jm_mono_ms() < until)
        jm_kafka_producer_poll(producer, 100);
    bool reported = delivery.reported;
    jm_kafka_producer_free(producer, 0);
    if (rc)
        return rc;
    if (!reported)
        return jm_err_set(err, JM_ERR_KAFKA, "Kafka at %s has not acknowledged it within %d s",
                          jm_config_str(config, "kafka.bootstrap.servers"), ACK_TIMEOUT_MS / 1000);
    if (delivery.rc)
        *err = delivery.err;
    return delivery.rc;
}

int jm_publish(const jm_config *config, const char *queue, const char *message, jm_err *err)
{
    queue = queue ? queue : "default";
    if (!jm_kafka_queue_is_valid(queue))
        return jm_err_field(err, "queue", "queue \"%.80s\" needs 1 to 63 of a-z 0-9 -", queue);
    char *topic = jm_kafka_queue_topic(config, queue);
    bool created;
    int rc = jm_publish_check(message, err);
    rc = rc ? rc : jm_kafka_topic_create(config, topic, ACK_TIMEOUT_MS, &created, err);
    rc = rc ? rc : send_message(config, topic, message, err);
    free(topic);
    return rc;
}
