/* Submitted jobs as records of Kafka, for as long as the database is away. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/kafka.h"
#include "producer/service/submission_priv.h"

enum { ACK_TIMEOUT_MS = 10000, TOPIC_TIMEOUT_MS = 5000 };

/* A queue whose topic is there. */
typedef struct topic {
    UT_hash_handle hh;
    char *name;
    char queue[64];
} topic;

struct jm_submit_sender {
    const jm_config *config;
    jm_kafka_producer *producer; /* made when it is first needed */
    topic *topics;
    jm_buf text;
};

jm_submit_sender *jm_submit_sender_new(const jm_config *config)
{
    jm_submit_sender *sender = jm_calloc(1, sizeof *sender);
    sender->config = config;
    return sender;
}

/* What is in flight is reported as failed. */
static void drop_producer(jm_submit_sender *sender)
{
    if (sender->producer)
        jm_kafka_producer_free(sender->producer, 0);
    sender->producer = NULL;
}

void jm_submit_sender_free(jm_submit_sender *sender)
{
    topic *t, *next;
    drop_producer(sender);
    HASH_ITER(hh, sender->topics, t, next)
    {
        HASH_DEL(sender->topics, t);
        free(t->name);
        free(t);
    }
    jm_buf_fini(&sender->text);
    free(sender);
}

static void delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    jm_submit_request *request = opaque;
    (void)ctx;
    request->left--;
    if (rc && !request->rc) {
        request->rc = rc;
        request->err = *err;
    }
}

static int topic_of(jm_submit_sender *sender, const char *queue, const char **name, jm_err *err)
{
    topic *t;
    bool created;
    HASH_FIND_STR(sender->topics, queue, t);
    if (!t) {
        char *made = jm_kafka_queue_topic(sender->config, queue);
        int rc = jm_kafka_topic_create(sender->config, made, TOPIC_TIMEOUT_MS, &created, err);
        if (rc) {
            free(made);
            return rc;
        }
        t = jm_calloc(1, sizeof *t);
        snprintf(t->queue, sizeof t->queue, "%s", queue);
        t->name = made;
        HASH_ADD_STR(sender->topics, queue, t);
    }
    *name = t->name;
    return JM_OK;
}

static int send_job(jm_submit_sender *sender, jm_submit_request *request, jm_job *job, jm_err *err)
{
    const char *name;
    int rc = topic_of(sender, job->queue, &name, err);
    if (rc)
        return rc;
    jm_buf_clear(&sender->text);
    jm_job_message_write(job, &sender->text);
    const char *key = job->key ? job->key : job->exclusive;
    for (int64_t until = jm_mono_ms() + ACK_TIMEOUT_MS;;) {
        rc = jm_kafka_producer_send(sender->producer, name, key, key ? strlen(key) : 0,
                                    sender->text.data, sender->text.len, NULL, 0, request, err);
        if (rc != JM_ERR_KAFKA || !err->retriable || jm_mono_ms() >= until)
            break;
        jm_kafka_producer_poll(sender->producer, 100); /* the local queue is full */
    }
    request->left += !rc;
    return rc;
}

static void send_request(jm_submit_sender *sender, jm_submit_request *request)
{
    jm_err err = {0};
    request->sent = true;
    for (size_t j = 0; j < request->n && !request->rc; j++)
        if ((request->rc = send_job(sender, request, &request->jobs[j], &err)))
            request->err = err;
}

static bool all_acknowledged(jm_submit_request **list, int n)
{
    for (int i = 0; i < n; i++)
        if (list[i]->left)
            return false;
    return true;
}

void jm_submit_send(jm_submit_sender *sender, jm_submit_request **list, int n)
{
    jm_err err = {0};
    int rc = sender->producer ? JM_OK
                              : jm_kafka_producer_new(sender->config, "api", delivered, sender,
                                                      &sender->producer, &err);
    for (int i = 0; i < n; i++) {
        if (rc)
            jm_submit_fail(list[i], 0, &err);
        else
            send_request(sender, list[i]);
    }
    int64_t until = jm_mono_ms() + ACK_TIMEOUT_MS;
    while (!rc && !all_acknowledged(list, n) && jm_mono_ms() < until)
        jm_kafka_producer_poll(sender->producer, 100);
    if (!rc && !all_acknowledged(list, n))
        drop_producer(sender);
}
