/* The thread that polls Kafka. */
#include "worker/consumer.h"

#include <pthread.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"
#include "worker/lag.h"
#include "worker/shares.h"

enum {
    BATCH_BYTES = 8 << 20, /* of values in a batch: bounds memory, not throughput */
    FULL_BEFORE_PAUSE_MS = 1000,
    PREFETCH_KBYTES = 65536, /* in librdkafka's own queues */
    IDLE_MS = 100,           /* longest wait when nothing wakes us */
    DOWN_LOG_MS = 30000,
    ASK_EVERY_MS = 1000,
    ASK_TIMEOUT_MS = 200,
    SILENT_MS = 12000, /* heartbeats are answered every 2 s, metadata is asked for every 10 s */
    LEAVE_TIMEOUT_MS = 6000 /* to leave a group while others are served */
};

/* One queue: its consumer, and the batch that is being filled. */
struct source {
    jm_consumer *consumer;
    rd_kafka_t *rk;
    rd_kafka_queue_t *events;
    char *topic;
    const char *queue;
    int index;
    jm_batch *batch; /* NULL between batches */
    bool paused, assigned;
    int partitions;
    int64_t full_since_ms; /* 0: has room */
    int batches_out;       /* handed over and not accepted yet */
    _Atomic bool released; /* somebody wants the queue to be left */
};

struct jm_consumer {
    jm_consumer_options options;
    jm_intake intake;
    struct source *sources;
    int n_sources;
    jm_shares *shares;  /* of the queues in what is handed over */
    jm_queue *accepted; /* batches whose offsets may be stored */
    int wake_fd;
    pthread_t thread;
    bool started_thread;
    _Atomic bool up, quiet, stopping;
    bool left_open; /* a thread is still closing a source: nothing of this is freed any more */
    _Atomic int partitions;
    _Atomic int64_t close_by_ms;
    int64_t down_logged_ms, asked_ms;
};

static void wake(jm_consumer *consumer)
{
    uint64_t one = 1;
    ssize_t n = write(consumer->wake_fd, &one, sizeof one);
    (void)n; /* fails only when it is readable anyway */
}

/* ---- callbacks, from rd_kafka_consumer_poll in our thread ---- */

static void set_paused(struct source *source, bool pause)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(source->rk, &list) || !list)
        return;
    if (list->cnt) {
        if (pause)
            rd_kafka_pause_partitions(source->rk, list);
        else
            rd_kafka_resume_partitions(source->rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    source->paused = pause;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct source *source = opaque;
    atomic_fetch_sub(&source->consumer->partitions, source->partitions);
    source->partitions = 0;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(rk, list);
        source->partitions = list->cnt;
        atomic_fetch_add(&source->consumer->partitions, list->cnt);
        if (source->paused)
            set_paused(source, true); /* a pause ends with the assignment */
        jm_logf(JM_INFO, "consumer", "queue %s: %d partitions assigned", source->queue, list->cnt);
    } else {
        rd_kafka_assign(rk, NULL);
        if (source->batch) { /* not accepted yet: whoever gets the partitions reads it again */
            jm_batch_free(source->batch);
            source->batch = NULL;
        }
        jm_logf(JM_INFO, "consumer", "queue %s: partitions revoked", source->queue);
    }
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    struct source *source = opaque;
    jm_consumer *consumer = source->consumer;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        atomic_store(&consumer->up, false);
        int64_t now = jm_mono_ms();
        if (consumer->down_logged_ms && now - consumer->down_logged_ms < DOWN_LOG_MS)
            return;
        consumer->down_logged_ms = now;
        jm_log_kv(JM_WARNING, "consumer", "no Kafka broker answers; trying on", "queue",
                  source->queue, NULL);
    } else {
        jm_log_kv(JM_DEBUG, "consumer", reason, "queue", source->queue, NULL);
    }
}

