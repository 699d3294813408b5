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
#include "common/log.h"
#include "common/watchdog.h"
#include "worker/job_events.h"
#include "worker/lanes.h"
#include "worker/meters.h"
#include "worker/offsets.h"
#include "worker/outcome.h"
#include "worker/outlet.h"
#include "worker/recent.h"

enum {
    BATCHES_QUEUED = 2,
    TURN_MS = 1000,
    RESEND_MS = 100,
    OPEN_MAX = 100000, /* records past the oldest unfinished one, of all partitions of a queue */
};

/* A record on its way to its outcome. */
struct item {
    jm_node node; /* among those that wait for a slot, for their retry or to be published again */
    jm_job *job;  /* NULL: a dead letter */
    jm_claim *claim; /* owns the arena that job lives in */
    int queue;
    int32_t partition;
    int64_t offset;
    int64_t at_us;        /* monotonic: when to start again */
    jm_buf steps;         /* members of done_steps so far, each with a comma behind it */
    jm_outgoing outgoing; /* what came of it */
};

struct jm_store_none {
    jm_store_none_options options;
    jm_queue *batches, *reports;
    jm_outlet *outlet;
    int wake_fd; /* rung by the outlet */
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
    jm_lanes *lanes;
    jm_chain retries; /* in no order */
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
    if (item->outgoing.message)
        rd_kafka_message_destroy(item->outgoing.message);
    jm_buf_fini(&item->steps);
    jm_buf_fini(&item->outgoing.outcome);
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

static void published(void *ctx, jm_outgoing *outgoing, bool acknowledged)
{
    struct item *item = (struct item *)((char *)outgoing - offsetof(struct item, outgoing));
    if (acknowledged)
        finish_item(ctx, item);
    else
        free_item(item);
}

/* ---- from record to running ---- */

/* What only a database can give. NULL: nothing of it is asked for. */
static const char *needs_database(const jm_job *job, const jm_job_type *type)
{
    return job->from_relay      ? "jobmill-job"
           : job->run_at_us     ? "run_at"
           : job->depends_on    ? "depends_on"
           : job->dedup_key     ? "dedup_key"
           : job->exclusive     ? "exclusive"
           : job->callback_url  ? "callback_url"
           : type->ordered      ? "type"
           : type->documents[0] ? "type"
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

static void add_job(jm_store_none *none, struct item *item, jm_batch_record *record,
                    jm_job_type *type)
{
    jm_job *job = record->job;
    item->job = job;
    item->outgoing.id = job->id;
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
    jm_lanes_add(none->lanes, job);
}

static void add_dead(jm_store_none *none, struct item *item, jm_batch_record *record)
{
    item->outgoing.id = record->id;
    item->outgoing.message = record->message;
    item->outgoing.reason = record->reason;
    item->outgoing.field = record->field;
    item->outgoing.detail = record->detail;
    record->message = NULL;
    atomic_fetch_add(&none->counts.dead, 1);
    jm_outlet_send(none->outlet, &item->outgoing);
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
    size_t waiting = jm_lanes_n(none->lanes) + none->retries.n;
    return waiting < (size_t)none->options.max_waiting && open < OPEN_MAX;
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
        jm_lanes_add(none->lanes, item->job);
    }
    none->retries = later;
}

static bool is_expired(const jm_store_none *none, const jm_job *job)
{
    return job->start_by_us && utc_us(none, jm_mono_us()) > job->start_by_us;
}

static void expire(jm_store_none *none, struct item *item)
{
    atomic_fetch_add(&none->counts.expired, 1);
    jm_job_events_write_expired(&item->outgoing.outcome, none->options.clock, item->job);
    jm_outlet_send(none->outlet, &item->outgoing);
}

static void start_waiting(jm_store_none *none)
{
    jm_chain ready = {0}, started = {0};
    jm_lanes_take(none->lanes, none->options.slots, &ready);
    for (jm_node *node; (node = jm_chain_take(&ready));) {
        jm_job *job = (jm_job *)node;
        if (job->attempt == 1 && is_expired(none, job)) {
            jm_slots_give(none->options.slots, job->job_type, 1);
            expire(none, job->origin);
        } else {
            jm_chain_add(&started, node);
        }
    }
    if (started.n)
        jm_runner_push(none->options.runner, &started);
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
        jm_job_events_write(&item->outgoing.outcome, none->options.clock, report);
        jm_outlet_send(none->outlet, &item->outgoing);
        break;
    }
    }
    jm_report_free(report);
}

