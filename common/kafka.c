/* librdkafka set up from the configuration, and the topics of jobmill. */
#include "kafka.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "log.h"
#include "mem.h"

/* What librdkafka does out of the box is right but for these; [kafka] overrides them. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"log.connection.close", "false"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"}, /* back within two seconds of the broker's return */
    {"linger.ms", "0.5"},             /* batches form by themselves while requests are under way */
    {"message.max.bytes", "2097152"}, /* a job message of 1 MiB, with room for its headers */
};

/* Connections that fail are reported again at every attempt; whoever owns the handle says once that
 * Kafka is away, so these lines are for debugging. So are hints about properties of the other role.
 */
static jm_log_level level_of(int syslog_level, const char *fac)
{
    static const char *const noise[] = {"FAIL", "ERROR", "CONFWARN", "GETPID"};
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
        if (!strcmp(fac, noise[i]))
            return JM_DEBUG;
    if (syslog_level <= 2)
        return JM_ERROR;
    return syslog_level <= 4 ? JM_WARNING : syslog_level == 5 ? JM_INFO : JM_DEBUG;
}

static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    (void)rk;
    jm_logf(level_of(level, fac), "kafka", "%s: %s", fac, text);
}

typedef struct jm_conf_fill {
    rd_kafka_conf_t *conf;
    jm_err *err;
    int rc;
} jm_conf_fill;