static int on_stats(rd_kafka_t *rk, char *json, size_t len, void *opaque)
{
    (void)rk;
    struct source *source = opaque;
    int64_t silent_us = jm_lag_read(source->consumer->options.lag, source->topic, json, len);
    if (silent_us < INT64_C(1000) * SILENT_MS || !atomic_exchange(&source->consumer->up, false))
        return 0;
    if (silent_us == INT64_MAX)
        jm_logf(JM_WARNING, "consumer", "no Kafka broker is connected; trying on");
    else
        jm_logf(JM_WARNING, "consumer", "Kafka has said nothing for %d s",
                (int)(silent_us / 1000000));
    return 0; /* librdkafka frees the text */
}

/* ---- set-up ---- */

static const char *const settings[][2] = {
    {"enable.auto.offset.store", "false"},
    {"enable.auto.commit", "true"},
    {"auto.commit.interval.ms", "1000"},
    {"auto.offset.reset", "earliest"},
    {"partition.assignment.strategy", "range"},
    {"session.timeout.ms", "10000"},
    {"heartbeat.interval.ms", "2000"},
    {"queued.min.messages",
     "1000000"}, /* below a second's worth librdkafka 2.0.2 throttles itself */
    {"queued.max.messages.kbytes", NULL}, /* PREFETCH_KBYTES, shared by the queues */
    {"fetch.wait.max.ms", "100"},
    {"allow.auto.create.topics", "true"},
    {"enable.partition.eof", "false"},
    {"topic.metadata.refresh.interval.ms", "10000"},
    {"statistics.interval.ms", "2000"}, /* for the lag, and to see that brokers answer */
};

static int configure(struct source *source, rd_kafka_conf_t **out, jm_err *err)
{
    const jm_config *config = source->consumer->options.config;
    rd_kafka_conf_t *base;
    int rc = jm_kafka_conf(config, "worker", &base, err);
    if (rc)
        return rc;
    char reason[256], group[256];
    snprintf(group, sizeof group, "%s.%s", jm_config_str(config, "topics.prefix"), source->queue);
    if (rd_kafka_conf_set(base, "group.id", group, reason, sizeof reason))
        rc = jm_err_set(err, JM_ERR_KAFKA, "%s", reason);
    for (size_t i = 0; i < sizeof settings / sizeof *settings && !rc; i++) {
        const char *name = settings[i][0], *value = settings[i][1];
        char share[24];
        if (!value) { /* of all queues together */
            snprintf(share, sizeof share, "%d", PREFETCH_KBYTES / source->consumer->n_sources);
            value = share;
        }
        /* What the user has set stays, except what correctness rests on (the first two). */
        if (i > 1)
            rc = jm_kafka_conf_prefer(base, name, value, err);
        else if (rd_kafka_conf_set(base, name, value, reason, sizeof reason))
            rc = jm_err_set(err, JM_ERR_KAFKA, "%s", reason);
    }
    if (rc) {
        rd_kafka_conf_destroy(base);
        return rc;
    }
    rd_kafka_conf_set_opaque(base, source);
    rd_kafka_conf_set_rebalance_cb(base, on_rebalance);
    rd_kafka_conf_set_error_cb(base, on_error);
    rd_kafka_conf_set_stats_cb(base, on_stats);
    *out = base;
    return JM_OK;
}

static int open_source(struct source *source, jm_err *err)
{
    rd_kafka_conf_t *conf;
    int rc = configure(source, &conf, err);
    if (rc)
        return rc;
    char reason[256];
    source->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (!source->rk) {
        rd_kafka_conf_destroy(conf);
        return jm_err_set(err, JM_ERR_KAFKA, "cannot make a consumer: %s", reason);
    }
    rd_kafka_poll_set_consumer(source->rk);
    source->events = rd_kafka_queue_get_consumer(source->rk);
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(source->events, source->consumer->wake_fd, &one, sizeof one);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, source->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(source->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code)
        return jm_err_set(err, JM_ERR_KAFKA, "cannot subscribe to %s: %s", source->topic,
                          rd_kafka_err2str(code));
    return JM_OK;
}

