/* Makes the topic of a queue anew. */
#include "producer/service/topics_recreate.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/kafka.h"
#include "common/mem.h"
#include "common/pg.h"

enum {
    ASK_MS = 10000,
    LOOK_EVERY_MS = 250,
    READ_MS = 60000,
    GONE_MS = 30000,
    LOCK_MARGIN_S = 180,
    FOREIGN_MAX = 10000 /* counted no further */
};

/* One run; everything it holds. */
struct work {
    jm_pg *pg;
    const jm_config *config;
    const jm_topics_recreation *r;
    rd_kafka_t *rk; /* consumer handle of the queue's group that never joins it */
    char *topic, *group, *lock;
    int64_t token; /* 0: not taken */
};

static int kafka_failed(const struct work *w, rd_kafka_resp_err_t code, const char *what,
                        jm_err *err)
{
    jm_err_set(err, JM_ERR_KAFKA, "%s at %s: %s", what,
               jm_config_str(w->config, "kafka.bootstrap.servers"), rd_kafka_err2str(code));
    err->kafka = code;
    return JM_ERR_KAFKA;
}

static int open_handle(struct work *w, jm_err *err)
{
    rd_kafka_conf_t *conf;
    char why[256];
    int rc = jm_kafka_conf(w->config, "cli", &conf, err);
    if (rc)
        return rc;
    if (rd_kafka_conf_set(conf, "group.id", w->group, why, sizeof why) ||
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", why, sizeof why) ||
        !(w->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why))) {
        rd_kafka_conf_destroy(conf);
        return jm_err_set(err, JM_ERR_KAFKA, "%s", why);
    }
    return JM_OK;
}

/* Number of partitions; 0 when there is no such topic. */
static int count_partitions(struct work *w, int *n, jm_err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(w->rk, 1, NULL, &metadata, ASK_MS);
    if (code)
        return kafka_failed(w, code, "cannot list topics", err);
    *n = 0;
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (!strcmp(metadata->topics[i].topic, w->topic))
            *n = metadata->topics[i].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return JM_OK;
}

/* The part of a partition that the group has not accepted: from p->offset to *end. */
static int find_rest(struct work *w, rd_kafka_topic_partition_t *p, int64_t *end, jm_err *err)
{
    int64_t low, high;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(w->rk, w->topic, p->partition, &low, &high, ASK_MS);
    if (code)
        return kafka_failed(w, code, "cannot ask for the end of a partition", err);
    p->offset = p->offset > low ? p->offset : low;
    *end = high;
    return JM_OK;
}

/* A record of the relay names a job that the database has. */
static bool is_foreign(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    return rd_kafka_message_headers(message, &headers) ||
           rd_kafka_header_get_last(headers, "jobmill-job", &value, &size);
}

/* Reads partitions from their offsets up to ends and counts what came from outside, up to a bound.
 */
