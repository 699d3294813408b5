/* Kafka topics of jobmill. */
#include "producer/service/topics.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/kafka.h"
#include "common/pg.h"
#include "common/rows.h"

#define WAIT_MS 5000

static int by_name(const void *a, const void *b)
{
    const rd_kafka_metadata_topic_t *x = a, *y = b;
    return strcmp(x->topic, y->topic);
}

static json_t *items_of(const struct rd_kafka_metadata *metadata, const char *prefix)
{
    json_t *items = json_array();
    jm_buf jobs = {0}, own = {0};
    jm_buf_addf(&jobs, "%s.jobs.", prefix);
    jm_buf_addf(&own, "%s.", prefix);
    qsort(metadata->topics, (size_t)metadata->topic_cnt, sizeof *metadata->topics, by_name);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *t = &metadata->topics[i];
        if (strncmp(t->topic, own.data, own.len) != 0)
            continue;
        const char *queue = strncmp(t->topic, jobs.data, jobs.len) ? NULL : t->topic + jobs.len;
        json_array_append_new(items,
                              json_pack("{s:s, s:s?, s:i, s:i}", "topic", t->topic, "queue", queue,
                                        "partitions", t->partition_cnt, "replication",
                                        t->partition_cnt ? t->partitions[0].replica_cnt : 0));
    }
    jm_buf_fini(&jobs);
    jm_buf_fini(&own);
    return items;
}

int jm_topics_list(const jm_config *config, int timeout_ms, json_t **items, jm_err *err)
{
    rd_kafka_conf_t *conf;
    char why[256];
    *items = NULL;
    int rc = jm_kafka_conf(config, "cli", &conf, err);
    if (rc)
        return rc;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        return jm_err_set(err, JM_ERR_KAFKA, "%s", why);
    }
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout_ms);
    if (code) {
        rc = jm_err_set(err, JM_ERR_KAFKA, "cannot reach Kafka at %s: %s",
                        jm_config_str(config, "kafka.bootstrap.servers"), rd_kafka_err2str(code));
        err->kafka = code;
        err->retriable = true;
    } else {
        *items = items_of(metadata, jm_config_str(config, "topics.prefix"));
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_destroy(rk);
    return rc;
}

/* A broker makes a topic before it tells everybody: until it lists it, at most WAIT_MS. */
static void wait_listed(const jm_config *config, const char *topic)
{
    int64_t until = jm_mono_ms() + WAIT_MS;
    bool listed = false;
    while (!listed && jm_mono_ms() < until) {
        json_t *items = NULL, *item;
        jm_err err;
        size_t i;
        if (jm_topics_list(config, WAIT_MS, &items, &err))
            return;
        json_array_foreach(items, i, item)
        {
            listed |= !strcmp(json_string_value(json_object_get(item, "topic")), topic);
        }
        json_decref(items);
        if (!listed)
            poll(NULL, 0, 50);
    }
}

int jm_topics_create(const jm_config *config, const char *queue, json_t **out, jm_err *err)
{
    bool created = false;
    *out = NULL;
    if (!jm_kafka_queue_is_valid(queue))
        return jm_err_field(err, "queue", "queue \"%.80s\" needs 1 to 63 of a-z 0-9 -", queue);
    char *topic = jm_kafka_queue_topic(config, queue);
    int rc = jm_kafka_topic_create(config, topic, 15000, &created, err);
    if (!rc && created)
        wait_listed(config, topic);
    if (!rc)
        *out = json_pack("{s:s, s:s, s:b}", "queue", queue, "topic", topic, "created", created);
    free(topic);
    return rc;
}

int jm_topics_known(jm_pg *pg, const jm_config *config, json_t **items, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, jm_config_str(config, "topics.prefix"));
    return jm_rows_list(pg, &jm_sql_topic_known, &args, items, err);
}
