/* The thread that polls Kafka: one consumer a queue, records into batches, offsets of accepted
 * batches back. It never runs a job and never waits for one. */
#ifndef JM_CONSUMER_H
#define JM_CONSUMER_H

#include "common/clock.h"
#include "common/config.h"
#include "common/metrics.h"
#include "common/watchdog.h"
#include "worker/intake.h"

typedef struct jm_consumer jm_consumer;

typedef struct jm_consumer_options {
    const jm_config *config;
    const char *const *queues; /* NULL-terminated; borrowed */
    const int *weights;        /* of each queue */
    jm_db_clock *clock;
    int batch_rows;
    jm_metric *lag;  /* topic, partition; may be NULL, and so may pulse */
    jm_pulse *pulse; /* the watch on polling: librdkafka's own clock starts anew with any queue */
} jm_consumer_options;

int jm_consumer_new(const jm_consumer_options *options, jm_consumer **out, jm_err *err);
void jm_consumer_set_intake(jm_consumer *consumer, jm_intake intake); /* before start */
int jm_consumer_start(jm_consumer *consumer, jm_err *err);
/* The store's callback: the batch is accepted. Any thread; takes the batch. */
void jm_consumer_accepted(jm_consumer *consumer, jm_batch *batch);

/* Everything of the partition before next_offset is done with: it may be committed. For a store
 * without a database, in place of jm_consumer_accepted. Any thread, until jm_consumer_stop. */
void jm_consumer_done(jm_consumer *consumer, int queue, int32_t partition, int64_t next_offset);

/* Leaves the group of a queue once what has been polled of it is accepted, or joins it again: its
 * topic is being made anew. Any thread; repeating it changes nothing. */
void jm_consumer_set_released(jm_consumer *consumer, int queue, bool released);

bool jm_consumer_is_up(jm_consumer *consumer);     /* some broker answers */
int jm_consumer_partitions(jm_consumer *consumer); /* assigned now, of all queues */

/* Stops polling; offsets of batches that are accepted later are still stored. */
void jm_consumer_quiesce(jm_consumer *consumer);
/* Commits, leaves the groups, ends the thread; gives up on a close that blocks after timeout_ms. */
void jm_consumer_stop(jm_consumer *consumer, int timeout_ms);
void jm_consumer_free(jm_consumer *consumer);

#endif
