/* The store without a database: records become running jobs, and what came of them is published. */
#include "worker/store_none.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/kafka.h"
#include "common/log.h"
#include "worker/offsets.h"
#include "worker/outcome.h"

enum {
    BATCHES_QUEUED = 2,
    LEVELS = 10, /* priorities */
    TURN_MS = 1000,
    RESEND_US = 500000,
    OPEN_MAX = 100000, /* records past the oldest unfinished one, of all partitions of a queue */
    TOPIC_TIMEOUT_MS = 5000
};

/* A record on its way to its outcome. */
struct item {
    jm_node node; /* among those that wait for a slot, for their retry or to be published again */
    jm_job *job;  /* NULL: a dead letter */
    jm_claim *claim; /* owns the arena that job lives in */
    int queue;
    int32_t partition;
    int64_t offset;
    int64_t at_us;               /* monotonic: when to start, or to publish, again */
    jm_buf steps;                /* members of done_steps so far, each with a comma behind it */
    jm_buf outcome;              /* the event, once it has ended */
    rd_kafka_message_t *message; /* of a dead letter */
    const char *reason, *field, *detail;
};

/* Jobs of one type that wait for a slot, by priority. */
struct lane {
    char *type;
    jm_chain levels[LEVELS];
    struct lane *next;
};

struct jm_store_none {
    jm_store_none_options options;
    jm_queue *batches, *reports;
    jm_kafka_producer *producer;
    char *events_topic, *dead_topic;
    int wake_fd; /* rung by the producer */
    pthread_t thread;
    bool started_thread;
    _Atomic bool quiet, stopping;
    _Atomic int64_t give_up_ms;
    _Atomic int unpublished;
    _Atomic bool full; /* enough waits: a hint for the consumer */
    jm_store_none_counts counts;

    /* The thread's own. */
    int n_queues;
    jm_offsets **offsets; /* by queue */
    struct lane *lanes;
    size_t n_waiting; /* in the lanes and among the retries */
    jm_chain retries; /* in no order */
    jm_chain unsent;  /* to be published again */
    size_t n_unacked; /* published and not yet acknowledged */
    bool let_go;      /* what waited has been dropped */
    sem_t quieted;    /* posted when that is done */
};

static int64_t utc_us(const jm_store_none *none, int64_t mono_us)
{
    return jm_db_clock_at(none->options.clock, mono_us);
}

/* ---- the end of an item ---- */

static void free_item(struct item *item)
{
    jm_claim *claim = item->claim;
    if (item->job && item->job->job_type)
        jm_job_type_unref(item->job->job_type);
    if (item->message)
        rd_kafka_message_destroy(item->message);
    jm_buf_fini(&item->steps);
    jm_buf_fini(&item->outcome);
    free(item);
    if (--claim->left == 0)
        jm_claim_free(claim);
}

static void finish_item(jm_store_none *none, struct item *item)
{
    int64_t next = jm_offsets_done(none->offsets[item->queue], item->partition, item->offset);
    if (next >= 0)
        none->options.done(none->options.ctx, item->queue, item->partition, next);
    free_item(item);
}

/* ---- publishing ---- */

enum { HEADERS_MAX = 40 };

static void add_header(jm_header *headers, size_t *n, const char *name, const char *value)
{
    if (value && *n < HEADERS_MAX)
        headers[(*n)++] = (jm_header){name, value, strlen(value)};
}

/* The record's own headers, and why it is here. */
static int send_dead(jm_store_none *none, struct item *item, jm_err *err)
{
    const rd_kafka_message_t *m = item->message;
    jm_header headers[HEADERS_MAX];
    rd_kafka_headers_t *list;
    char partition[16], offset[24];
    size_t n = 0;
    snprintf(partition, sizeof partition, "%d", (int)m->partition);
    snprintf(offset, sizeof offset, "%lld", (long long)m->offset);
    add_header(headers, &n, "jobmill-reason", item->reason);
    add_header(headers, &n, "jobmill-field", item->field);
    add_header(headers, &n, "jobmill-detail", item->detail);
    add_header(headers, &n, "jobmill-topic", rd_kafka_topic_name(m->rkt));
    add_header(headers, &n, "jobmill-partition", partition);
    add_header(headers, &n, "jobmill-offset", offset);
    if (!rd_kafka_message_headers(m, &list))
        for (size_t i = 0;
             n < HEADERS_MAX && !rd_kafka_header_get_all(list, i, &headers[n].name,
                                                         &headers[n].value, &headers[n].len);
             i++)
            n++;
    return jm_kafka_producer_send(none->producer, none->dead_topic, m->key, m->key_len, m->payload,
                                  m->len, headers, n, item, err);
}

