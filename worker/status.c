/* The worker's page: health, readiness, metrics, jobs. */
#include "worker/status.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/health.h"
#include "common/httpd.h"
#include "common/mem.h"
#include "worker/pool.h"

enum { LIST_MS = 1000, LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };

/* Gauges that are looked up when somebody reads them. */
typedef struct gauges {
    jm_metric *slots;
    jm_watchdog_gauges watchdog;
    jm_series *spool_bytes, *waiting, *spooled, *replayed, *dropped_logs, *spool_errors;
    jm_series *database_up, *kafka_up, *partitions, *stuck_jobs, *stuck_jobs_times, *running;
    jm_series *stuck_threads, *stuck_threads_times;
} gauges;

struct jm_status {
    jm_status_options options;
    jm_httpd *httpd;
    gauges gauges;
};

/* ---- metrics ---- */

static const jm_metric_def build_def = {.name = "jobmill_build_info",
                                        .help = "1, with the version of the program.",
                                        .kind = JM_GAUGE,
                                        .labels = {"version", "program"}};
static const jm_metric_def slots_def = {.name = "jobmill_worker_slots",
                                        .help = "Places to run jobs: process ([worker] "
                                                "concurrency) and async (concurrency_async).",
                                        .kind = JM_GAUGE,
                                        .labels = {"class", "state"}};
static const jm_metric_def running_def = {
    .name = "jobmill_worker_jobs", .help = "Jobs in flight in this worker.", .kind = JM_GAUGE};
static const jm_metric_def database_def = {.name = "jobmill_database_up",
                                           .help = "1 while the worker reaches PostgreSQL.",
                                           .kind = JM_GAUGE};
static const jm_metric_def kafka_def = {
    .name = "jobmill_kafka_up", .help = "1 while a Kafka broker answers.", .kind = JM_GAUGE};
static const jm_metric_def partitions_def = {.name = "jobmill_consumer_partitions",
                                             .help = "Partitions assigned to this worker.",
                                             .kind = JM_GAUGE};
static const jm_metric_def stuck_jobs_def = {
    .name = "jobmill_stuck_jobs",
    .help = "Jobs that were told to end, or killed, and have not ended.",
    .kind = JM_GAUGE};
static const jm_metric_def stuck_jobs_times_def = {
    .name = "jobmill_stuck_jobs_total",
    .help = "How often a job did not end although it was told to, or killed.",
    .kind = JM_COUNTER};

static const jm_metric_def stuck_threads_def = {
    .name = "jobmill_stuck_threads",
    .help = "Threads of plugin and sql steps that were given up and have not come back.",
    .kind = JM_GAUGE};
static const jm_metric_def stuck_threads_times_def = {
    .name = "jobmill_stuck_threads_total",
    .help = "How often a thread of a plugin or sql step was given up.",
    .kind = JM_COUNTER};
static const jm_metric_def spool_bytes_def = {
    .name = "jobmill_spool_bytes",
    .help = "Results in this worker's spool file that are to be recorded.",
    .kind = JM_GAUGE};
static const jm_metric_def waiting_def = {
    .name = "jobmill_reports_waiting",
    .help = "Reports that wait to be recorded, in memory or in the spool file.",
    .kind = JM_GAUGE};
static const jm_metric_def spooled_def = {.name = "jobmill_spool_written_total",
                                          .help = "Reports written to the spool file.",
                                          .kind = JM_COUNTER};
static const jm_metric_def replayed_def = {
    .name = "jobmill_spool_replayed_total",
    .help = "Reports recorded from spool files, those of workers that are gone as well.",
    .kind = JM_COUNTER};
static const jm_metric_def dropped_logs_def = {
    .name = "jobmill_logs_dropped_total",
    .help = "Log rows of jobs for which there was no room while the database was away.",
    .kind = JM_COUNTER};
static const jm_metric_def spool_errors_def = {.name = "jobmill_spool_errors_total",
                                               .help = "Batches that the disk did not take.",
                                               .kind = JM_COUNTER};

static jm_series *plain(jm_metrics *metrics, const jm_metric_def *def)
{
    return jm_metric_get(jm_metrics_add(metrics, def), NULL);
}

