/* The relay: pending rows to Kafka, marked by delivery reports alone. */
#include "producer/relay.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/look.h"
#include "producer/relay_item.h"
#include "producer/relay_rows.h"

enum {
    MAX_IN_FLIGHT = 20000,
    MAX_BYTES = 64 << 20, /* of messages in flight */
    TAKE_ROWS = 1000,     /* in one statement */
    TURN_MS = 1000,       /* longest sleep */
    AWAY_MS = 3000,       /* after silence for so long Kafka is asked whether it is there */
    ASK_MS = 500,         /* for so long */
    CHECK_MS = 5000,      /* so often it is asked while nothing waits for it */
    MAX_KEEP_S = 30,      /* longest time a row in flight is kept from others at once */
    TOPIC_RETRY_MS = 30000,
    REPORT_GAP_MS = 10000 /* failures are logged at most this often */
};

/* A topic that has been sent to. */
struct topic {
    UT_hash_handle hh;
    char *queue, *name;
    bool exists;         /* made by us or found */
    int64_t retry_at_ms; /* otherwise: when to try to make it again */
};

struct jm_relay {
    pthread_t thread;
    jm_queue *queue; /* of jm_relay_item: what is handed over */
    const jm_config *config;
    jm_pulse *pulse;
    jm_series *delay;
    const jm_db_clock *clock;
    _Atomic bool woken;       /* look for rows now */
    _Atomic int64_t heard_ms; /* when there was a look, or an answer */
    _Atomic bool away;        /* Kafka does not answer, and records wait for it */
    _Atomic bool answers;     /* it did when it was last asked, or has acknowledged since */
    _Atomic int grace_ms;     /* for what is in flight at the end */
    _Atomic uint64_t published, failed, refused;
    _Atomic size_t n_in_flight;
    /* the thread's own */
    jm_relay_rows *rows;
    jm_kafka_producer *producer;
    jm_relay_item *in_flight;
    struct topic *topics;
    size_t bytes;
    int64_t answered_ms;  /* last acknowledgement, or start of what is in flight */
    int64_t ask_at_ms;    /* when a silent Kafka may be asked again */
    int64_t take_at_ms;   /* when to look for rows again */
    int64_t extend_at_ms; /* when to look for rows to keep again */
    int64_t report_at_ms; /* when failures may be logged again */
    uint64_t unreported;  /* failures not logged yet */
    bool was_silent;      /* Kafka did not answer while nothing waited for it, which was said */
    int keep_s;
};

jm_node *jm_relay_item_new(const jm_uuid *id, const char *queue, const char *key,
                           const char *message, size_t message_len, int64_t due_us)
{
    char text[JM_UUID_TEXT];
    if (!key) {
        jm_uuid_format(id, text);
        key = text;
    }
    size_t queue_len = strlen(queue) + 1, key_len = strlen(key) + 1;
    jm_relay_item *item = jm_malloc(sizeof *item + queue_len + key_len + message_len);
    char *p = (char *)(item + 1);
    *item = (jm_relay_item){.id = *id, .message_len = message_len, .due_us = due_us};
    item->queue = memcpy(p, queue, queue_len);
    item->key = memcpy(p + queue_len, key, key_len);
    item->message = memcpy(p + queue_len + key_len, message, message_len);
    return &item->node;
}

static void drop_chain(jm_chain *chain)
{
    for (jm_node *node; (node = jm_chain_take(chain));)
        free(node); /* node is the first member of the item */
}

void jm_relay_hand_over(jm_relay *relay, jm_chain *items)
{
    bool room = !atomic_load(&relay->away) && atomic_load(&relay->n_in_flight) < MAX_IN_FLIGHT &&
                !jm_queue_is_full(relay->queue);
    if (!room || jm_queue_push(relay->queue, items))
        drop_chain(items);
}

void jm_relay_wake(jm_relay *relay)
{
    atomic_store(&relay->woken, true);
    jm_queue_wake(relay->queue);
}

void jm_relay_tell(jm_relay *relay, bool unpublished)
{
    atomic_store(&relay->heard_ms, jm_mono_ms());
    if (unpublished)
        jm_relay_wake(relay);
}

void jm_relay_get_stats(const jm_relay *relay, jm_relay_stats *out)
{
    *out = (jm_relay_stats){
        .published = atomic_load(&relay->published),
        .failed = atomic_load(&relay->failed),
        .refused = atomic_load(&relay->refused),
        .in_flight = atomic_load(&relay->n_in_flight),
        .kafka_away = atomic_load(&relay->away),
    };
}

bool jm_relay_is_up(const jm_relay *relay)
{
    return atomic_load(&relay->answers) && !atomic_load(&relay->away);
}