int jm_consumer_new(const jm_consumer_options *options, jm_consumer **out, jm_err *err)
{
    jm_consumer *consumer = jm_calloc(1, sizeof *consumer);
    consumer->options = *options;
    while (options->queues[consumer->n_sources])
        consumer->n_sources++;
    consumer->sources = jm_calloc((size_t)consumer->n_sources, sizeof *consumer->sources);
    consumer->shares = jm_shares_new(options->weights, consumer->n_sources);
    consumer->accepted = jm_queue_new(0);
    consumer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    atomic_store(&consumer->up, true); /* until librdkafka says otherwise */
    int rc = JM_OK;
    for (int i = 0; i < consumer->n_sources && !rc; i++) {
        struct source *source = &consumer->sources[i];
        source->consumer = consumer;
        source->index = i;
        source->queue = options->queues[i];
        source->topic = jm_kafka_queue_topic(options->config, source->queue);
        rc = open_source(source, err);
    }
    if (rc) {
        jm_consumer_free(consumer);
        return rc;
    }
    *out = consumer;
    return JM_OK;
}

void jm_consumer_set_intake(jm_consumer *consumer, jm_intake intake)
{
    consumer->intake = intake;
}

/* ---- the thread ---- */

/* The queue's topic does not exist: made here, so that its settings are ours (LogAppendTime).
 * Blocks the thread for a moment; there is nothing to poll yet. */
static void create_topic(struct source *source)
{
    jm_err err = {0};
    bool created = false;
    if (jm_kafka_topic_create(source->consumer->options.config, source->topic, 5000, &created,
                              &err))
        jm_log_kv(JM_WARNING, "consumer", "the topic does not exist and cannot be created", "topic",
                  source->topic, "why", err.msg, NULL);
    else if (created)
        jm_log_kv(JM_INFO, "consumer", "topic created", "topic", source->topic, NULL);
}

static void take_message(struct source *source, rd_kafka_message_t *message,
                         const jm_message_limits *limits)
{
    if (message->err) {
        if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            create_topic(source);
        else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            jm_log_kv(JM_WARNING, "consumer", rd_kafka_message_errstr(message), "queue",
                      source->queue, NULL);
        rd_kafka_message_destroy(message);
        return;
    }
    if (!source->batch)
        source->batch = jm_batch_new(source->index);
    jm_batch_add(source->batch, message, limits);
}

static bool is_full(const struct source *source)
{
    return source->batch && (source->batch->n >= source->consumer->options.batch_rows ||
                             source->batch->bytes >= BATCH_BYTES);
}

/* Polls records of a queue until its batch is full, errors counted. Returns how many came. */
static int fill(struct source *source)
{
    jm_message_limits limits = {.now_ms = jm_db_clock_us(source->consumer->options.clock) / 1000};
    int n = 0;
    while (n < source->consumer->options.batch_rows && !is_full(source)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(source->rk, 0);
        if (!message)
            break;
        if (!message->err)
            atomic_store(&source->consumer->up, true);
        take_message(source, message, &limits);
        n++;
    }
    return n;
}

/* Hands the batch over when the store is idle, or has room and the batch is full. Returns how many
 * records that were. */
static int hand_over(struct source *source)
{
    const jm_intake *intake = &source->consumer->intake;
    if (!source->batch || !source->batch->n)
        return 0;
    if (!intake->is_idle(intake->ctx) && !(is_full(source) && intake->wants(intake->ctx)))
        return 0;
    int n = source->batch->n;
    if (intake->push(intake->ctx, source->batch))
        jm_batch_free(source->batch);
    else
        source->batches_out++;
    source->batch = NULL;
    return n;
}

static bool is_here(const struct source *source)
{
    return source->rk && !atomic_load(&source->released);
}

/* Whoever has had least by its weight is first: where the store is slower than Kafka all batches
 * are full, and one takes the room. Only one: it may have the next batch full before others are
 * due. Returns how many records that were. */