static void set_one(void *ctx, const char *name, const char *value)
{
    jm_conf_fill *fill = ctx;
    if (fill->rc)
        return;
    char text[256], field[80];
    if (rd_kafka_conf_set(fill->conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return;
    snprintf(field, sizeof field, "kafka.%s", name);
    fill->rc = jm_err_field(fill->err, field, "%s", text);
}

int jm_kafka_conf(const jm_config *config, const char *role, rd_kafka_conf_t **out, jm_err *err)
{
    jm_conf_fill fill = {.conf = rd_kafka_conf_new(), .err = err};
    char client_id[64];
    snprintf(client_id, sizeof client_id, "jobmill-%s", role);
    set_one(&fill, "client.id", client_id);
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        set_one(&fill, defaults[i].name, defaults[i].value);
    jm_config_each_kafka(config, set_one, &fill);
    if (fill.rc) {
        rd_kafka_conf_destroy(fill.conf);
        return fill.rc;
    }
    rd_kafka_conf_set_log_cb(fill.conf, on_log);
    *out = fill.conf;
    return JM_OK;
}

/* A property of topics cannot be read before one of them has been set: then all are as they were.
 */
static bool is_default(const rd_kafka_conf_t *conf, const char *name)
{
    char now[64] = "", usual[64] = "";
    size_t n = sizeof now, m = sizeof usual;
    rd_kafka_conf_t *fresh = rd_kafka_conf_new();
    rd_kafka_conf_set(fresh, "message.timeout.ms", "300000", NULL, 0); /* its default */
    bool same = rd_kafka_conf_get(conf, name, now, &n) != RD_KAFKA_CONF_OK ||
                rd_kafka_conf_get(fresh, name, usual, &m) != RD_KAFKA_CONF_OK ||
                !strcmp(now, usual);
    rd_kafka_conf_destroy(fresh);
    return same;
}

int jm_kafka_conf_prefer(rd_kafka_conf_t *conf, const char *name, const char *value, jm_err *err)
{
    char text[256];
    if (!is_default(conf, name) ||
        rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return JM_OK;
    return jm_err_set(err, JM_ERR_KAFKA, "%s", text);
}

char *jm_kafka_queue_topic(const jm_config *config, const char *queue)
{
    jm_buf topic = {0};
    jm_buf_addf(&topic, "%s.jobs.%s", jm_config_str(config, "topics.prefix"), queue);
    return jm_buf_take(&topic);
}

bool jm_kafka_queue_is_valid(const char *queue)
{
    size_t len = strspn(queue, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return len >= 1 && len <= 63 && !queue[len];
}

/* A handle for admin requests: a producer that never produces. */
static int admin_handle(const jm_config *config, rd_kafka_t **out, jm_err *err)
{
    rd_kafka_conf_t *conf;
    char text[256];
    int rc = jm_kafka_conf(config, "admin", &conf, err);
    if (rc)
        return rc;
    *out = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (*out)
        return JM_OK;
    rd_kafka_conf_destroy(conf);
    return jm_err_set(err, JM_ERR_INVALID, "%s", text);
}

static int kafka_err(jm_err *err, rd_kafka_resp_err_t code, const char *what, const char *detail)
{
    jm_err_set(err, JM_ERR_KAFKA, "%s: %s", what, detail ? detail : rd_kafka_err2str(code));
    if (err) {
        err->kafka = code;
        err->retriable = true;
    }
    return JM_ERR_KAFKA;
}

/* Whether librdkafka's mock cluster is on the other side; after some metadata has come. It has no
 * CreateTopics: a request waits until its time is over. */
static bool is_embedded(rd_kafka_t *rk)
{
    char *id = rd_kafka_clusterid(rk, 0);
    bool embedded = id && !strncmp(id, "mockCluster", 11);
    rd_kafka_mem_free(rk, id);
    return embedded;
}

/* The embedded broker makes a topic when it is asked about it. */
static int create_by_asking(rd_kafka_t *rk, const char *topic, int timeout_ms, jm_err *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *meta = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, rkt, &meta, timeout_ms);
    if (!code && meta->topic_cnt == 1)
        code = meta->topics[0].err;
    rd_kafka_metadata_destroy(meta);
    rd_kafka_topic_destroy(rkt);
    return code ? kafka_err(err, code, topic, NULL) : JM_OK;
}

static rd_kafka_NewTopic_t *new_topic(const jm_config *config, const char *topic, jm_err *err)
{
    char text[256];
    rd_kafka_NewTopic_t *nt =
        rd_kafka_NewTopic_new(topic, (int)jm_config_int(config, "topics.partitions"),
                              (int)jm_config_int(config, "topics.replication"), text, sizeof text);
    if (!nt) {
        jm_err_set(err, JM_ERR_INVALID, "%s: %s", topic, text);
        return NULL;
    }
    const char *prefix = jm_config_str(config, "topics.prefix");
    size_t n = strlen(prefix);
    if (!strncmp(topic, prefix, n) && !strncmp(topic + n, ".jobs.", 6)) {
        /* Ids of jobs are derived from the broker's time, not from what a client's clock says. */
        rd_kafka_NewTopic_set_config(nt, "message.timestamp.type", "LogAppendTime");
        rd_kafka_NewTopic_set_config(nt, "max.message.bytes", "2097152");
    }
    return nt;
}

/* Sends the request; *code and text (256 bytes) tell the topic's fate. */
static rd_kafka_resp_err_t request_create(rd_kafka_t *rk, rd_kafka_NewTopic_t *nt, int timeout_ms,
                                          char text[256])
{
    char ignored[64];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ignored, sizeof ignored);
    rd_kafka_CreateTopics(rk, &nt, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    const char *detail = NULL;
    if (event && !(code = rd_kafka_event_error(event))) {
        size_t n = 0;
        const rd_kafka_topic_result_t **topics =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
        if (n == 1) {
            code = rd_kafka_topic_result_error(topics[0]);
            detail = rd_kafka_topic_result_error_string(topics[0]);
        }
    } else if (event) {
        detail = rd_kafka_event_error_string(event);
    }
    snprintf(text, 256, "%s", detail ? detail : rd_kafka_err2str(code));
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return code;
}

/* Whether the topic is there. Does not make it. */
static int find_topic(rd_kafka_t *rk, const char *topic, int timeout_ms, bool *found, jm_err *err)
{
    const struct rd_kafka_metadata *meta = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 1, NULL, &meta, timeout_ms);
    if (code)
        return kafka_err(err, code, topic, NULL);
    *found = false;
    for (int i = 0; i < meta->topic_cnt; i++)
        *found = *found || !strcmp(meta->topics[i].topic, topic);
    rd_kafka_metadata_destroy(meta);
    return JM_OK;
}

static int create_topic(rd_kafka_t *rk, rd_kafka_NewTopic_t *nt, const char *topic, int timeout_ms,
                        bool *created, jm_err *err)
{
    char text[256];
    bool found;
    int rc = find_topic(rk, topic, timeout_ms, &found, err);
    if (rc || found)
        return rc;
    if (is_embedded(rk))
        return create_by_asking(rk, topic, timeout_ms, err);
    rd_kafka_resp_err_t code = request_create(rk, nt, timeout_ms, text);
    if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return kafka_err(err, code, topic, text);
    *created = !code;
    return JM_OK;
}

int jm_kafka_topic_create(const jm_config *config, const char *topic, int timeout_ms, bool *created,
                          jm_err *err)
{
    rd_kafka_t *rk = NULL;
    *created = false;
    int rc = admin_handle(config, &rk, err);
    if (rc)
        return rc;
    rd_kafka_NewTopic_t *nt = new_topic(config, topic, err);
    rc = nt ? create_topic(rk, nt, topic, timeout_ms, created, err) : JM_ERR_INVALID;
    if (nt)
        rd_kafka_NewTopic_destroy(nt);
    rd_kafka_destroy(rk);
    return rc;
}
