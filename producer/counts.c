/* What a producer counts, as metrics. */
#include "producer/counts.h"

#include "producer/tick_policy.h"

#define SECONDS 1000000

static const jm_metric_def submitted_def = {.name = "jobmill_jobs_submitted_total",
                                            .help =
                                                "Jobs accepted, by queue, type and how they came.",
                                            .kind = JM_COUNTER,
                                            .labels = {"queue", "type", "source"}};
const jm_metric_def jm_schedule_delay_def = {
    .name = "jobmill_schedule_publish_delay_seconds",
    .help = "From the instant a schedule was due until Kafka acknowledged its job.",
    .kind = JM_HISTOGRAM,
    .per = SECONDS,
    .bounds = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
               5000000, 10000000, 30000000, 60000000, 300000000, 3600000000, 86400000000}};
static const jm_metric_def ticks_def = {
    .name = "jobmill_schedule_ticks_total",
    .help = "Instants of schedules decided by this producer, by what became of them.",
    .kind = JM_COUNTER,
    .labels = {"outcome"}};
static const jm_metric_def published_def = {.name = "jobmill_relay_published_total",
                                            .help = "Records of jobs that Kafka has acknowledged.",
                                            .kind = JM_COUNTER};
static const jm_metric_def failed_def = {
    .name = "jobmill_relay_failed_total",
    .help = "Records of jobs that were not acknowledged and are sent again.",
    .kind = JM_COUNTER};
static const jm_metric_def refused_def = {
    .name = "jobmill_relay_refused_total",
    .help = "Records that Kafka will never take; their jobs start from the database.",
    .kind = JM_COUNTER};
static const jm_metric_def in_flight_def = {.name = "jobmill_relay_in_flight",
                                            .help = "Records sent and not yet acknowledged.",
                                            .kind = JM_GAUGE};
static const jm_metric_def lost_def = {.name = "jobmill_workers_lost_total",
                                       .help =
                                           "Workers whose lease lapsed, found by this producer.",
                                       .kind = JM_COUNTER};
static const jm_metric_def rescues_def = {.name = "jobmill_rescues_total",
                                          .help = "Jobs taken from workers that were lost.",
                                          .kind = JM_COUNTER};
static const jm_metric_def expired_def = {
    .name = "jobmill_jobs_expired_total",
    .help = "Jobs that were not started by their start_by, ended by this producer.",
    .kind = JM_COUNTER};
static const jm_metric_def swept_def = {
    .name = "jobmill_jobs_swept_total",
    .help = "Jobs that were published, that no worker claimed, and that start from the database.",
    .kind = JM_COUNTER};

static const jm_metric_def forgotten_def = {.name = "jobmill_ledger_rows_dropped_total",
                                            .help =
                                                "Rows of schedule_ticks that retention dropped.",
                                            .kind = JM_COUNTER};
static const jm_metric_def skew_def = {
    .name = "jobmill_clock_skew_seconds",
    .help = "How far this machine's clock is ahead of PostgreSQL's, which decides.",
    .kind = JM_GAUGE,
    .per = SECONDS};

static jm_series *plain(jm_metrics *metrics, const jm_metric_def *def)
{
    return jm_metric_get(jm_metrics_add(metrics, def), NULL);
}

void jm_counts_init(jm_counts *counts, jm_metrics *metrics)
{
    *counts = (jm_counts){.submitted = jm_metrics_add(metrics, &submitted_def),
                          .delay = plain(metrics, &jm_schedule_delay_def),
                          .ticks = jm_metrics_add(metrics, &ticks_def),
                          .published = plain(metrics, &published_def),
                          .failed = plain(metrics, &failed_def),
                          .refused = plain(metrics, &refused_def),
                          .in_flight = plain(metrics, &in_flight_def),
                          .lost_workers = plain(metrics, &lost_def),
                          .rescued = plain(metrics, &rescues_def),
                          .expired = plain(metrics, &expired_def),
                          .swept = plain(metrics, &swept_def),
                          .forgotten = plain(metrics, &forgotten_def),
                          .skew = plain(metrics, &skew_def)};
}

static void set_ticks(const jm_counts *counts, const jm_firing_stats *firing)
{
    const struct {
        jm_tick_outcome outcome;
        uint64_t n;
    } ticks[] = {{JM_TICK_FIRED, firing->fired},
                 {JM_TICK_SKIPPED, firing->skipped},
                 {JM_TICK_MISSED, firing->missed},
                 {JM_TICK_COALESCED, firing->coalesced}};
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        const char *outcome = jm_tick_outcome_text(ticks[i].outcome);
        jm_series_set(jm_metric_get(counts->ticks, &outcome), (int64_t)ticks[i].n);
    }
}

void jm_counts_set(const jm_counts *counts, const jm_firing_stats *firing,
                   const jm_relay_stats *relay, const jm_janitor_stats *janitor)
{
    if (firing)
        set_ticks(counts, firing);
    jm_series_set(counts->published, (int64_t)relay->published);
    jm_series_set(counts->failed, (int64_t)relay->failed);
    jm_series_set(counts->refused, (int64_t)relay->refused);
    jm_series_set(counts->in_flight, (int64_t)relay->in_flight);
    jm_series_set(counts->lost_workers, (int64_t)janitor->lost_workers);
    jm_series_set(counts->rescued, (int64_t)janitor->rescued);
    jm_series_set(counts->expired, (int64_t)janitor->expired);
    jm_series_set(counts->swept, (int64_t)janitor->swept);
    jm_series_set(counts->forgotten, (int64_t)janitor->forgotten);
    jm_series_set(counts->skew, janitor->clock_us);
}