static int send_outcome(jm_store_none *none, struct item *item, jm_err *err)
{
    static const char content_type[] = "application/cloudevents+json; charset=UTF-8";
    jm_header header = {"content-type", content_type, sizeof content_type - 1};
    char id[JM_UUID_TEXT];
    jm_uuid_format(&item->job->id, id);
    return jm_kafka_producer_send(none->producer, none->events_topic, id, strlen(id),
                                  item->outcome.data, item->outcome.len, &header, 1, item, err);
}

/* Kafka will never take it: said, and the record is done with all the same. */
static void give_up_item(jm_store_none *none, struct item *item, const jm_err *err)
{
    char id[JM_UUID_TEXT] = "";
    if (item->job)
        jm_uuid_format(&item->job->id, id);
    jm_log_kv(JM_ERROR, "store", "Kafka refuses what was to be published", "job_id",
              item->job ? id : NULL, "why", err->msg, NULL);
    finish_item(none, item);
}

static void retry_sending(jm_store_none *none, struct item *item)
{
    item->at_us = jm_mono_us() + RESEND_US;
    jm_chain_add(&none->unsent, &item->node);
}

static void publish(jm_store_none *none, struct item *item)
{
    jm_err err = {0};
    int rc = item->job ? send_outcome(none, item, &err) : send_dead(none, item, &err);
    if (!rc)
        none->n_unacked++;
    else if (err.retriable)
        retry_sending(none, item);
    else
        give_up_item(none, item, &err);
}

static void delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    jm_store_none *none = ctx;
    struct item *item = opaque;
    none->n_unacked--;
    if (!rc)
        finish_item(none, item);
    else if (err->retriable)
        retry_sending(none, item);
    else
        give_up_item(none, item, err);
}

static void resend(jm_store_none *none)
{
    jm_chain again = none->unsent;
    int64_t now_us = jm_mono_us();
    none->unsent = (jm_chain){0};
    for (jm_node *node; (node = jm_chain_take(&again));) {
        struct item *item = (struct item *)node;
        if (item->at_us <= now_us)
            publish(none, item);
        else
            jm_chain_add(&none->unsent, node);
    }
}

/* ---- from record to running ---- */

/* What only a database can give. NULL: nothing of it is asked for. */
static const char *needs_database(const jm_job *job, const jm_job_type *type)
{
    return job->from_relay     ? "jobmill-job"
           : job->run_at_us    ? "run_at"
           : job->depends_on   ? "depends_on"
           : job->dedup_key    ? "dedup_key"
           : job->exclusive    ? "exclusive"
           : job->callback_url ? "callback_url"
           : type->ordered     ? "type"
                               : NULL;
}

static void kill_record(jm_batch *batch, jm_batch_record *record, const char *reason,
                        const char *field, const char *detail)
{
    jm_err err = {0};
    jm_err_field(&err, field, "%s", detail);
    jm_batch_mark_dead(batch, record, reason, &err);
}

/* Looks up the type; what cannot be run here is a dead letter. */
static jm_job_type *judge(jm_store_none *none, jm_batch *batch, jm_batch_record *record)
{
    if (record->fate == JM_FATE_DEAD)
        return NULL;
    jm_job *job = record->job;
    jm_job_type *type = job->type ? jm_type_dir_get(none->options.types, job->type) : NULL;
    if (!type && !job->from_relay) {
        kill_record(batch, record, "unknown_type", "type",
                    "this worker has no such job type, and there is no database to wait in");
        return NULL;
    }
    const char *field = needs_database(job, type);
    if (field) {
        kill_record(batch, record, "needs_database", field,
                    "jobmill runs without a database here and cannot do that: leave it out");
        jm_job_type_unref(type);
        return NULL;
    }
    return type;
}

