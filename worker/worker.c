/* A worker: its threads put together, from start to stop. */
#include "worker/worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/daemon.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/wakeup.h"
#include "worker/consumer.h"
#include "worker/executor.h"
#include "worker/lease.h"
#include "worker/lock_client.h"
#include "worker/record.h"
#include "worker/pool.h"
#include "worker/runner.h"
#include "worker/status.h"
#include "worker/store.h"
#include "worker/store_none.h"
#include "worker/type_dir.h"

enum {
    QUEUES_MAX = 64,
    STATUS_EVERY_MS = 10000,
    CLOSE_TIMEOUT_MS = 6000,
    STORE_STOP_MS = 3000,      /* for a statement in flight */
    EVENTS_TIMEOUT_MS = 3000,  /* for events that are not sent yet */
    RECORD_TIMEOUT_MS = 15000, /* after the last job has ended */
    HURRIED_PATIENCE_MS = 500, /* at a second signal */
    RECORD_PATIENCE_MS = 3000, /* ... and if nothing can be recorded */
    KILL_GRACE_MS = 5000
};

/* Everything there is; made and unmade by the main thread. */
struct worker {
    jm_config *config;
    jm_uuid id;
    char id_text[JM_UUID_TEXT];
    char *conninfo;
    const char *schema;
    jm_db_clock clock;
    char *queue_text;
    const char *queues[QUEUES_MAX + 1];
    int weights[QUEUES_MAX];
    int concurrency;
    jm_type_dir *types;
    jm_slots *slots;
    jm_executor_env executor_env;
    jm_lock_client *locks; /* of plugins; NULL without a database */
    jm_pool_meter pool_meter;
    jm_runner *runner;
    jm_consumer *consumer;
    /* With a database. */
    jm_recorder *recorder;
    jm_store *store;
    jm_lease *lease;
    jm_wakeup *wakeup;
    /* Without. */
    bool no_database;
    jm_queue *reports;
    jm_store_none *none;
    /* What is seen from outside. */
    jm_metrics *metrics;
    jm_meters *meters;
    jm_recent *recent;
    jm_watchdog *watchdog;
    jm_events *events;
    jm_status *status;
    _Atomic bool unusable, stopping;
    bool hurried;                   /* told to stop twice */
    _Atomic int64_t locks_until_us; /* lease.h */
    char last_status[512];
};

/* "critical:6,default:3" into names and weights; config.c has checked its form. */
static int read_queues(struct worker *w, jm_err *err)
{
    w->queue_text = jm_strdup(jm_config_str(w->config, "worker.queues"));
    int n = 0;
    char *save = NULL;
    for (char *p = strtok_r(w->queue_text, ", ", &save); p; p = strtok_r(NULL, ", ", &save)) {
        if (n == QUEUES_MAX)
            return jm_err_field(err, "worker.queues", "more than %d queues", QUEUES_MAX);
        char *colon = strchr(p, ':');
        if (colon)
            *colon = 0;
        w->weights[n] = colon ? (int)strtol(colon + 1, NULL, 10) : 1;
        w->queues[n++] = p;
    }
    return n ? JM_OK : jm_err_field(err, "worker.queues", "no queue is named");
}

/* ---- callbacks between the threads ---- */

static void on_slots_free(void *ctx, jm_job_type *type, int n)
{
    struct worker *w = ctx;
    jm_slots_give(w->slots, type, n);
    if (w->none)
        jm_store_none_slots_freed(w->none);
    else
        jm_store_slots_freed(w->store, type->slot_class);
}

static void on_ready_at(void *ctx, int64_t db_us)
{
    struct worker *w = ctx;
    jm_store_ready_at(w->store, db_us);
}

static void on_queue_ready(void *ctx, const char *queue)
{
    struct worker *w = ctx;
    char payload[80];
    snprintf(payload, sizeof payload, "ready %s", queue);
    jm_store_wake(w->store);
    jm_wakeup_send(w->wakeup, payload);
}

static void on_accepted(void *ctx, jm_batch *batch)
{
    struct worker *w = ctx;
    jm_consumer_accepted(w->consumer, batch);
}

static void on_done(void *ctx, int queue, int32_t partition, int64_t next_offset)
{
    struct worker *w = ctx;
    jm_consumer_done(w->consumer, queue, partition, next_offset);
}