static void add_gauges(jm_status *status)
{
    jm_metrics *metrics = status->options.metrics;
    gauges *g = &status->gauges;
    jm_metric *build = jm_metrics_add(metrics, &build_def);
    jm_series_set(jm_metric_get(build, (const char *[]){JM_VERSION, "jobmill-worker"}), 1);
    g->slots = jm_metrics_add(metrics, &slots_def);
    g->running = plain(metrics, &running_def);
    g->database_up = plain(metrics, &database_def);
    g->kafka_up = plain(metrics, &kafka_def);
    g->partitions = plain(metrics, &partitions_def);
    jm_watchdog_gauges_init(&g->watchdog, metrics);
    g->stuck_jobs = plain(metrics, &stuck_jobs_def);
    g->stuck_jobs_times = plain(metrics, &stuck_jobs_times_def);
    g->stuck_threads = plain(metrics, &stuck_threads_def);
    g->stuck_threads_times = plain(metrics, &stuck_threads_times_def);
    if (!status->options.spool)
        return;
    g->spool_bytes = plain(metrics, &spool_bytes_def);
    g->waiting = plain(metrics, &waiting_def);
    g->spooled = plain(metrics, &spooled_def);
    g->replayed = plain(metrics, &replayed_def);
    g->dropped_logs = plain(metrics, &dropped_logs_def);
    g->spool_errors = plain(metrics, &spool_errors_def);
}

static void gauge_slots(jm_status *status)
{
    static const struct {
        jm_slot_class slot_class;
        const char *name;
    } classes[] = {{JM_SLOT_PROCESS, "process"}, {JM_SLOT_ASYNC, "async"}};
    jm_slots *slots = status->options.slots;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        const char *name = classes[i].name;
        int free_slots = jm_slots_left(slots, classes[i].slot_class, INT32_MAX);
        jm_series_set(jm_metric_get(status->gauges.slots, (const char *[]){name, "used"}),
                      jm_slots_used(slots, classes[i].slot_class));
        jm_series_set(jm_metric_get(status->gauges.slots, (const char *[]){name, "free"}),
                      free_slots);
    }
}

static void gauge_running(jm_status *status)
{
    jm_running_list list;
    jm_err ignored;
    if (jm_runner_list(status->options.runner, LIST_MS, &list, &ignored))
        return;
    for (const char *const *queue = status->options.queues; *queue; queue++) {
        int n = 0;
        for (int i = 0; i < list.n; i++)
            n += !strcmp(list.jobs[i].queue, *queue);
        jm_series_set(
            jm_metric_get(status->options.meters->queue, (const char *[]){*queue, "running"}), n);
    }
    jm_arena_free(list.arena);
}

static void gauge_spool(jm_status *status)
{
    const jm_spool_counts *spool = status->options.spool;
    const gauges *g = &status->gauges;
    if (!spool)
        return;
    jm_series_set(g->spool_bytes, atomic_load(&spool->bytes));
    jm_series_set(g->waiting, atomic_load(&spool->waiting));
    jm_series_set(g->spooled, atomic_load(&spool->spooled));
    jm_series_set(g->replayed, atomic_load(&spool->replayed));
    jm_series_set(g->dropped_logs, atomic_load(&spool->dropped_logs));
    jm_series_set(g->spool_errors, atomic_load(&spool->errors));
}

static void on_write(void *ctx)
{
    jm_status *status = ctx;
    const gauges *g = &status->gauges;
    jm_health health = {0};
    status->options.health(status->options.ctx, &health);
    jm_series_set(g->running, jm_runner_running(status->options.runner));
    if (health.with_database)
        jm_series_set(g->database_up, health.database_up);
    jm_series_set(g->kafka_up, health.kafka_up);
    jm_series_set(g->partitions, health.partitions);
    jm_series_set(g->stuck_jobs, jm_runner_stuck(status->options.runner));
    jm_series_set(g->stuck_jobs_times, jm_runner_stuck_ever(status->options.runner));
    jm_series_set(g->stuck_threads, atomic_load(&status->options.pool_meter->stuck));
    jm_series_set(g->stuck_threads_times, atomic_load(&status->options.pool_meter->stuck_total));
    gauge_slots(status);
    gauge_spool(status);
    jm_watchdog_gauges_set(&g->watchdog, status->options.watchdog);
    gauge_running(status);
}