static void forget(jm_relay *relay, jm_relay_item *item)
{
    HASH_DEL(relay->in_flight, item);
    relay->bytes -= item->message_len;
    atomic_fetch_sub(&relay->n_in_flight, 1);
    free(item);
}

static void report_failure(jm_relay *relay, const char *queue, const jm_err *err)
{
    relay->unreported++;
    if (jm_mono_ms() < relay->report_at_ms)
        return;
    jm_logf(JM_WARNING, "relay", "%llu records could not be published, last to queue %s: %s",
            (unsigned long long)relay->unreported, queue, err->msg);
    relay->unreported = 0;
    relay->report_at_ms = jm_mono_ms() + REPORT_GAP_MS;
}

static void came_back(jm_relay *relay)
{
    relay->answered_ms = jm_mono_ms();
    atomic_store(&relay->answers, true);
    if (!atomic_exchange(&relay->away, false) && !relay->was_silent)
        return;
    relay->was_silent = false;
    jm_logf(JM_INFO, "relay", "Kafka answers again");
    relay->take_at_ms = 0;
}

static void settle_failure(jm_relay *relay, const jm_relay_item *item, const jm_err *err)
{
    bool purged = err->kafka == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                  err->kafka == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    jm_relay_rows_note(relay->rows, &item->id, err->retriable ? JM_RELAY_AGAIN : JM_RELAY_REFUSED);
    if (purged)
        return; /* by us: the handle is being rebuilt, or the program ends */
    atomic_fetch_add(err->retriable ? &relay->failed : &relay->refused, 1);
    report_failure(relay, item->queue, err);
    if (err->kafka == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        err->kafka == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        struct topic *topic;
        HASH_FIND_STR(relay->topics, item->queue, topic);
        if (topic)
            topic->exists = false; /* deleted under our feet: made again with the next record */
    }
}

static void on_delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    jm_relay *relay = ctx;
    jm_relay_item *item = opaque;
    if (rc) {
        settle_failure(relay, item, err);
    } else {
        jm_relay_rows_note(relay->rows, &item->id, JM_RELAY_PUBLISHED);
        atomic_fetch_add(&relay->published, 1);
        if (item->due_us)
            jm_series_observe(relay->delay, jm_db_clock_us(relay->clock) - item->due_us);
        came_back(relay);
    }
    forget(relay, item);
}

/* Made with our settings before the first record: left to the broker, a topic would get the
 * broker's defaults. Where that is not allowed, records are sent all the same. */
static const char *topic_of(jm_relay *relay, const char *queue)
{
    struct topic *topic;
    HASH_FIND_STR(relay->topics, queue, topic);
    if (!topic) {
        topic = jm_calloc(1, sizeof *topic);
        topic->queue = jm_strdup(queue);
        topic->name = jm_kafka_queue_topic(relay->config, queue);
        HASH_ADD_KEYPTR(hh, relay->topics, topic->queue, strlen(topic->queue), topic);
    }
    if (topic->exists || jm_mono_ms() < topic->retry_at_ms)
        return topic->name;
    bool created;
    jm_err err = {0};
    topic->retry_at_ms = jm_mono_ms() + TOPIC_RETRY_MS;
    if (!jm_kafka_topic_create(relay->config, topic->name, 2000, &created, &err)) {
        topic->exists = true;
        if (created)
            jm_log_kv(JM_INFO, "relay", "created a topic", "topic", topic->name, NULL);
    } else {
        jm_log_kv(JM_DEBUG, "relay", err.msg, "topic", topic->name, NULL);
    }
    return topic->name;
}

static void send_item(jm_relay *relay, jm_relay_item *item)
{
    char id[JM_UUID_TEXT];
    jm_relay_item *known;
    HASH_FIND(hh, relay->in_flight, &item->id, sizeof item->id, known);
    if (known) { /* its row became visible before it could be kept: once is enough */
        free(item);
        return;
    }
    const char *topic = topic_of(relay, item->queue);
    jm_uuid_format(&item->id, id);
    jm_header header = {.name = "jobmill-job", .value = id, .len = JM_UUID_TEXT - 1};
    jm_err err = {0};
    int rc = jm_kafka_producer_send(relay->producer, topic, item->key, strlen(item->key),
                                    item->message, item->message_len, &header, 1, item, &err);
    if (rc) {
        settle_failure(relay, item, &err);
        free(item);
        return;
    }
    if (!atomic_load(&relay->n_in_flight))
        relay->answered_ms = jm_mono_ms();
    item->extend_at_ms = jm_mono_ms() + JM_RELAY_LEASE_S * 500;
    relay->bytes += item->message_len;
    atomic_fetch_add(&relay->n_in_flight, 1);
    HASH_ADD(hh, relay->in_flight, id, sizeof item->id, item);
}