static int running_of(void *ctx)
{
    struct worker *w = ctx;
    return jm_runner_running(w->runner);
}

static bool is_behind(void *ctx)
{
    struct worker *w = ctx;
    return jm_recorder_is_behind(w->recorder);
}

static int64_t renewed_ms_of(void *ctx)
{
    struct worker *w = ctx;
    return jm_lease_renewed_ms(w->lease);
}

static void renew_lease(void *ctx)
{
    struct worker *w = ctx;
    jm_lease_renew_now(w->lease);
}

static void on_registered(void *ctx)
{
    struct worker *w = ctx;
    jm_store_set_registered(w->store);
}

static void on_cancel(void *ctx, const jm_uuid *id, int attempt, const char *why)
{
    struct worker *w = ctx;
    jm_runner_stop_job(w->runner, id, attempt, JM_END_CANCELLED, why);
}

static void on_released(void *ctx, int queue, bool released)
{
    struct worker *w = ctx;
    jm_consumer_set_released(w->consumer, queue, released);
}

static void on_unusable(void *ctx)
{
    struct worker *w = ctx;
    atomic_store(&w->unusable, true);
}

static void on_notify(void *ctx, const char *payload)
{
    struct worker *w = ctx;
    if (!strncmp(payload, "ready", 5) || !*payload)
        jm_store_wake(w->store);
    if (!strncmp(payload, "cancel", 6) || !strcmp(payload, "topics") || !*payload)
        jm_lease_renew_now(w->lease);
}

static void on_health(void *ctx, jm_health *health)
{
    struct worker *w = ctx;
    *health =
        (jm_health){.stopping = atomic_load(&w->stopping),
                    .with_database = !w->none,
                    .database_up = w->store && jm_store_is_up(w->store) && jm_lease_is_up(w->lease),
                    .kafka_up = jm_consumer_is_up(w->consumer),
                    .partitions = jm_consumer_partitions(w->consumer)};
}

/* ---- making ---- */

static jm_pulse *watch(struct worker *w, const char *thread)
{
    return jm_watchdog_add(w->watchdog, thread,
                           (int)jm_config_int(w->config, "worker.watchdog_s") * 1000);
}

static void make_meters(struct worker *w)
{
    w->metrics = jm_metrics_new();
    w->meters = jm_meters_new(w->metrics);
    w->recent = jm_recent_new(&w->clock);
    w->watchdog = jm_watchdog_new();
}

/* The worker's own port. Without it the worker goes on. */
static void make_status(struct worker *w)
{
    jm_err err;
    if (jm_status_new(&(jm_status_options){.listen = jm_config_str(w->config, "worker.listen"),
                                           .worker_id = w->id_text,
                                           .queues = w->queues,
                                           .clock = &w->clock,
                                           .metrics = w->metrics,
                                           .meters = w->meters,
                                           .watchdog = w->watchdog,
                                           .runner = w->runner,
                                           .slots = w->slots,
                                           .pool_meter = &w->pool_meter,
                                           .recent = w->recent,
                                           .spool = w->recorder
                                                        ? jm_recorder_get_spool_counts(w->recorder)
                                                        : NULL,
                                           .health = on_health,
                                           .ctx = w},
                      &w->status, &err))
        jm_log_kv(JM_WARNING, "worker", "no health page and no metrics", "why", err.msg, NULL);
}

/* A job that holds a lock must be dead in time: of a short lease it is given a part. */
static int lock_grace_ms(const struct worker *w)
{
    int quarter_ms = (int)jm_config_int(w->config, "worker.lease_s") * 1000 / 4;
    return quarter_ms < KILL_GRACE_MS ? quarter_ms : KILL_GRACE_MS;
}

