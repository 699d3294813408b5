/* librdkafka set up from the configuration, topics, and an idempotent producer that survives fatal
 * errors. */
#ifndef JM_KAFKA_H
#define JM_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/err.h"
#include "common/job_message.h"

/* A configuration object with the [kafka] properties of config applied over our defaults
 * (socket.nagle.disable, client.id "jobmill-<role>", logs into our log). The caller owns it until
 * it is given to rd_kafka_new. Errors: JM_ERR_INVALID naming the property. */
int jm_kafka_conf(const jm_config *config, const char *role, rd_kafka_conf_t **out, jm_err *err);

/* Sets a property that the user has left as librdkafka has it. Errors: JM_ERR_KAFKA. */
int jm_kafka_conf_prefer(rd_kafka_conf_t *conf, const char *name, const char *value, jm_err *err);

/* "<prefix>.jobs.<queue>"; the caller frees. */
char *jm_kafka_queue_topic(const jm_config *config, const char *queue);
/* Whether it is [a-z0-9-]{1,63}. */
bool jm_kafka_queue_is_valid(const char *queue);

/* Creates a topic (LogAppendTime for job topics) with [topics] partitions and replication; one that
 * is there already is success with *created false. Blocks up to timeout_ms. */
int jm_kafka_topic_create(const jm_config *config, const char *topic, int timeout_ms, bool *created,
                          jm_err *err);

/* An idempotent producer (acks=all). Used by one thread. */
typedef struct jm_kafka_producer jm_kafka_producer;

/* Called from jm_kafka_producer_poll for each record: rc is JM_OK once it is acknowledged. Records
 * in flight when the producer goes fatal and is rebuilt are reported as failed: the caller sends
 * again. */
typedef void (*jm_kafka_delivered)(void *ctx, void *opaque, int rc, const jm_err *err);

int jm_kafka_producer_new(const jm_config *config, const char *role, jm_kafka_delivered delivered,
                          void *ctx, jm_kafka_producer **out, jm_err *err);
/* Waits up to timeout_ms for what is in flight, then drops it (reported as failed). */
void jm_kafka_producer_free(jm_kafka_producer *producer, int timeout_ms);
/* Copies the value and queues it; does not block. JM_ERR_KAFKA with retriable set when the local
 * queue is full. */
int jm_kafka_producer_send(jm_kafka_producer *producer, const char *topic, const void *key,
                           size_t key_len, const void *value, size_t value_len,
                           const jm_header *headers, size_t n_headers, void *opaque, jm_err *err);
/* Serves delivery reports for up to timeout_ms; rebuilds the handle after a fatal error. */
int jm_kafka_producer_poll(jm_kafka_producer *producer, int timeout_ms);
/* From now on an 8-byte 1 is written to fd (an eventfd) whenever there is something to poll for;
 * poll with timeout 0 then. The descriptor stays the caller's and must outlive the producer. */
void jm_kafka_producer_wake_fd(jm_kafka_producer *producer, int fd);
/* Whether a broker answers within timeout_ms. */
bool jm_kafka_producer_answers(jm_kafka_producer *producer, int timeout_ms);
size_t jm_kafka_producer_in_flight(const jm_kafka_producer *producer);

#endif