static int read_rest(struct work *w, rd_kafka_topic_partition_list_t *list, const int64_t *ends,
                     int *foreign, jm_err *err)
{
    int open = list->cnt;
    int64_t until = jm_mono_ms() + READ_MS;
    rd_kafka_resp_err_t code = rd_kafka_assign(w->rk, list);
    if (code)
        return kafka_failed(w, code, "cannot read the topic", err);
    while (open && *foreign < FOREIGN_MAX) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(w->rk, 200);
        if (jm_mono_ms() >= until) {
            if (message)
                rd_kafka_message_destroy(message);
            return jm_err_set(err, JM_ERR_KAFKA, "%s could not be read within %d s", w->topic,
                              READ_MS / 1000);
        }
        if (!message)
            continue;
        if (!message->err) {
            *foreign += is_foreign(message);
            for (int i = 0; i < list->cnt; i++)
                open -= list->elems[i].partition == message->partition &&
                        message->offset == ends[i] - 1;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_assign(w->rk, NULL);
    return JM_OK;
}

/* A broker that has just become the group's coordinator, or is it no longer. */
static bool is_moving(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

/* The group's committed offsets, asked for again while its coordinator moves. */
static rd_kafka_resp_err_t ask_committed(const struct work *w, rd_kafka_topic_partition_list_t *all)
{
    int64_t until = jm_mono_ms() + ASK_MS;
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_committed(w->rk, all, ASK_MS);
        for (int i = 0; !code && i < all->cnt; i++)
            code = is_moving(all->elems[i].err) ? all->elems[i].err : code;
        if (!is_moving(code) || jm_mono_ms() >= until)
            return code;
        poll(NULL, 0, LOOK_EVERY_MS);
    }
}

/* Records that no worker has accepted and that exist nowhere else: they came from outside. */
static int count_foreign(struct work *w, int partitions, int *foreign, jm_err *err)
{
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(partitions),
                                    *rest = rd_kafka_topic_partition_list_new(partitions);
    int64_t *ends = jm_calloc((size_t)partitions, sizeof *ends);
    rd_kafka_topic_partition_list_add_range(all, w->topic, 0, partitions - 1);
    rd_kafka_resp_err_t code = ask_committed(w, all);
    int rc = code ? kafka_failed(w, code, "cannot ask for committed offsets", err) : JM_OK;
    *foreign = 0;
    for (int i = 0; i < all->cnt && !rc; i++) {
        rd_kafka_topic_partition_t *p = &all->elems[i];
        rc = find_rest(w, p, &ends[rest->cnt], err);
        if (!rc && p->offset < ends[rest->cnt])
            rd_kafka_topic_partition_list_add(rest, w->topic, p->partition)->offset = p->offset;
    }
    if (!rc && rest->cnt)
        rc = read_rest(w, rest, ends, foreign, err);
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_topic_partition_list_destroy(rest);
    free(ends);
    return rc;
}

static int refuse_loss(struct work *w, int partitions, jm_err *err)
{
    int foreign;
    if (w->r->lose_records)
        return JM_OK;
    int rc = count_foreign(w, partitions, &foreign, err);
    if (rc || !foreign)
        return rc;
    return jm_err_set(err, JM_ERR_CONFLICT,
                      "%s has %s%d records that no worker has accepted, and they would be lost: "
                      "let workers accept them, keep others from writing to it, and try again; or "
                      "say --lose-records",
                      w->topic, foreign >= FOREIGN_MAX ? "at least " : "", foreign);
}

/* ---- having the workers leave ---- */

static void notify(struct work *w)
{
    jm_err ignored; /* they look by themselves at each heartbeat */
    (void)jm_pg_query(w->pg, &jm_sql_topic_notify, NULL, NULL, &ignored);
}

static int take_lock(struct work *w, jm_err *err)
{
    PGresult *res = NULL;
    jm_pg_args args;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", w->r->timeout_s + LOCK_MARGIN_S);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, w->lock);
    jm_pg_arg_text(&args, seconds);
    int rc = jm_pg_query(w->pg, &jm_sql_topic_lock, &args, &res, err);
    if (rc)
        return rc;
    if (PQgetisnull(res, 0, 0))
        rc = jm_err_set(err, JM_ERR_CONFLICT, "somebody is making %s anew right now", w->topic);
    else
        w->token = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    if (!rc)
        notify(w);
    return rc;
}

static void drop_lock(struct work *w)
{
    jm_err ignored; /* it expires */
    jm_pg_args args;
    if (!w->token)
        return;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, w->lock);
    jm_pg_arg_i64(&args, w->token);
    (void)jm_pg_query(w->pg, &jm_sql_topic_unlock, &args, NULL, &ignored);
    notify(w);
}

static int count_members(struct work *w, int *n, jm_err *err)
{
    const struct rd_kafka_group_list *list;
    rd_kafka_resp_err_t code = rd_kafka_list_groups(w->rk, w->group, &list, ASK_MS);
    if (code)
        return kafka_failed(w, code, "cannot ask who is in the group", err);
    *n = list->group_cnt ? list->groups[0].member_cnt : 0;
    rd_kafka_group_list_destroy(list);
    return JM_OK;
}

/* A stop is obeyed while the workers can simply be let back in; after that, finishing is quicker.
 */
static int refuse_stopped(struct work *w, jm_err *err)
{
    return w->r->is_stopped && w->r->is_stopped(w->r->ctx)
               ? jm_err_set(err, JM_ERR_CONFLICT, "interrupted: %s is as it was", w->topic)
               : JM_OK;
}