static void make_recorder(struct worker *w)
{
    w->events = jm_events_new(&(jm_events_options){
        .config = w->config, .metrics = w->metrics, .pulse = watch(w, "events")});
    w->recorder = jm_recorder_new(
        &(jm_record_options){.worker_id = w->id,
                             .conninfo = w->conninfo,
                             .schema = w->schema,
                             .clock = &w->clock,
                             .batch_rows = (int)jm_config_int(w->config, "worker.batch_rows"),
                             .lease_s = (int)jm_config_int(w->config, "worker.lease_s"),
                             .spool_dir = jm_config_str(w->config, "worker.spool_dir"),
                             .spool_max_bytes = jm_config_int(w->config, "worker.spool_max_bytes"),
                             .memory_bytes = jm_config_int(w->config, "worker.waiting_max_bytes"),
                             .meters = w->meters,
                             .recent = w->recent,
                             .events = w->events,
                             .pulse = watch(w, "record"),
                             .ready_at = on_ready_at,
                             .queue_ready = on_queue_ready,
                             .running = running_of,
                             .renewed_ms = renewed_ms_of,
                             .renew = renew_lease,
                             .ctx = w});
}

static int make_runner(struct worker *w, jm_err *err)
{
    if (w->no_database)
        w->reports = jm_queue_new(0);
    else
        make_recorder(w);
    jm_runner_options options = {.reports =
                                     w->reports ? w->reports : jm_recorder_queue(w->recorder),
                                 .slots_free = on_slots_free,
                                 .pulse = watch(w, "runner"),
                                 .ctx = w,
                                 .work_dir = jm_config_str(w->config, "worker.work_dir"),
                                 .kill_grace_ms = KILL_GRACE_MS,
                                 .lock_grace_ms = lock_grace_ms(w),
                                 .locks_until_us = &w->locks_until_us,
                                 .executor_env = &w->executor_env};
    jm_executor_env_read(&w->executor_env, w->config);
    w->executor_env.pool_meter = &w->pool_meter;
    w->executor_env.processes = w->concurrency;
    if (!w->no_database)
        w->executor_env.locks = w->locks = jm_lock_client_new(w->conninfo, w->schema);
    return jm_runner_new(&options, &w->runner, err);
}

static void make_store(struct worker *w)
{
    w->store = jm_store_new(
        &(jm_store_options){.worker_id = w->id,
                            .conninfo = w->conninfo,
                            .schema = w->schema,
                            .clock = &w->clock,
                            .queues = w->queues,
                            .weights = w->weights,
                            .types = w->types,
                            .slots = w->slots,
                            .runner = w->runner,
                            .is_behind = is_behind,
                            .locks_until_us = &w->locks_until_us,
                            .meters = w->meters,
                            .pulse = watch(w, "store"),
                            .events = w->events,
                            .max_waiting = (int)jm_config_int(w->config, "worker.max_waiting"),
                            .accepted = on_accepted,
                            .ctx = w});
    w->lease = jm_lease_new(
        &(jm_lease_options){.worker_id = w->id,
                            .conninfo = w->conninfo,
                            .schema = w->schema,
                            .clock = &w->clock,
                            .queues = w->queues,
                            .types = w->types,
                            .concurrency = w->concurrency,
                            .lease_s = (int)jm_config_int(w->config, "worker.lease_s"),
                            .lock_grace_ms = lock_grace_ms(w),
                            .locks_until_us = &w->locks_until_us,
                            .auto_migrate = jm_config_bool(w->config, "database.auto_migrate"),
                            .allow_unsafe = jm_config_bool(w->config, "database.allow_unsafe"),
                            .pulse = watch(w, "lease"),
                            .running = running_of,
                            .registered = on_registered,
                            .cancel = on_cancel,
                            .released = on_released,
                            .unusable = on_unusable,
                            .ctx = w});
}

static int make_store_none(struct worker *w, jm_err *err)
{
    jm_store_none_options options = {.config = w->config,
                                     .worker_id = w->id,
                                     .clock = &w->clock,
                                     .queues = w->queues,
                                     .types = w->types,
                                     .slots = w->slots,
                                     .runner = w->runner,
                                     .meters = w->meters,
                                     .recent = w->recent,
                                     .pulse = watch(w, "store"),
                                     .max_waiting =
                                         (int)jm_config_int(w->config, "worker.max_waiting"),
                                     .done = on_done,
                                     .ctx = w};
    return jm_store_none_new(&options, w->reports, &w->none, err);
}