static int hand_over_next(jm_consumer *consumer)
{
    int n = 0;
    jm_shares_begin(consumer->shares);
    for (int i; !n && (i = jm_shares_next(consumer->shares)) >= 0;)
        if (is_here(&consumer->sources[i])) {
            n = hand_over(&consumer->sources[i]);
            jm_shares_took(consumer->shares, i, n);
        }
    return n;
}

/* Pauses a queue whose batch has been full for a while or of which enough waits in the database, so
 * that polling goes on without piling up records; resumes it with room. */
static void regulate(struct source *source)
{
    int64_t now = jm_mono_ms();
    if (!is_full(source))
        source->full_since_ms = 0;
    else if (!source->full_since_ms)
        source->full_since_ms = now;
    bool stuck = source->full_since_ms && now - source->full_since_ms >= FULL_BEFORE_PAUSE_MS;
    const jm_intake *intake = &source->consumer->intake;
    bool pause = stuck || intake->is_paused(intake->ctx, source->index);
    if (pause != source->paused)
        set_paused(source, pause);
    if (stuck) { /* still served: rebalances and errors; a record that slips through is kept */
        rd_kafka_message_t *message = rd_kafka_consumer_poll(source->rk, 0);
        jm_message_limits limits = {.now_ms =
                                        jm_db_clock_us(source->consumer->options.clock) / 1000};
        if (message)
            take_message(source, message, &limits);
    }
}

/* Stores the offsets behind the records of accepted batches; librdkafka commits them once a second.
 */
static void store_offsets(jm_consumer *consumer)
{
    jm_chain done = {0};
    jm_queue_pop_all(consumer->accepted, &done, 0);
    for (jm_node *node; (node = jm_chain_take(&done));) {
        jm_batch *batch = (jm_batch *)node;
        struct source *source = &consumer->sources[batch->queue];
        source->batches_out--;
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
        rd_kafka_topic_partition_t *last = NULL;
        for (int i = 0; i < batch->n; i++) {
            const rd_kafka_message_t *m = batch->records[i].message;
            if (!last || last->partition != m->partition)
                last = rd_kafka_topic_partition_list_find(list, source->topic, m->partition);
            if (!last) {
                last = rd_kafka_topic_partition_list_add(list, source->topic, m->partition);
                last->offset = m->offset + 1;
            } else if (m->offset >= last->offset) {
                last->offset = m->offset + 1;
            }
        }
        if (source->rk) /* refused for partitions that are not ours any more: fine */
            rd_kafka_offsets_store(source->rk, list);
        rd_kafka_topic_partition_list_destroy(list);
        jm_batch_free(batch);
    }
}

static void wait_for_news(jm_consumer *consumer, int ms)
{
    struct pollfd pfd = {.fd = consumer->wake_fd, .events = POLLIN};
    if (poll(&pfd, 1, ms) > 0) {
        uint64_t count;
        ssize_t n = read(consumer->wake_fd, &count, sizeof count);
        (void)n;
    }
}

/* Closing joins the group protocol once more and may block after a lost partition: it runs in a
 * thread that is left behind when it takes too long; the process is about to end. */