static void send_chain(jm_relay *relay, jm_chain *chain)
{
    for (jm_node *node; (node = jm_chain_take(chain));) {
        if (relay->bytes >= MAX_BYTES || atomic_load(&relay->n_in_flight) >= MAX_IN_FLIGHT)
            free(node); /* its row becomes visible again */
        else
            send_item(relay, (jm_relay_item *)node);
        if (chain->n % 256 == 255) /* a long chain must not keep reports waiting */
            jm_kafka_producer_poll(relay->producer, 0);
    }
}

/* Whether to look for rows: somebody says that there are, there may be more than were taken last,
 * or there has been no look for long. */
static bool may_be_rows(jm_relay *relay, int64_t now)
{
    return atomic_exchange(&relay->woken, false) || now >= relay->take_at_ms ||
           now - atomic_load(&relay->heard_ms) > JM_LOOK_LATE_MS;
}

static bool has_room(const jm_relay *relay)
{
    return !atomic_load(&relay->away) && relay->bytes < MAX_BYTES &&
           atomic_load(&relay->n_in_flight) + TAKE_ROWS <= MAX_IN_FLIGHT;
}

/* Rows nobody holds: submitted by SQL, or left by a crash or a failure. */
static void take(jm_relay *relay)
{
    int64_t now = jm_mono_ms();
    if (!may_be_rows(relay, now) || !has_room(relay))
        return;
    jm_err err = {0};
    jm_chain chain = {0};
    int rc = jm_relay_rows_ensure(relay->rows, &err);
    if (rc) {
        relay->take_at_ms = now + jm_relay_rows_retry_in_ms(relay->rows) + 1;
        return;
    }
    rc = jm_relay_rows_take(relay->rows, TAKE_ROWS, MAX_BYTES / 4, &chain, &err);
    if (rc)
        jm_logf(JM_WARNING, "relay", "cannot read waiting jobs: %s", err.msg);
    atomic_store(&relay->heard_ms, jm_mono_ms());
    relay->take_at_ms = rc ? now + TURN_MS : chain.n ? now : INT64_MAX; /* there may be more */
    send_chain(relay, &chain);
}

/* What is in flight for long keeps its rows, for longer each time: they may be many. */
static void keep(jm_relay *relay)
{
    int64_t now = jm_mono_ms();
    if (!relay->in_flight || now < relay->extend_at_ms)
        return;
    relay->extend_at_ms = now + 500;
    int64_t silent_s = (now - relay->answered_ms) / 1000;
    relay->keep_s = silent_s < JM_RELAY_LEASE_S ? JM_RELAY_LEASE_S
                    : silent_s < MAX_KEEP_S     ? (int)silent_s
                                                : MAX_KEEP_S;
    for (jm_relay_item *item = relay->in_flight; item; item = item->hh.next) {
        if (now < item->extend_at_ms)
            continue;
        jm_relay_rows_note(relay->rows, &item->id, JM_RELAY_KEPT);
        item->extend_at_ms = now + relay->keep_s * 500;
    }
}

static void settle(jm_relay *relay)
{
    jm_err err = {0};
    if (!jm_relay_rows_noted(relay->rows) || jm_relay_rows_ensure(relay->rows, &err))
        return;
    if (jm_relay_rows_settle(relay->rows, relay->keep_s, &err))
        jm_logf(JM_WARNING, "relay", "cannot mark jobs as published: %s", err.msg);
}

/* Asked while nothing waits for it, so that readiness knows. */
static void ask_idly(jm_relay *relay, int timeout_ms)
{
    relay->ask_at_ms = jm_mono_ms() + CHECK_MS;
    bool answers = jm_kafka_producer_answers(relay->producer, timeout_ms);
    atomic_store(&relay->answers, answers);
    if (answers)
        came_back(relay);
    else if (!relay->was_silent)
        jm_logf(JM_WARNING, "relay", "Kafka does not answer at %s; jobs wait in the database",
                jm_config_str(relay->config, "kafka.bootstrap.servers"));
    relay->was_silent = !answers;
}

/* Silence alone may be the fault of one topic; Kafka is away when it does not answer a question
 * either. While it is away it is asked again, so that work goes on before the first record is
 * acknowledged. */