static int make_consumer(struct worker *w, jm_err *err)
{
    int rc = jm_consumer_new(
        &(jm_consumer_options){.config = w->config,
                               .queues = w->queues,
                               .weights = w->weights,
                               .clock = &w->clock,
                               .lag = w->meters->lag,
                               .pulse = watch(w, "consumer"),
                               .batch_rows = (int)jm_config_int(w->config, "worker.batch_rows")},
        &w->consumer, err);
    if (!rc)
        jm_consumer_set_intake(w->consumer,
                               w->none ? jm_store_none_intake(w->none) : jm_store_intake(w->store));
    return rc;
}

static int make_parts(struct worker *w, jm_err *err)
{
    w->no_database = !jm_config_bool(w->config, "database.enabled");
    int rc = read_queues(w, err);
    if (rc || (!w->no_database && (rc = jm_config_conninfo(w->config, &w->conninfo, err))))
        return rc;
    if ((rc = jm_type_dir_new(jm_config_str(w->config, "worker.jobs_dir"), &w->types, err)))
        return rc;
    /* The runner forks its helper: before anything has a thread. */
    if ((rc = make_runner(w, err)))
        return rc;
    w->concurrency = (int)jm_config_int(w->config, "worker.concurrency");
    if (!w->concurrency)
        w->concurrency = 5 * (int)sysconf(_SC_NPROCESSORS_ONLN);
    w->slots =
        jm_slots_new(w->concurrency, (int)jm_config_int(w->config, "worker.concurrency_async"));
    if (w->no_database)
        rc = make_store_none(w, err);
    else
        make_store(w);
    return rc ? rc : make_consumer(w, err);
}

static int start_store(struct worker *w, jm_err *err)
{
    if (w->none)
        return jm_store_none_start(w->none, err);
    int rc = jm_events_start(w->events, err);
    rc = rc ? rc : jm_recorder_start(w->recorder, err);
    rc = rc ? rc : jm_store_start(w->store, err);
    return rc ? rc : jm_lease_start(w->lease, err);
}

static int start_parts(struct worker *w, jm_err *err)
{
    if (!w->none) /* first, for the others send hints */
        w->wakeup = jm_wakeup_new(w->conninfo, w->schema, on_notify, w);
    int rc = jm_runner_start(w->runner, err);
    rc = rc ? rc : start_store(w, err);
    rc = rc ? rc : jm_consumer_start(w->consumer, err);
    if (!rc)
        make_status(w);
    return rc;
}

/* ---- status ---- */

static void write_status_none(struct worker *w, char *text, size_t size)
{
    const jm_store_none_counts *c = jm_store_none_get_counts(w->none);
    snprintf(text, size,
             "running %d, completed %lld, failed %lld, retried %lld, dead letters %lld; no "
             "database, kafka %s (%d partitions)",
             jm_runner_running(w->runner), (long long)atomic_load(&c->completed),
             (long long)atomic_load(&c->failed), (long long)atomic_load(&c->retried),
             (long long)atomic_load(&c->dead), jm_consumer_is_up(w->consumer) ? "up" : "AWAY",
             jm_consumer_partitions(w->consumer));
}

static void write_status(struct worker *w, char *text, size_t size)
{
    if (w->none) {
        write_status_none(w, text, size);
        return;
    }
    const jm_record_counts *r = jm_recorder_get_counts(w->recorder);
    const jm_store_counts *s = jm_store_get_counts(w->store);
    bool db = jm_store_is_up(w->store) && jm_lease_is_up(w->lease);
    snprintf(text, size,
             "running %d, completed %lld, failed %lld, retried %lld, dead letters %lld; database "
             "%s, kafka %s "
             "(%d partitions)",
             jm_runner_running(w->runner), (long long)atomic_load(&r->completed),
             (long long)atomic_load(&r->failed), (long long)atomic_load(&r->retried),
             (long long)atomic_load(&s->dead), db ? "up" : "AWAY",
             jm_consumer_is_up(w->consumer) ? "up" : "AWAY", jm_consumer_partitions(w->consumer));
}

static void say_status(struct worker *w, bool always)
{
    char text[sizeof w->last_status];
    write_status(w, text, sizeof text);
    jm_daemon_notify_status(text);
    if (!always && !strcmp(text, w->last_status))
        return;
    memcpy(w->last_status, text, sizeof text);
    jm_log_kv(JM_INFO, "worker", text, "worker_id", w->id_text, NULL);
}