static void on_metrics(void *ctx, jm_http_request *request)
{
    jm_status *status = ctx;
    jm_buf text = {0};
    jm_metrics_write(status->options.metrics, &text);
    jm_http_answer(request, 200, JM_METRICS_CONTENT_TYPE, &text);
    jm_buf_fini(&text);
}

/* ---- health ---- */

static void on_healthz(void *ctx, jm_http_request *request)
{
    const jm_status *status = ctx;
    jm_reasons reasons = {0};
    jm_reasons_add_stuck(&reasons, status->options.watchdog);
    jm_reasons_answer(&reasons, request, "ok");
}

static void on_readyz(void *ctx, jm_http_request *request)
{
    jm_status *status = ctx;
    jm_reasons reasons = {0};
    jm_health health = {0};
    status->options.health(status->options.ctx, &health);
    if (health.stopping)
        jm_reasons_add(&reasons, "the worker is stopping");
    if (health.with_database && !health.database_up)
        jm_reasons_add(&reasons, "the database is away");
    if (!health.kafka_up)
        jm_reasons_add(&reasons, "Kafka is away");
    jm_reasons_add_stuck(&reasons, status->options.watchdog);
    jm_reasons_answer(&reasons, request, "ready");
}

/* ---- jobs ---- */

typedef struct jobs_query {
    const char *type, *status; /* or NULL */
    int limit;
} jobs_query;

static const char *const statuses[] = {"running", "completed", "failed",     "cancelled",
                                       "retried", "returned",  "superseded", NULL};

/* false: answered as a problem. */
static bool read_query(jm_http_request *request, jobs_query *query)
{
    const char *limit = jm_http_query(request, "limit");
    *query = (jobs_query){.type = jm_http_query(request, "type"),
                          .status = jm_http_query(request, "status"),
                          .limit = LIMIT_DEFAULT};
    const char *const *known = statuses;
    while (query->status && *known && strcmp(*known, query->status) != 0)
        known++;
    if (!*known) {
        jm_http_problem(request, 400, "bad_parameter", "status",
                        "status must be running, completed, failed, cancelled, retried, returned "
                        "or superseded");
        return false;
    }
    char *end = NULL;
    long n = limit ? strtol(limit, &end, 10) : LIMIT_DEFAULT;
    if (limit && (end == limit || *end || n < 1 || n > LIMIT_MAX)) {
        jm_http_problem(request, 400, "bad_parameter", "limit",
                        "limit must be a number from 1 to 1000");
        return false;
    }
    query->limit = (int)n;
    return true;
}

static void add_text(jm_buf *body, const char *name, const char *value)
{
    jm_buf_addf(body, ",\"%s\":", name);
    if (value)
        jm_buf_add_json(body, value, strlen(value));
    else
        jm_buf_adds(body, "null");
}

static void add_head(jm_buf *body, const jm_uuid *id, const char *type, const char *queue,
                     const char *project, const char *status, int attempt)
{
    char text[JM_UUID_TEXT];
    jm_uuid_format(id, text);
    jm_buf_addf(body, "{\"id\":\"%s\"", text);
    add_text(body, "type", type);
    add_text(body, "queue", queue);
    add_text(body, "project", project);
    add_text(body, "status", status);
    jm_buf_addf(body, ",\"attempt\":%d", attempt);
}

static void add_count(jm_buf *body, const char *before, int64_t count)
{
    if (count >= 0)
        jm_buf_addf(body, "%s%" PRId64, before, count);
    else
        jm_buf_addf(body, "%snull", before);
}

static void add_running(jm_buf *body, const jm_db_clock *clock, const jm_running_job *job)
{
    char started[JM_RFC3339_TEXT];
    jm_rfc3339_format(jm_db_clock_at(clock, job->started_us), started);
    add_head(body, &job->id, job->type, job->queue, job->project, "running", job->attempt);
    add_text(body, "started_at", started);
    add_text(body, "step", job->step);
    if (job->items_total >= 0 || job->items_ok >= 0 || job->items_failed >= 0) {
        add_count(body, ",\"progress\":{\"total\":", job->items_total);
        add_count(body, ",\"ok\":", job->items_ok);
        add_count(body, ",\"failed\":", job->items_failed);
        jm_buf_addc(body, '}');
    } else {
        jm_buf_adds(body, ",\"progress\":null");
    }
    jm_buf_addf(body, ",\"stopping\":%s}", job->stopping ? "true" : "false");
}