static void take_reports(jm_store_none *none)
{
    jm_chain chain = {0};
    jm_queue_pop_all(none->reports, &chain, 0);
    int n = (int)chain.n;
    if (!n)
        return;
    jm_report **reports = jm_calloc((size_t)n, sizeof *reports);
    bool *passed = jm_calloc((size_t)n, sizeof *passed);
    for (int i = 0; i < n; i++) {
        reports[i] = (jm_report *)jm_chain_take(&chain);
        passed[i] = true; /* there is no fence */
    }
    jm_meters_recorded(none->options.meters, reports, passed, n);
    jm_recent_recorded(none->options.recent, reports, passed, n);
    for (int i = 0; i < n; i++)
        take_report(none, reports[i]);
    free(reports);
    free(passed);
}

/* ---- the thread ---- */

static void let_go(jm_store_none *none)
{
    jm_chain batches = {0}, jobs = {0};
    jm_queue_pop_all(none->batches, &batches, 0);
    drop_batches(&batches);
    jm_lanes_take_all(none->lanes, &jobs);
    for (jm_node *node; (node = jm_chain_take(&jobs));)
        free_item(((jm_job *)node)->origin);
    for (jm_node *node; (node = jm_chain_take(&none->retries));)
        free_item((struct item *)node);
}

static int wait_ms(const jm_store_none *none)
{
    int64_t now_us = jm_mono_us(), ms = TURN_MS;
    for (const jm_node *node = none->retries.head; node; node = node->next) {
        int64_t left = (((const struct item *)node)->at_us - now_us) / 1000 + 1;
        ms = left < ms ? left : ms;
    }
    if (jm_outlet_left(none->outlet))
        ms = ms < RESEND_MS ? ms : RESEND_MS;
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
    bool done = !jm_outlet_left(none->outlet) && !jm_queue_len(none->reports);
    return done || jm_mono_ms() >= atomic_load(&none->give_up_ms);
}

static void *store_main(void *arg)
{
    jm_store_none *none = arg;
    jm_outlet_create_topics(none->outlet);
    while (!is_over(none)) {
        wait_for_news(none);
        jm_pulse_beat(none->options.pulse);
        jm_outlet_serve(none->outlet);
        take_reports(none);
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
    jm_pulse_rest(none->options.pulse);
    atomic_store(&none->unpublished, (int)jm_outlet_left(none->outlet));
    return NULL;
}

/* ---- interface ---- */

int jm_store_none_new(const jm_store_none_options *options, jm_queue *reports, jm_store_none **out,
                      jm_err *err)
{
    jm_store_none *none = jm_calloc(1, sizeof *none);
    none->options = *options;
    none->reports = reports;
    none->batches = jm_queue_new(BATCHES_QUEUED);
    none->lanes = jm_lanes_new();
    atomic_store(&none->give_up_ms, INT64_MAX);
    sem_init(&none->quieted, 0, 0);
    while (options->queues[none->n_queues])
        none->n_queues++;
    none->offsets = jm_calloc((size_t)none->n_queues, sizeof *none->offsets);
    for (int q = 0; q < none->n_queues; q++)
        none->offsets[q] = jm_offsets_new();
    none->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = none->wake_fd < 0 ? jm_err_errno(err, JM_ERR_IO, "cannot make an event descriptor")
                               : jm_outlet_new(options->config, none->wake_fd, published, none,
                                               &none->outlet, err);
    if (rc) {
        jm_store_none_free(none);
        return rc;
    }
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
    jm_outlet_free(none->outlet);
    jm_chain left = {0};
    jm_queue_pop_all(none->batches, &left, 0);
    drop_batches(&left);
    jm_queue_free(none->batches);
    jm_lanes_free(none->lanes);
    for (int q = 0; q < none->n_queues; q++)
        jm_offsets_free(none->offsets[q]);
    free(none->offsets);
    if (none->wake_fd >= 0)
        close(none->wake_fd);
    sem_destroy(&none->quieted);
    free(none);
}