static int wait_left(struct work *w, jm_err *err)
{
    int64_t until = jm_mono_ms() + INT64_C(1000) * w->r->timeout_s;
    for (int members = 0, said = -1;;) {
        int rc = refuse_stopped(w, err);
        rc = rc ? rc : count_members(w, &members, err);
        if (rc || !members)
            return rc;
        if (jm_mono_ms() >= until)
            return jm_err_set(err, JM_ERR_CONFLICT,
                              "%d consumers have not left group %s within %d s: stop them first "
                              "(workers that cannot reach the database do not hear of it)",
                              members, w->group, w->r->timeout_s);
        char text[120];
        snprintf(text, sizeof text, "waiting for %d consumers to leave the queue", members);
        if (members != said)
            w->r->say(w->r->ctx, text);
        said = members;
        poll(NULL, 0, LOOK_EVERY_MS);
    }
}

/* ---- the topic ---- */

static int request_delete(struct work *w, jm_err *err)
{
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(w->topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(w->rk);
    rd_kafka_DeleteTopics(w->rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, GONE_MS);
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!code) {
        size_t n = 0;
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
        code = n ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy(topic);
    return code ? kafka_failed(w, code, "cannot delete the topic", err) : JM_OK;
}

static int wait_gone(struct work *w, jm_err *err)
{
    int64_t until = jm_mono_ms() + GONE_MS;
    for (int n = 1; n;) {
        int rc = count_partitions(w, &n, err);
        if (rc)
            return rc;
        if (n && jm_mono_ms() >= until)
            return jm_err_set(err, JM_ERR_KAFKA, "%s was deleted and is still listed", w->topic);
        if (n)
            poll(NULL, 0, LOOK_EVERY_MS);
    }
    return JM_OK;
}

static int replace_topic(struct work *w, jm_err *err)
{
    bool created = false;
    w->r->say(w->r->ctx, "deleting the topic");
    int rc = request_delete(w, err);
    if (rc)
        return rc;
    rc = wait_gone(w, err);
    rc = rc ? rc : jm_kafka_topic_create(w->config, w->topic, ASK_MS, &created, err);
    if (rc)
        jm_err_prefix(err, "the topic has been deleted, but not made again (jobmill topics create "
                           "makes it)");
    else if (!created)
        w->r->say(w->r->ctx, "somebody who writes to it has made the topic already: with the "
                             "broker's settings, not with ours");
    return rc;
}

static int republish(struct work *w, json_t **out, jm_err *err)
{
    PGresult *res = NULL;
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, w->r->queue);
    int rc = jm_pg_query(w->pg, &jm_sql_topic_republish, &args, &res, err);
    if (!rc)
        *out = json_pack("{s:s, s:s, s:I}", "queue", w->r->queue, "topic", w->topic, "republished",
                         (json_int_t)strtoll(PQgetvalue(res, 0, 0), NULL, 10));
    PQclear(res);
    return rc;
}

static int recreate(struct work *w, json_t **out, jm_err *err)
{
    int partitions = 0;
    int rc = open_handle(w, err);
    rc = rc ? rc : count_partitions(w, &partitions, err);
    if (!rc && !partitions)
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no topic %s: jobmill topics create %s",
                        w->topic, w->r->queue);
    rc = rc ? rc : take_lock(w, err);
    rc = rc ? rc : wait_left(w, err);
    rc = rc ? rc : refuse_loss(w, partitions, err);
    rc = rc ? rc : refuse_stopped(w, err);
    rc = rc ? rc : replace_topic(w, err);
    rc = rc ? rc : republish(w, out, err);
    drop_lock(w);
    return rc;
}

int jm_topics_recreate(jm_pg *pg, const jm_config *config, const jm_topics_recreation *recreation,
                       json_t **out, jm_err *err)
{
    *out = NULL;
    if (!jm_kafka_queue_is_valid(recreation->queue))
        return jm_err_field(err, "queue", "queue \"%.80s\" needs 1 to 63 of a-z 0-9 -",
                            recreation->queue);
    struct work w = {.pg = pg, .config = config, .r = recreation};
    jm_buf group = {0}, lock = {0};
    jm_buf_addf(&group, "%s.%s", jm_config_str(config, "topics.prefix"), recreation->queue);
    jm_buf_addf(&lock, "topic:%s", recreation->queue);
    w.topic = jm_kafka_queue_topic(config, recreation->queue);
    w.group = jm_buf_take(&group);
    w.lock = jm_buf_take(&lock);
    int rc = recreate(&w, out, err);
    if (w.rk)
        rd_kafka_destroy(w.rk);
    free(w.topic);
    free(w.group);
    free(w.lock);
    return rc;
}
