/* Reads the topic of events from a place of one's own. */
#include "producer/http/events_reader.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"

enum { ASK_MS = 2000 /* for what the topic is like */, CREATE_MS = 5000, RETRY_MS = 1000 };

/* -1: nobody could say; 0: there is no such topic. */
static int count_partitions(rd_kafka_t *rk, const char *name)
{
    const rd_kafka_metadata_t *about = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    int n = -1;
    if (!rd_kafka_metadata(rk, 0, topic, &about, ASK_MS)) {
        n = about->topic_cnt == 1 ? about->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(about);
    }
    rd_kafka_topic_destroy(topic);
    return n;
}

/* How many partitions the topic has and where they end. One that is not there is made, so that the
 * first event finds who listens. false: nobody could say. */
static bool find_end(jm_events_reader *reader, rd_kafka_t *rk, const jm_config *config)
{
    jm_err err;
    bool created;
    int n = count_partitions(rk, reader->topic);
    reader->is_new |= n == 0;
    if (n == 0 && !jm_kafka_topic_create(config, reader->topic, CREATE_MS, &created, &err))
        n = count_partitions(rk, reader->topic);
    reader->n_partitions = n < JM_EVENTS_PARTITIONS ? n : JM_EVENTS_PARTITIONS;
    bool known = n > 0;
    for (int i = 0; known && i < reader->n_partitions; i++) {
        int64_t low = 0, high = 0;
        known = !rd_kafka_query_watermark_offsets(rk, reader->topic, i, &low, &high, ASK_MS);
        reader->at[i] = reader->most[i] = reader->is_new ? low : high;
    }
    reader->is_new &= !known;
    return known;
}

static rd_kafka_t *new_consumer(const jm_config *config, jm_err *err)
{
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *rk = NULL;
    char text[256];
    if (jm_kafka_conf(config, "api", &conf, err))
        return NULL;
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

void jm_events_reader_assign(jm_events_reader *reader)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < reader->n_partitions; i++)
        rd_kafka_topic_partition_list_add(list, reader->topic, i)->offset = reader->at[i];
    rd_kafka_assign(reader->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

bool jm_events_reader_open(jm_events_reader *reader, const jm_config *config, int64_t back)
{
    jm_err err = {0};
    jm_buf topic = {0};
    if (reader->rk || jm_mono_ms() < reader->retry_ms)
        return reader->rk != NULL;
    reader->retry_ms = jm_mono_ms() + RETRY_MS;
    rd_kafka_t *rk = new_consumer(config, &err);
    if (!rk) {
        jm_log_kv(JM_WARNING, "http", "events cannot be read", "why", err.msg, NULL);
        return false;
    }
    jm_buf_addf(&topic, "%s.events", jm_config_str(config, "topics.prefix"));
    free(reader->topic);
    reader->topic = jm_buf_take(&topic);
    if (!find_end(reader, rk, config)) {
        rd_kafka_destroy(rk);
        return false;
    }
    for (int i = 0; i < reader->n_partitions; i++)
        reader->at[i] = reader->at[i] > back ? reader->at[i] - back : 0;
    reader->rk = rk;
    jm_events_reader_assign(reader);
    return true;
}

void jm_events_reader_close(jm_events_reader *reader)
{
    if (reader->rk)
        rd_kafka_destroy(reader->rk);
    free(reader->topic);
    reader->rk = NULL;
    reader->topic = NULL;
    reader->retry_ms = 0;
}

rd_kafka_message_t *jm_events_reader_next(jm_events_reader *reader, int timeout_ms)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->rk, timeout_ms);
    if (!message)
        return NULL;
    int p = message->partition;
    if (message->err || p < 0 || p >= reader->n_partitions) {
        rd_kafka_message_destroy(message);
        return NULL;
    }
    reader->at[p] = message->offset + 1;
    if (reader->most[p] < reader->at[p])
        reader->most[p] = reader->at[p];
    return message;
}