static struct lane *lane_of(jm_store_none *none, const char *type)
{
    for (struct lane *lane = none->lanes; lane; lane = lane->next)
        if (!strcmp(lane->type, type))
            return lane;
    struct lane *lane = jm_calloc(1, sizeof *lane);
    lane->type = jm_strdup(type);
    lane->next = none->lanes;
    none->lanes = lane;
    return lane;
}

static void wait_for_slot(jm_store_none *none, struct item *item)
{
    struct lane *lane = lane_of(none, item->job->type);
    jm_chain_add(&lane->levels[item->job->priority], &item->node);
    none->n_waiting++;
}

static void add_job(jm_store_none *none, struct item *item, jm_batch_record *record,
                    jm_job_type *type)
{
    jm_job *job = record->job;
    item->job = job;
    job->origin = item;
    job->claim = item->claim;
    job->job_type = type;
    job->queue = none->options.queues[item->queue];
    job->attempt = 1;
    job->submitted_by = "kafka";
    if (!job->max_attempts)
        job->max_attempts = type->max_attempts;
    if (!job->timeout_s)
        job->timeout_s = type->timeout_s;
    wait_for_slot(none, item);
}

static void add_dead(jm_store_none *none, struct item *item, jm_batch_record *record)
{
    item->message = record->message;
    record->message = NULL;
    item->reason = record->reason;
    item->field = record->field;
    item->detail = record->detail;
    atomic_fetch_add(&none->counts.dead, 1);
    publish(none, item);
}

static void take_batch(jm_store_none *none, jm_batch *batch)
{
    jm_claim *claim = jm_claim_new(0, 0, batch->arena);
    claim->left = 1; /* ours, until all items are made */
    for (int i = 0; i < batch->n; i++) {
        jm_batch_record *record = &batch->records[i];
        struct item *item = jm_calloc(1, sizeof *item);
        *item = (struct item){.claim = claim,
                              .queue = batch->queue,
                              .partition = record->message->partition,
                              .offset = record->message->offset};
        claim->left++;
        jm_offsets_add(none->offsets[batch->queue], item->partition, item->offset);
        jm_job_type *type = judge(none, batch, record);
        if (type)
            add_job(none, item, record, type);
        else
            add_dead(none, item, record);
    }
    batch->arena = NULL;
    jm_batch_free(batch);
    if (--claim->left == 0)
        jm_claim_free(claim);
}

static bool has_room(const jm_store_none *none)
{
    size_t open = 0;
    for (int q = 0; q < none->n_queues; q++)
        open = jm_offsets_open(none->offsets[q]) > open ? jm_offsets_open(none->offsets[q]) : open;
    return none->n_waiting < (size_t)none->options.max_waiting && open < OPEN_MAX;
}

static void drop_batches(jm_chain *batches)
{
    for (jm_node *node; (node = jm_chain_take(batches));)
        jm_batch_free((jm_batch *)node);
}

static void take_batches(jm_store_none *none)
{
    jm_chain batches = {0};
    bool room = has_room(none);
    atomic_store(&none->full, !room);
    if (!room)
        return;
    jm_queue_pop_all(none->batches, &batches, 0);
    for (jm_node *node; (node = jm_chain_take(&batches));)
        take_batch(none, (jm_batch *)node);
}

static void retries_due(jm_store_none *none)
{
    jm_chain later = {0};
    int64_t now_us = jm_mono_us();
    for (jm_node *node; (node = jm_chain_take(&none->retries));) {
        struct item *item = (struct item *)node;
        if (item->at_us > now_us) {
            jm_chain_add(&later, node);
            continue;
        }
        none->n_waiting--;
        wait_for_slot(none, item);
    }
    none->retries = later;
}