static void say_ready(struct worker *w)
{
    char types[512] = "";
    jm_job_type **all = jm_type_dir_all(w->types);
    size_t n = 0;
    for (jm_job_type **t = all; *t; t++) {
        if (n + strlen((*t)->name) + 8 < sizeof types)
            n += (size_t)snprintf(types + n, sizeof types - n, "%s%s", n ? "," : "", (*t)->name);
        jm_job_type_unref(*t);
    }
    free(all);
    char text[2048];
    snprintf(text, sizeof text,
             "ready: queues %s, types %s, %d processes; listening on %s; database %s, kafka %s",
             jm_config_str(w->config, "worker.queues"), types, w->concurrency,
             w->status ? jm_status_address(w->status) : "nothing",
             w->conninfo ? w->conninfo : "left out",
             jm_config_str(w->config, "kafka.bootstrap.servers"));
    jm_log_kv(JM_INFO, "worker", text, "worker_id", w->id_text, NULL);
    jm_daemon_notify_ready("ready");
}

/* ---- running and stopping ---- */

static void reload(struct worker *w)
{
    jm_err err = {0};
    if (jm_config_reload(w->config, &err))
        jm_log_kv(JM_ERROR, "worker", "configuration not reloaded", "why", err.msg, "field",
                  err.field, NULL);
    if (jm_type_dir_reload(w->types, &err))
        jm_log_kv(JM_ERROR, "worker", "job types not reloaded", "why", err.msg, NULL);
    jm_runner_reload(w->runner);
    if (w->lease)
        jm_lease_renew_now(w->lease);
    jm_logf(JM_INFO, "worker", "reloaded");
}

/* systemd's watchdog is told that this program works only while all of its threads turn. */
static void feed_watchdog(struct worker *w)
{
    if (!jm_watchdog_check(w->watchdog))
        jm_daemon_notify_watchdog();
}

/* Until told to stop. Readiness is said once there is a lease and partitions, or after 3 s without.
 */
static void serve(struct worker *w)
{
    int64_t said_ms = jm_mono_ms(), started_ms = said_ms;
    bool ready = false;
    while (!atomic_load(&w->unusable)) {
        switch (jm_daemon_wait(ready ? 1000 : 20)) {
        case JM_DAEMON_STOP:
            return;
        case JM_DAEMON_RELOAD:
            reload(w);
            break;
        case JM_DAEMON_STATUS:
            say_status(w, true);
            break;
        case JM_DAEMON_TICK:
            break;
        }
        bool up = (!w->lease || jm_lease_is_up(w->lease)) && jm_consumer_partitions(w->consumer);
        if (!ready && (up || jm_mono_ms() - started_ms > 3000)) {
            ready = true;
            say_ready(w);
        }
        if (jm_mono_ms() - said_ms >= STATUS_EVERY_MS) {
            said_ms = jm_mono_ms();
            say_status(w, false);
        }
        feed_watchdog(w);
    }
}

/* The next event while stopping: a second signal to stop makes it immediate. */
static bool is_hurried(struct worker *w)
{
    jm_daemon_event event = jm_daemon_wait(20);
    feed_watchdog(w);
    if (event == JM_DAEMON_STOP && !w->hurried) {
        w->hurried = true;
        jm_logf(JM_INFO, "worker", "stopping at once");
    }
    return w->hurried;
}

/* Waits for the running jobs; after the grace, or at a second signal, hands them back. The store
 * may start some until its last statement has ended, so they are told once more then. */
static void drain(struct worker *w)
{
    int64_t by = jm_mono_ms() + jm_config_int(w->config, "worker.shutdown_grace_s") * 1000;
    bool told = false, told_last = false, told_now = false;
    for (bool stored = false; !stored || jm_runner_running(w->runner);) {
        bool hurried = is_hurried(w), due = hurried || jm_mono_ms() >= by;
        stored = w->none || jm_store_is_done(w->store);
        if (hurried && !told_now && !w->none)
            jm_store_close(w->store, 0);
        if (due && !told && jm_runner_running(w->runner))
            jm_logf(JM_INFO, "worker", "handing back %d running jobs",
                    jm_runner_running(w->runner));
        if (due && (!told || (stored && !told_last) || (hurried && !told_now)))
            jm_runner_stop_all(w->runner, JM_END_RETURNED, "its worker was stopped", hurried);
        told = due;
        told_last = due && stored;
        told_now = hurried && stored;
    }
}