struct closing {
    struct closing *next; /* of those left behind */
    rd_kafka_t *rk;
    rd_kafka_queue_t *events;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

/* Reachable, though nobody comes for them: they are no leak. */
static struct closing *left_behind;

static void *close_main(void *arg)
{
    struct closing *closing = arg;
    rd_kafka_consumer_close(closing->rk);
    rd_kafka_queue_destroy(closing->events);
    rd_kafka_destroy(closing->rk); /* may block, too, after the topic has been deleted */
    pthread_mutex_lock(&closing->lock);
    closing->is_done = true;
    pthread_cond_signal(&closing->done);
    pthread_mutex_unlock(&closing->lock);
    return NULL;
}

static bool close_source(struct source *source, int timeout_ms)
{
    struct closing *closing = jm_calloc(1, sizeof *closing);
    closing->rk = source->rk;
    closing->events = source->events;
    pthread_mutex_init(&closing->lock, NULL);
    jm_cond_init(&closing->done);
    pthread_t thread;
    if (pthread_create(&thread, NULL, close_main, closing)) {
        free(closing);
        return false;
    }
    int64_t by_us = jm_mono_us() + timeout_ms * INT64_C(1000);
    pthread_mutex_lock(&closing->lock);
    while (!closing->is_done && jm_cond_wait_until(&closing->done, &closing->lock, by_us))
        ;
    bool closed = closing->is_done;
    pthread_mutex_unlock(&closing->lock);
    if (!closed) {
        pthread_detach(thread);
        closing->next = left_behind;
        left_behind = closing;
        jm_log_kv(JM_WARNING, "consumer", "leaving the group takes too long; going without",
                  "queue", source->queue, NULL);
        return false;
    }
    pthread_join(thread, NULL);
    free(closing);
    return true;
}

static void leave_group(struct source *source, int timeout_ms)
{
    bool closed = close_source(source, timeout_ms);
    source->consumer->left_open = source->consumer->left_open || !closed;
    source->rk = NULL;
}

/* Leaves the group once what has been polled is accepted. */
static void leave(struct source *source)
{
    if (!source->paused)
        set_paused(source, true);
    hand_over(source);
    rd_kafka_message_t
        *message; /* rebalances are served; records are read again by whoever comes */
    while ((message = rd_kafka_consumer_poll(source->rk, 0)))
        rd_kafka_message_destroy(message);
    if (source->batch || source->batches_out)
        return;
    leave_group(source, LEAVE_TIMEOUT_MS);
    jm_log_kv(JM_INFO, "consumer", "left the queue: its topic is being made anew", "queue",
              source->queue, NULL);
}

static void join_again(struct source *source)
{
    jm_err err = {0};
    source->paused = false;
    source->full_since_ms = 0;
    if (open_source(source, &err))
        jm_log_kv(JM_ERROR, "consumer", "cannot join the queue again", "queue", source->queue,
                  "why", err.msg, NULL);
    else
        jm_log_kv(JM_INFO, "consumer", "joined the queue again", "queue", source->queue, NULL);
}

/* Whether the source is to be left alone in this round. */
static bool is_away(struct source *source)
{
    bool released = atomic_load(&source->released);
    if (released && source->rk)
        leave(source);
    else if (!released && !source->rk)
        join_again(source);
    return released;
}

void jm_consumer_set_released(jm_consumer *consumer, int queue, bool released)
{
    if (atomic_exchange(&consumer->sources[queue].released, released) != released)
        wake(consumer);
}

/* One round over the queues. Returns how many records came or went. */
static int poll_round(jm_consumer *consumer)
{
    int moved = 0;
    for (int i = 0; i < consumer->n_sources; i++)
        if (!is_away(&consumer->sources[i]))
            moved += fill(&consumer->sources[i]);
    moved += hand_over_next(consumer);
    for (int i = 0; i < consumer->n_sources; i++)
        if (is_here(&consumer->sources[i]))
            regulate(&consumer->sources[i]);
    return moved;
}

/* While Kafka is known to be away: asks whether it is back, since librdkafka only tells of losses.
 */
static void look_for_kafka(jm_consumer *consumer)
{
    int64_t now = jm_mono_ms();
    rd_kafka_t *rk = consumer->sources[0].rk;
    if (atomic_load(&consumer->up) || !rk || now - consumer->asked_ms < ASK_EVERY_MS)
        return;
    const struct rd_kafka_metadata *metadata;
    if (!rd_kafka_metadata(rk, 0, NULL, &metadata, ASK_TIMEOUT_MS)) {
        rd_kafka_metadata_destroy(metadata);
        atomic_store(&consumer->up, true);
        consumer->down_logged_ms = 0;
        jm_logf(JM_INFO, "consumer", "Kafka answers again");
    }
    consumer->asked_ms = jm_mono_ms();
}

static bool has_batch(const jm_consumer *consumer)
{
    for (int i = 0; i < consumer->n_sources; i++)
        if (consumer->sources[i].batch)
            return true;
    return false;
}

/* While quiet: rebalances are still served, records are let go. */
static void serve_quietly(jm_consumer *consumer)
{
    for (int i = 0; i < consumer->n_sources; i++) {
        struct source *source = &consumer->sources[i];
        jm_batch_free(source->batch);
        source->batch = NULL;
        if (!source->rk)
            continue;
        if (!source->paused)
            set_paused(source, true);
        rd_kafka_message_t *message;
        while ((message = rd_kafka_consumer_poll(source->rk, 0)))
            rd_kafka_message_destroy(message);
    }
}

static void *consumer_main(void *arg)
{
    jm_consumer *consumer = arg;
    while (!atomic_load(&consumer->stopping)) {
        jm_pulse_beat(consumer->options.pulse);
        store_offsets(consumer);
        look_for_kafka(consumer);
        if (atomic_load(&consumer->quiet)) {
            serve_quietly(consumer);
            wait_for_news(consumer, IDLE_MS);
            continue;
        }
        if (!poll_round(consumer))
            wait_for_news(consumer, has_batch(consumer) ? 1 : IDLE_MS);
    }
    store_offsets(consumer);
    jm_pulse_rest(consumer->options.pulse);
    return NULL;
}

int jm_consumer_start(jm_consumer *consumer, jm_err *err)
{
    if (pthread_create(&consumer->thread, NULL, consumer_main, consumer))
        return jm_err_errno(err, JM_ERR_IO, "cannot start the consumer thread");
    pthread_setname_np(consumer->thread, "consumer");
    consumer->started_thread = true;
    return JM_OK;
}

void jm_consumer_accepted(jm_consumer *consumer, jm_batch *batch)
{
    jm_chain chain = {0};
    jm_chain_add(&chain, &batch->node);
    jm_queue_push(consumer->accepted, &chain);
    wake(consumer);
}

void jm_consumer_done(jm_consumer *consumer, int queue, int32_t partition, int64_t next_offset)
{
    struct source *source = &consumer->sources[queue];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->topic, partition)->offset = next_offset;
    rd_kafka_offsets_store(source->rk, list); /* refused where it is not ours any more: fine */
    rd_kafka_topic_partition_list_destroy(list);
}

