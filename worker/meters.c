/* What a worker counts. */
#include "worker/meters.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "worker/job_type.h"

#define SECONDS 1000000
#define JOB_BOUNDS                                                                                 \
    {                                                                                              \
        1000, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,        \
            10000000, 30000000, 60000000, 300000000, 1800000000, 7200000000, 21600000000           \
    }
#define ROW_BOUNDS                                                                                 \
    {                                                                                              \
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000                                \
    }
#define TRANSACTION_BOUNDS                                                                         \
    {                                                                                              \
        500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000, 30000000     \
    }

static const jm_metric_def submitted_def = {.name = "jobmill_jobs_submitted_total",
                                            .help =
                                                "Jobs accepted, by queue, type and how they came.",
                                            .kind = JM_COUNTER,
                                            .labels = {"queue", "type", "source"}};
static const jm_metric_def finished_def = {
    .name = "jobmill_jobs_finished_total",
    .help = "Jobs that reached a terminal state, recorded by this process.",
    .kind = JM_COUNTER,
    .labels = {"queue", "type", "status"}};
static const jm_metric_def attempts_def = {.name = "jobmill_attempts_total",
                                           .help = "Attempts that ended, by what became of them.",
                                           .kind = JM_COUNTER,
                                           .labels = {"type", "outcome"}};
static const jm_metric_def duration_def = {.name = "jobmill_job_duration_seconds",
                                           .help = "How long attempts ran.",
                                           .kind = JM_HISTOGRAM,
                                           .labels = {"type"},
                                           .per = SECONDS,
                                           .bounds = JOB_BOUNDS};
static const jm_metric_def wait_def = {
    .name = "jobmill_job_wait_seconds",
    .help = "How long jobs waited until their first start, without deliberate delay.",
    .kind = JM_HISTOGRAM,
    .labels = {"queue"},
    .per = SECONDS,
    .bounds = JOB_BOUNDS};
static const jm_metric_def dead_def = {.name = "jobmill_dead_letters_total",
                                       .help = "Records that could not become jobs.",
                                       .kind = JM_COUNTER,
                                       .labels = {"reason"}};
static const jm_metric_def fenced_def = {
    .name = "jobmill_fenced_writes_total",
    .help = "Ends of attempts that changed nothing: the job had been given to another worker.",
    .kind = JM_COUNTER};
static const jm_metric_def lag_def = {
    .name = "jobmill_consumer_lag_records",
    .help = "Records of an assigned partition that have not been accepted yet.",
    .kind = JM_GAUGE,
    .labels = {"topic", "partition"}};
static const jm_metric_def pending_def = {.name = "jobmill_pending_jobs",
                                          .help =
                                              "Rows of pending_jobs by state, counted up to 10001.",
                                          .kind = JM_GAUGE,
                                          .labels = {"state"}};
static const jm_metric_def queue_def = {
    .name = "jobmill_queue_jobs",
    .help = "Jobs of a queue: pending, ready in the database (counted up to max_waiting); running, "
            "in this worker.",
    .kind = JM_GAUGE,
    .labels = {"queue", "status"}};
static const jm_metric_def oldest_def = {
    .name = "jobmill_queue_oldest_pending_seconds",
    .help = "How long the oldest job that is ready to start has waited in the database.",
    .kind = JM_GAUGE,
    .labels = {"queue"},
    .per = SECONDS};
static const jm_metric_def rows_def = {
    .name = "jobmill_transaction_jobs",
    .help = "Jobs in one transaction: accepted, started from the database, recorded.",
    .kind = JM_HISTOGRAM,
    .labels = {"what"},
    .bounds = ROW_BOUNDS};
static const jm_metric_def seconds_def = {
    .name = "jobmill_transaction_seconds",
    .help = "Time from sending a transaction to the answer to its commit.",
    .kind = JM_HISTOGRAM,
    .labels = {"what"},
    .per = SECONDS,
    .bounds = TRANSACTION_BOUNDS};