static void watch_kafka(jm_relay *relay)
{
    size_t n = atomic_load(&relay->n_in_flight);
    int64_t now = jm_mono_ms();
    if (now - relay->answered_ms < AWAY_MS || now < relay->ask_at_ms)
        return;
    if (!n) {
        ask_idly(relay, ASK_MS);
        return;
    }
    relay->ask_at_ms = now + AWAY_MS;
    if (jm_kafka_producer_answers(relay->producer, ASK_MS)) {
        if (atomic_load(&relay->away))
            came_back(relay);
        return;
    }
    atomic_store(&relay->answers, false);
    if (atomic_exchange(&relay->away, true))
        return;
    jm_logf(JM_WARNING, "relay",
            "Kafka has not answered for %d s; %zu records wait for it, all else stays in the "
            "database",
            AWAY_MS / 1000, n);
}

/* How long the thread may sleep: until something is due of its own accord. */
static int wait_ms(jm_relay *relay)
{
    int64_t now = jm_mono_ms(), wait = TURN_MS;
    if (has_room(relay) && relay->take_at_ms - now < wait)
        wait = relay->take_at_ms - now;
    if (jm_relay_rows_noted(relay->rows) && jm_relay_rows_retry_in_ms(relay->rows) + 1 < wait)
        wait = jm_relay_rows_retry_in_ms(relay->rows) + 1;
    if (relay->in_flight && wait > 100)
        wait = 100; /* reports wake us; this is only in case */
    return wait > 0 ? (int)wait : 0;
}

static void one_round(jm_relay *relay, jm_chain *chain)
{
    send_chain(relay, chain);
    jm_kafka_producer_poll(relay->producer, 0);
    keep(relay);
    settle(relay); /* before more is taken: what is acknowledged is not to be taken again */
    take(relay);
    watch_kafka(relay);
    /* A handle that died with all its records leaves nothing that could ever be acknowledged. */
    if (!relay->in_flight)
        atomic_store(&relay->away, false);
}

/* What is in flight may still be acknowledged, unless Kafka is away; the rest of the table, and
 * what was not acknowledged, is the next relay's. */
static void finish(jm_relay *relay)
{
    int64_t deadline = jm_mono_ms() + atomic_load(&relay->grace_ms);
    while (relay->in_flight && !atomic_load(&relay->away) && jm_mono_ms() < deadline) {
        jm_kafka_producer_poll(relay->producer, 20);
        settle(relay);
        watch_kafka(relay);
    }
    jm_kafka_producer_free(relay->producer, 0); /* reports the rest as failed */
    relay->producer = NULL;
    settle(relay);
}

static void *run(void *arg)
{
    jm_relay *relay = arg;
    pthread_setname_np(pthread_self(), "jm-relay");
    struct pollfd pfd = {.fd = jm_queue_fd(relay->queue), .events = POLLIN};
    ask_idly(relay, 2000);
    for (int rc = JM_OK; rc != JM_ERR_CLOSED;) {
        poll(&pfd, 1, wait_ms(relay));
        jm_chain chain = {0};
        jm_pulse_beat(relay->pulse);
        rc = jm_queue_pop_all(relay->queue, &chain, 0);
        one_round(relay, &chain);
    }
    jm_pulse_rest(relay->pulse);
    finish(relay);
    return NULL;
}

int jm_relay_new(const jm_relay_options *options, jm_relay **out, jm_err *err)
{
    jm_relay *relay = jm_calloc(1, sizeof *relay);
    relay->config = options->config;
    relay->pulse = options->pulse;
    relay->delay = options->delay;
    relay->clock = options->clock;
    int rc =
        jm_kafka_producer_new(options->config, "relay", on_delivered, relay, &relay->producer, err);
    if (rc) {
        free(relay);
        return rc;
    }
    relay->keep_s = JM_RELAY_LEASE_S;
    relay->rows =
        jm_relay_rows_new(options->conninfo, options->schema, options->clock, options->pulse);
    relay->queue = jm_queue_new(MAX_IN_FLIGHT);
    jm_kafka_producer_wake_fd(relay->producer, jm_queue_fd(relay->queue));
    if (pthread_create(&relay->thread, NULL, run, relay))
        abort(); /* out of threads before the program has begun to work */
    *out = relay;
    return JM_OK;
}

void jm_relay_free(jm_relay *relay, int timeout_ms)
{
    if (!relay)
        return;
    atomic_store(&relay->grace_ms, timeout_ms);
    jm_queue_close(relay->queue);
    pthread_join(relay->thread, NULL);
    jm_relay_rows_free(relay->rows);
    jm_queue_free(relay->queue);
    struct topic *topic, *next;
    HASH_ITER(hh, relay->topics, topic, next)
    {
        HASH_DEL(relay->topics, topic);
        free(topic->queue);
        free(topic->name);
        free(topic);
    }
    free(relay);
}
