/* Publishes outcomes and dead letters, and sees to it that Kafka has them. */
#include "worker/outlet.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"

enum { HEADERS_MAX = 40, RESEND_US = 500000, TOPIC_TIMEOUT_MS = 5000 };

struct jm_outlet {
    const jm_config *config;
    jm_kafka_producer *producer;
    char *events_topic, *dead_topic;
    jm_chain unsent; /* to be sent again */
    jm_outlet_published *published;
    void *ctx;
    bool closing;
};

static void add_header(jm_header *headers, size_t *n, const char *name, const char *value)
{
    if (value && *n < HEADERS_MAX)
        headers[(*n)++] = (jm_header){name, value, strlen(value)};
}

/* The record as it came, its own headers included, and why it is here. */
static int send_dead(jm_outlet *outlet, jm_outgoing *outgoing, jm_err *err)
{
    const rd_kafka_message_t *m = outgoing->message;
    jm_header headers[HEADERS_MAX];
    rd_kafka_headers_t *list;
    char partition[16], offset[24];
    size_t n = 0;
    snprintf(partition, sizeof partition, "%d", (int)m->partition);
    snprintf(offset, sizeof offset, "%lld", (long long)m->offset);
    add_header(headers, &n, "jobmill-reason", outgoing->reason);
    add_header(headers, &n, "jobmill-field", outgoing->field);
    add_header(headers, &n, "jobmill-detail", outgoing->detail);
    add_header(headers, &n, "jobmill-topic", rd_kafka_topic_name(m->rkt));
    add_header(headers, &n, "jobmill-partition", partition);
    add_header(headers, &n, "jobmill-offset", offset);
    if (!rd_kafka_message_headers(m, &list)) {
        jm_header *h = &headers[n];
        for (size_t i = 0;
             n < HEADERS_MAX && !rd_kafka_header_get_all(list, i, &h->name, &h->value, &h->len);
             i++)
            h = &headers[++n];
    }
    return jm_kafka_producer_send(outlet->producer, outlet->dead_topic, m->key, m->key_len,
                                  m->payload, m->len, headers, n, outgoing, err);
}

static int send_outcome(jm_outlet *outlet, jm_outgoing *outgoing, jm_err *err)
{
    static const char content_type[] = "application/cloudevents+json; charset=UTF-8";
    jm_header header = {"content-type", content_type, sizeof content_type - 1};
    char id[JM_UUID_TEXT];
    jm_uuid_format(&outgoing->id, id);
    return jm_kafka_producer_send(outlet->producer, outlet->events_topic, id, strlen(id),
                                  outgoing->outcome.data, outgoing->outcome.len, &header, 1,
                                  outgoing, err);
}

static void failed(jm_outlet *outlet, jm_outgoing *outgoing, const jm_err *err)
{
    if (outlet->closing) {
        outlet->published(outlet->ctx, outgoing, false);
        return;
    }
    if (err->retriable) {
        outgoing->at_us = jm_mono_us() + RESEND_US;
        jm_chain_add(&outlet->unsent, &outgoing->node);
        return;
    }
    char id[JM_UUID_TEXT];
    jm_uuid_format(&outgoing->id, id);
    jm_log_kv(JM_ERROR, "outlet", "Kafka refuses what was to be published", "id", id, "why",
              err->msg, NULL);
    outlet->published(outlet->ctx, outgoing, true);
}

void jm_outlet_send(jm_outlet *outlet, jm_outgoing *outgoing)
{
    jm_err err = {0};
    int rc = outgoing->outcome.len ? send_outcome(outlet, outgoing, &err)
                                   : send_dead(outlet, outgoing, &err);
    if (rc)
        failed(outlet, outgoing, &err);
}

static void delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    jm_outlet *outlet = ctx;
    if (rc)
        failed(outlet, opaque, err);
    else
        outlet->published(outlet->ctx, opaque, true);
}

void jm_outlet_serve(jm_outlet *outlet)
{
    jm_kafka_producer_poll(outlet->producer, 0);
    jm_chain again = outlet->unsent;
    int64_t now_us = jm_mono_us();
    outlet->unsent = (jm_chain){0};
    for (jm_node *node; (node = jm_chain_take(&again));) {
        jm_outgoing *outgoing = (jm_outgoing *)node;
        if (outgoing->at_us <= now_us)
            jm_outlet_send(outlet, outgoing);
        else
            jm_chain_add(&outlet->unsent, node);
    }
}

size_t jm_outlet_left(const jm_outlet *outlet)
{
    return jm_kafka_producer_in_flight(outlet->producer) + outlet->unsent.n;
}

static void create_topic(jm_outlet *outlet, const char *topic)
{
    jm_err err = {0};
    bool created = false;
    if (jm_kafka_topic_create(outlet->config, topic, TOPIC_TIMEOUT_MS, &created, &err))
        jm_log_kv(JM_WARNING, "outlet", "cannot create the topic", "topic", topic, "why", err.msg,
                  NULL);
}

void jm_outlet_create_topics(jm_outlet *outlet)
{
    create_topic(outlet, outlet->events_topic);
    create_topic(outlet, outlet->dead_topic);
}

static char *topic_name(const jm_config *config, const char *what)
{
    jm_buf name = {0};
    jm_buf_addf(&name, "%s.%s", jm_config_str(config, "topics.prefix"), what);
    return jm_buf_take(&name);
}

int jm_outlet_new(const jm_config *config, int wake_fd, jm_outlet_published *published, void *ctx,
                  jm_outlet **out, jm_err *err)
{
    jm_outlet *outlet = jm_calloc(1, sizeof *outlet);
    *outlet = (jm_outlet){.config = config, .published = published, .ctx = ctx};
    int rc = jm_kafka_producer_new(config, "worker", delivered, outlet, &outlet->producer, err);
    if (rc) {
        free(outlet);
        return rc;
    }
    jm_kafka_producer_wake_fd(outlet->producer, wake_fd);
    outlet->events_topic = topic_name(config, "events");
    outlet->dead_topic = topic_name(config, "dead");
    *out = outlet;
    return JM_OK;
}

void jm_outlet_free(jm_outlet *outlet)
{
    if (!outlet)
        return;
    outlet->closing = true;
    jm_kafka_producer_free(outlet->producer, 0); /* reports what is in flight as failed */
    for (jm_node *node; (node = jm_chain_take(&outlet->unsent));)
        outlet->published(outlet->ctx, (jm_outgoing *)node, false);
    free(outlet->events_topic);
    free(outlet->dead_topic);
    free(outlet);
}