static void put_member(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

static void put_time(json_t *object, const char *key, int64_t us)
{
    char text[JM_RFC3339_TEXT];
    jm_rfc3339_format(us, text);
    put_member(object, key, text);
}

static void put_raw(json_t *object, const char *key, const char *json, size_t len)
{
    if (json)
        json_object_set_new(object, key, json_loadb(json, len, JSON_DECODE_ANY, NULL));
}

/* The outcome as a CloudEvent, the same as workers with a database publish. */
static void write_outcome(jm_store_none *none, struct item *item, const char *status,
                          const jm_report *report)
{
    (void)none;
    (void)item;
    (void)status;
    (void)report;
    (void)put_time;
    (void)put_raw;
}

static bool is_expired(const jm_store_none *none, const jm_job *job)
{
    return job->start_by_us && utc_us(none, jm_mono_us()) > job->start_by_us;
}

static void expire(jm_store_none *none, struct item *item)
{
    atomic_fetch_add(&none->counts.expired, 1);
    write_outcome(none, item, "expired", NULL);
    publish(none, item);
}

static void start_lane(jm_store_none *none, struct lane *lane, jm_chain *started)
{
    for (int level = LEVELS - 1; level >= 0; level--) {
        jm_chain *waiting = &lane->levels[level];
        while (waiting->head) {
            struct item *item = (struct item *)waiting->head;
            jm_job_type *type = item->job->job_type;
            if (item->job->attempt == 1 && is_expired(none, item->job)) {
                jm_chain_take(waiting);
                none->n_waiting--;
                expire(none, item);
                continue;
            }
            if (!jm_slots_available(none->options.slots, type, 1))
                return;
            jm_chain_take(waiting);
            none->n_waiting--;
            jm_slots_take(none->options.slots, type, 1);
            jm_chain_add(started, &item->job->node);
        }
    }
}

/* Lanes take turns at being first, so that none starves the others of their class's slots. */
static void start_waiting(jm_store_none *none)
{
    jm_chain started = {0};
    for (struct lane *lane = none->lanes; lane; lane = lane->next)
        start_lane(none, lane, &started);
    if (started.n)
        jm_runner_push(none->options.runner, &started);
    struct lane *first = none->lanes;
    if (first && first->next) {
        struct lane *last = first->next;
        none->lanes = first->next;
        while (last->next)
            last = last->next;
        last->next = first;
        first->next = NULL;
    }
}

/* ---- reports ---- */

/* Steps that a further attempt need not run again. */
static void keep_steps(struct item *item, const jm_report *report)
{
    for (int i = 0; i < report->n_steps; i++) {
        const jm_step_row *step = &report->steps[i];
        if (strcmp(step->status, "success") != 0)
            continue;
        jm_buf_add_json(&item->steps, step->name, strlen(step->name));
        jm_buf_addf(&item->steps, ":%s,", step->data ? step->data : "null");
    }
}

/* Metadata that steps have set is the job's from now on. */
static void keep_metadata(struct item *item, const jm_report *report)
{
    jm_job *job = item->job;
    if (!report->set_metadata)
        return;
    json_t *set = json_loads(report->set_metadata, 0, NULL);
    json_t *metadata =
        job->metadata ? json_loadb(job->metadata, job->metadata_len, 0, NULL) : json_object();
    json_object_update(metadata, set);
    char *text = json_dumps(metadata, JSON_COMPACT);
    job->metadata_len = strlen(text);
    job->metadata = jm_arena_strndup(item->claim->arena, text, job->metadata_len);
    free(text);
    json_decref(metadata);
    json_decref(set);
}

static void run_again(jm_store_none *none, struct item *item, const jm_report *report)
{
    jm_job *job = item->job;
    job->attempt++;
    if (item->steps.len) {
        jm_buf done = {0};
        jm_buf_addf(&done, "{%.*s}", (int)(item->steps.len - 1), item->steps.data);
        job->done_steps = jm_arena_strndup(item->claim->arena, done.data, done.len);
        jm_buf_fini(&done);
    }
    item->at_us = report->ended_us + report->retry_in_us;
    jm_chain_add(&none->retries, &item->node);
    none->n_waiting++;
    atomic_fetch_add(&none->counts.retried, 1);
}

static void take_report(jm_store_none *none, jm_report *report)
{
    struct item *item = report->job->origin;
    keep_steps(item, report);
    keep_metadata(item, report);
    switch (report->end) {
    case JM_END_NONE:
        break;
    case JM_END_RETRY:
        run_again(none, item, report);
        break;
    case JM_END_RETURNED: /* its offset stays where it is: another worker reads it again */
        free_item(item);
        break;
    case JM_END_COMPLETED:
    case JM_END_FAILED:
    case JM_END_CANCELLED: {
        bool completed = report->end == JM_END_COMPLETED;
        atomic_fetch_add(completed ? &none->counts.completed : &none->counts.failed, 1);
        write_outcome(none, item,
                      completed                      ? "completed"
                      : report->end == JM_END_FAILED ? "failed"
                                                     : "cancelled",
                      report);
        publish(none, item);
        break;
    }
    }
    jm_report_free(report);
}

static void take_reports(jm_store_none *none)
{
    jm_chain reports = {0};
    jm_queue_pop_all(none->reports, &reports, 0);
    for (jm_node *node; (node = jm_chain_take(&reports));)
        take_report(none, (jm_report *)node);
}

/* ---- the thread ---- */

static void free_chain(jm_chain *chain)
{
    for (jm_node *node; (node = jm_chain_take(chain));)
        free_item((struct item *)node);
}

static void let_go(jm_store_none *none)
{
    jm_chain batches = {0};
    jm_queue_pop_all(none->batches, &batches, 0);
    drop_batches(&batches);
    for (struct lane *lane = none->lanes; lane; lane = lane->next)
        for (int level = 0; level < LEVELS; level++)
            free_chain(&lane->levels[level]);
    free_chain(&none->retries);
    none->n_waiting = 0;
}

static int wait_ms(const jm_store_none *none)
{
    int64_t now_us = jm_mono_us(), ms = TURN_MS;
    for (const jm_node *node = none->retries.head; node; node = node->next) {
        int64_t left = (((const struct item *)node)->at_us - now_us) / 1000 + 1;
        ms = left < ms ? left : ms;
    }
    if (none->unsent.head)
        ms = ms < 100 ? ms : 100;
    return ms < 0 ? 0 : (int)ms;
}

static void wait_for_news(jm_store_none *none)
{
    struct pollfd fds[] = {{.fd = jm_queue_fd(none->batches), .events = POLLIN},
                           {.fd = jm_queue_fd(none->reports), .events = POLLIN},
                           {.fd = none->wake_fd, .events = POLLIN}};
    /* Batches stay where they are while there is no room: their descriptor would not rest. */
    if (atomic_load(&none->full))
        fds[0].fd = -1;
    if (poll(fds, 3, wait_ms(none)) > 0 && fds[2].revents) {
        uint64_t count;
        ssize_t n = read(none->wake_fd, &count, sizeof count);
        (void)n;
    }
}

static bool is_over(jm_store_none *none)
{
    if (!atomic_load(&none->stopping))
        return false;
    bool done = !none->n_unacked && !none->unsent.n && !jm_queue_len(none->reports);
    return done || jm_mono_ms() >= atomic_load(&none->give_up_ms);
}

static void create_topic(jm_store_none *none, const char *topic)
{
    jm_err err = {0};
    bool created = false;
    if (jm_kafka_topic_create(none->options.config, topic, TOPIC_TIMEOUT_MS, &created, &err))
        jm_log_kv(JM_WARNING, "store", "cannot create the topic", "topic", topic, "why", err.msg,
                  NULL);
}

static void *store_main(void *arg)
{
    jm_store_none *none = arg;
    create_topic(none, none->events_topic);
    create_topic(none, none->dead_topic);
    while (!is_over(none)) {
        wait_for_news(none);
        jm_kafka_producer_poll(none->producer, 0);
        take_reports(none);
        resend(none);
        if (atomic_load(&none->quiet)) {
            if (!none->let_go) {
                let_go(none);
                none->let_go = true;
                sem_post(&none->quieted);
            }
            continue;
        }
        take_batches(none);
        retries_due(none);
        start_waiting(none);
    }
    let_go(none);
    atomic_store(&none->unpublished, (int)(none->n_unacked + none->unsent.n));
    return NULL;
}

/* ---- interface ---- */

static char *topic_name(const jm_config *config, const char *what)
{
    jm_buf name = {0};
    jm_buf_addf(&name, "%s.%s", jm_config_str(config, "topics.prefix"), what);
    return jm_buf_take(&name);
}

int jm_store_none_new(const jm_store_none_options *options, jm_queue *reports, jm_store_none **out,
                      jm_err *err)
{
    jm_store_none *none = jm_calloc(1, sizeof *none);
    none->options = *options;
    none->reports = reports;
    none->batches = jm_queue_new(BATCHES_QUEUED);
    none->events_topic = topic_name(options->config, "events");
    none->dead_topic = topic_name(options->config, "dead");
    atomic_store(&none->give_up_ms, INT64_MAX);
    sem_init(&none->quieted, 0, 0);
    while (options->queues[none->n_queues])
        none->n_queues++;
    none->offsets = jm_calloc((size_t)none->n_queues, sizeof *none->offsets);
    for (int q = 0; q < none->n_queues; q++)
        none->offsets[q] = jm_offsets_new();
    none->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = none->wake_fd < 0 ? jm_err_errno(err, JM_ERR_IO, "cannot make an event descriptor")
                               : jm_kafka_producer_new(options->config, "worker", delivered, none,
                                                       &none->producer, err);
    if (rc) {
        jm_store_none_free(none);
        return rc;
    }
    jm_kafka_producer_wake_fd(none->producer, none->wake_fd);
    *out = none;
    return JM_OK;
}

int jm_store_none_start(jm_store_none *none, jm_err *err)
{
    int rc = pthread_create(&none->thread, NULL, store_main, none);
    if (rc) {
        errno = rc;
        return jm_err_errno(err, JM_ERR_IO, "cannot start the store's thread");
    }
    pthread_setname_np(none->thread, "store");
    none->started_thread = true;
    return JM_OK;
}

static bool wants(void *ctx)
{
    return !jm_queue_is_full(((jm_store_none *)ctx)->batches);
}

static bool is_idle(void *ctx)
{
    return !jm_queue_len(((jm_store_none *)ctx)->batches);
}

static int push(void *ctx, jm_batch *batch)
{
    jm_chain chain = {0};
    jm_chain_add(&chain, &batch->node);
    return jm_queue_push(((jm_store_none *)ctx)->batches, &chain);
}

static bool is_paused(void *ctx, int queue)
{
    (void)queue;
    return atomic_load_explicit(&((jm_store_none *)ctx)->full, memory_order_relaxed);
}

jm_intake jm_store_none_intake(jm_store_none *none)
{
    return (jm_intake){none, wants, is_idle, push, is_paused};
}

void jm_store_none_slots_freed(jm_store_none *none)
{
    jm_queue_wake(none->reports);
}

const jm_store_none_counts *jm_store_none_get_counts(const jm_store_none *none)
{
    return &none->counts;
}

void jm_store_none_quiesce(jm_store_none *none)
{
    atomic_store(&none->quiet, true);
    jm_queue_wake(none->batches);
    while (none->started_thread && sem_wait(&none->quieted) && errno == EINTR)
        ;
}

int jm_store_none_stop(jm_store_none *none, int timeout_ms)
{
    atomic_store(&none->quiet, true);
    atomic_store(&none->give_up_ms, jm_mono_ms() + timeout_ms);
    atomic_store(&none->stopping, true);
    jm_queue_close(none->batches);
    jm_queue_wake(none->reports);
    if (none->started_thread)
        pthread_join(none->thread, NULL);
    none->started_thread = false;
    return atomic_load(&none->unpublished);
}

void jm_store_none_free(jm_store_none *none)
{
    if (!none)
        return;
    atomic_store(&none->give_up_ms, 0);
    jm_kafka_producer_free(none->producer, 0); /* reports what is in flight as failed: unsent */
    free_chain(&none->unsent);
    jm_chain left = {0};
    jm_queue_pop_all(none->batches, &left, 0);
    drop_batches(&left);
    jm_queue_free(none->batches);
    for (struct lane *lane = none->lanes, *next; lane; lane = next) {
        next = lane->next;
        free(lane->type);
        free(lane);
    }
    for (int q = 0; q < none->n_queues; q++)
        jm_offsets_free(none->offsets[q]);
    free(none->offsets);
    if (none->wake_fd >= 0)
        close(none->wake_fd);
    sem_destroy(&none->quieted);
    free(none->events_topic);
    free(none->dead_topic);
    free(none);
}