static void add_recent(jm_buf *body, const jm_recent_job *job)
{
    char ended[JM_RFC3339_TEXT];
    jm_rfc3339_format(job->ended_us, ended);
    add_head(body, &job->id, job->type, job->queue, job->project, job->status, job->attempt);
    add_text(body, "ended_at", ended);
    jm_buf_addf(body, ",\"duration_ms\":%" PRId64, job->duration_us / 1000);
    add_text(body, "error", *job->error ? job->error : NULL);
    jm_buf_addc(body, '}');
}

/* Up to limit of those that are asked for; the total of them is told as well. */
static void write_running(const jm_status *status, const jobs_query *query,
                          const jm_running_list *list, jm_buf *body)
{
    int n = 0;
    jm_buf_adds(body, ",\"running\":[");
    for (int i = 0; i < list->n; i++) {
        if (query->type && strcmp(query->type, list->jobs[i].type) != 0)
            continue;
        if (n++ >= query->limit)
            continue;
        if (n > 1)
            jm_buf_addc(body, ',');
        add_running(body, status->options.clock, &list->jobs[i]);
    }
    jm_buf_addf(body, "],\"running_total\":%d", n);
}

static bool is_asked(void *ctx, const jm_recent_job *job)
{
    const jobs_query *query = ctx;
    return (!query->type || !strcmp(query->type, job->type)) &&
           (!query->status || !strcmp(query->status, job->status));
}

static void write_recent(const jm_status *status, jobs_query *query, jm_buf *body)
{
    jm_recent_job *jobs = jm_calloc((size_t)query->limit, sizeof *jobs);
    int n = jm_recent_copy(status->options.recent, is_asked, query, jobs, query->limit);
    jm_buf_adds(body, ",\"recent\":[");
    for (int i = 0; i < n; i++) {
        if (i)
            jm_buf_addc(body, ',');
        add_recent(body, &jobs[i]);
    }
    jm_buf_addc(body, ']');
    free(jobs);
}

static void on_jobs(void *ctx, jm_http_request *request)
{
    jm_status *status = ctx;
    jobs_query query;
    jm_err err;
    jm_running_list list = {0};
    if (!read_query(request, &query))
        return;
    bool running = !query.status || !strcmp(query.status, "running");
    if (running && jm_runner_list(status->options.runner, LIST_MS, &list, &err)) {
        jm_http_problem(request, 503, "stuck", NULL, err.msg);
        return;
    }
    jm_buf body = {0};
    jm_buf_addf(&body, "{\"worker_id\":\"%s\"", status->options.worker_id);
    write_running(status, &query, &list, &body);
    write_recent(status, &query, &body);
    jm_buf_adds(&body, "}\n");
    jm_arena_free(list.arena);
    jm_http_answer_json(request, 200, &body);
    jm_buf_fini(&body);
}

/* ---- the page ---- */

static const jm_http_route routes[] = {{"/healthz", on_healthz},
                                       {"/readyz", on_readyz},
                                       {"/metrics", on_metrics},
                                       {"/jobs", on_jobs},
                                       {NULL, NULL}};

int jm_status_new(const jm_status_options *options, jm_status **out, jm_err *err)
{
    jm_status *status = jm_calloc(1, sizeof *status);
    status->options = *options;
    add_gauges(status);
    jm_metrics_on_write(options->metrics, on_write, status);
    jm_httpd_options httpd = {.listen = options->listen, .routes = routes, .ctx = status};
    int rc = jm_httpd_new(&httpd, &status->httpd, err);
    if (rc) {
        jm_metrics_on_write(options->metrics, NULL, NULL);
        free(status);
        return rc;
    }
    *out = status;
    return JM_OK;
}

const char *jm_status_address(const jm_status *status)
{
    return jm_httpd_address(status->httpd);
}

void jm_status_free(jm_status *status)
{
    if (!status)
        return;
    jm_httpd_free(status->httpd);
    free(status);
}