/* Lets the record thread write what is left. */
static jm_record_rest record_rest(struct worker *w)
{
    bool hurried = w->hurried;
    jm_recorder_close(w->recorder, RECORD_TIMEOUT_MS,
                      hurried ? HURRIED_PATIENCE_MS : RECORD_PATIENCE_MS);
    while (!jm_recorder_is_done(w->recorder))
        if (is_hurried(w) && !hurried) {
            hurried = true;
            jm_recorder_hurry(w->recorder);
        }
    jm_record_rest rest = jm_recorder_stop(w->recorder);
    if (rest.spooled)
        jm_logf(JM_WARNING, "worker",
                "%lld reports are in the spool: the next worker with this spool_dir records them",
                (long long)rest.spooled);
    if (rest.unrecorded)
        jm_logf(JM_ERROR, "worker",
                "%lld reports could not be recorded: the jobs will be run again when the lease "
                "ends",
                (long long)rest.unrecorded);
    return rest;
}

static int stop_without_database(struct worker *w)
{
    jm_store_none_quiesce(w->none);
    drain(w);
    int lost = jm_store_none_stop(w->none, RECORD_TIMEOUT_MS);
    jm_consumer_stop(w->consumer, CLOSE_TIMEOUT_MS);
    if (lost)
        jm_logf(JM_ERROR, "worker",
                "%d outcomes could not be published: the jobs will be run again", lost);
    return lost;
}

static int stop_with_database(struct worker *w)
{
    jm_lease_set_stopping(w->lease);
    jm_store_close(w->store, STORE_STOP_MS);
    drain(w);
    jm_store_stop(w->store);
    jm_record_rest rest = record_rest(w);
    jm_consumer_stop(w->consumer, CLOSE_TIMEOUT_MS);
    jm_lease_stop(w->lease, !rest.spooled);
    jm_wakeup_free(w->wakeup);
    w->wakeup = NULL;
    jm_events_stop(w->events, EVENTS_TIMEOUT_MS);
    return (int)rest.unrecorded;
}

static int stop_parts(struct worker *w)
{
    jm_logf(JM_INFO, "worker", "stopping: %d jobs running", jm_runner_running(w->runner));
    jm_daemon_notify_stopping();
    atomic_store(&w->stopping, true);
    jm_consumer_quiesce(w->consumer);
    int lost = w->none ? stop_without_database(w) : stop_with_database(w);
    jm_status_free(w->status);
    w->status = NULL;
    return lost ? 1 : 0;
}

static void free_parts(struct worker *w)
{
    jm_status_free(w->status);
    jm_wakeup_free(w->wakeup);
    if (w->runner)
        jm_runner_free(w->runner);
    jm_consumer_free(w->consumer);
    jm_lease_free(w->lease);
    jm_store_free(w->store);
    jm_recorder_free(w->recorder);
    jm_events_free(w->events);
    jm_store_none_free(w->none);
    if (w->reports)
        jm_queue_free(w->reports);
    jm_slots_free(w->slots);
    if (w->types)
        jm_type_dir_free(w->types);
    jm_recent_free(w->recent);
    jm_meters_free(w->meters);
    jm_metrics_free(w->metrics);
    jm_watchdog_free(w->watchdog);
    free(w->queue_text);
    jm_lock_client_unref(w->locks);
    free(w->conninfo);
}

int jm_worker_run(jm_config *config)
{
    struct worker w = {
        .config = config, .id = jm_uuid7_new(), .schema = jm_config_str(config, "database.schema")};
    jm_uuid_format(&w.id, w.id_text);
    jm_err err = {0};
    int status = 1;
    make_meters(&w);
    int rc = make_parts(&w, &err);
    rc = rc ? rc : start_parts(&w, &err);
    if (rc) {
        jm_log_kv(JM_ERROR, "worker", err.msg, "field", err.field[0] ? err.field : NULL, NULL);
    } else {
        serve(&w);
        status = stop_parts(&w);
        say_status(&w, true);
        if (atomic_load(&w.unusable))
            status = 1;
        jm_logf(JM_INFO, "worker", "stopped");
    }
    free_parts(&w);
    return status;
}