bool jm_consumer_is_up(jm_consumer *consumer)
{
    return atomic_load(&consumer->up);
}

int jm_consumer_partitions(jm_consumer *consumer)
{
    return atomic_load(&consumer->partitions);
}

void jm_consumer_quiesce(jm_consumer *consumer)
{
    atomic_store(&consumer->quiet, true);
    wake(consumer);
}

void jm_consumer_stop(jm_consumer *consumer, int timeout_ms)
{
    atomic_store(&consumer->stopping, true);
    wake(consumer);
    if (consumer->started_thread)
        pthread_join(consumer->thread, NULL);
    consumer->started_thread = false;
    for (int i = 0; i < consumer->n_sources; i++) {
        struct source *source = &consumer->sources[i];
        jm_batch_free(source->batch);
        source->batch = NULL;
        if (source->rk)
            leave_group(source, timeout_ms);
    }
}

void jm_consumer_free(jm_consumer *consumer)
{
    if (!consumer || consumer->left_open)
        return;
    for (int i = 0; i < consumer->n_sources; i++) {
        struct source *source = &consumer->sources[i];
        if (source->rk) { /* never started */
            rd_kafka_queue_destroy(source->events);
            rd_kafka_destroy(source->rk);
        }
        free(source->topic);
    }
    jm_chain left = {0};
    jm_queue_pop_all(consumer->accepted, &left, 0);
    for (jm_node *node; (node = jm_chain_take(&left));)
        jm_batch_free((jm_batch *)node);
    jm_queue_free(consumer->accepted);
    close(consumer->wake_fd);
    jm_shares_free(consumer->shares);
    free(consumer->sources);
    free(consumer);
}