static void add_transactions(jm_meters *m, jm_metrics *metrics)
{
    static const char *const what[JM_TX_KINDS] = {
        [JM_TX_ACCEPT] = "accept", [JM_TX_START] = "start", [JM_TX_RECORD] = "record"};
    jm_metric *by_rows = jm_metrics_add(metrics, &rows_def);
    jm_metric *by_seconds = jm_metrics_add(metrics, &seconds_def);
    for (int i = 0; i < JM_TX_KINDS; i++) {
        m->rows[i] = jm_metric_get(by_rows, &what[i]);
        m->seconds[i] = jm_metric_get(by_seconds, &what[i]);
    }
}

void jm_meters_transaction(jm_meters *meters, jm_meter_tx kind, int rows, int64_t since_us)
{
    if (!meters)
        return;
    jm_series_observe(meters->rows[kind], rows);
    jm_series_observe(meters->seconds[kind], jm_mono_us() - since_us);
}

jm_meters *jm_meters_new(jm_metrics *metrics)
{
    jm_meters *m = jm_calloc(1, sizeof *m);
    m->submitted = jm_metrics_add(metrics, &submitted_def);
    m->finished = jm_metrics_add(metrics, &finished_def);
    m->attempts = jm_metrics_add(metrics, &attempts_def);
    m->duration = jm_metrics_add(metrics, &duration_def);
    m->wait = jm_metrics_add(metrics, &wait_def);
    m->dead = jm_metrics_add(metrics, &dead_def);
    m->lag = jm_metrics_add(metrics, &lag_def);
    m->pending = jm_metrics_add(metrics, &pending_def);
    m->queue = jm_metrics_add(metrics, &queue_def);
    m->oldest = jm_metrics_add(metrics, &oldest_def);
    m->fenced = jm_metric_get(jm_metrics_add(metrics, &fenced_def), NULL);
    add_transactions(m, metrics);
    return m;
}

void jm_meters_free(jm_meters *meters)
{
    free(meters);
}

const char *jm_meters_type(const jm_job_type *type)
{
    return type ? type->name : "other";
}

/* What an end is called; status NULL: the job goes on. */
static const struct {
    const char *status, *outcome;
} ends[] = {
    [JM_END_NONE] = {NULL, NULL},
    [JM_END_COMPLETED] = {"completed", "completed"},
    [JM_END_FAILED] = {"failed", "failed"},
    [JM_END_RETRY] = {NULL, "retried"},
    [JM_END_CANCELLED] = {"cancelled", "cancelled"},
    [JM_END_RETURNED] = {NULL, "returned"},
};

void jm_meters_recorded(jm_meters *meters, jm_report *const *reports, const bool *passed, int n)
{
    jm_tally finished, attempts;
    jm_sampler durations;
    if (!meters)
        return;
    jm_tally_init(&finished, meters->finished);
    jm_tally_init(&attempts, meters->attempts);
    jm_sampler_init(&durations, meters->duration);
    int64_t fenced = 0;
    for (int i = 0; i < n; i++) {
        const jm_report *report = reports[i];
        if (report->end == JM_END_NONE)
            continue;
        const char *type =
            report->from_spool ? report->job->type : jm_meters_type(report->job->job_type);
        const char *status = ends[report->end].status;
        fenced += !passed[i];
        if (passed[i] && status)
            jm_tally_add(&finished, (const char *[]){report->job->queue, type, status});
        const char *outcome = report->reason ? report->reason : ends[report->end].outcome;
        jm_tally_add(&attempts, (const char *[]){type, passed[i] ? outcome : "superseded"});
        jm_sampler_add(&durations, type, report->ended_us - report->started_us);
    }
    jm_tally_flush(&finished);
    jm_tally_flush(&attempts);
    jm_sampler_flush(&durations);
    jm_series_add(meters->fenced, fenced);
}

int64_t jm_meters_wait_us(const jm_job *job, int64_t now_us)
{
    if (job->attempt > 1)
        return -1;
    int64_t since_us = jm_uuid7_ms(&job->id) * 1000;
    since_us = job->run_at_us > since_us ? job->run_at_us : since_us;
    return now_us > since_us ? now_us - since_us : 0;
}
