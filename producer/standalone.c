/* A producer without a database. */
#include "producer/standalone.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/httpd.h"
#include "common/log.h"
#include "common/metrics.h"
#include "producer/counts.h"
#include "producer/file_scheduler.h"
#include "producer/health_page.h"
#include "producer/http/api.h"
#include "producer/tick_policy.h"

enum { STATUS_MS = 10000, STUCK_MS = 60000, GRACE_MS = 10000 /* for what is in flight */ };

typedef struct standalone {
    jm_config *config;
    jm_watchdog *watchdog;
    jm_pulse *main_pulse;
    jm_file_scheduler *scheduler;
    jm_metrics *metrics;
    jm_metric *ticks;
    jm_series *published, *refused, *in_flight, *schedules, *kafka_up, *delay;
    jm_watchdog_gauges gauges;
    jm_health_page health;
    jm_api *api;     /* NULL: none */
    jm_httpd *httpd; /* NULL: none */
    char status[300];
} standalone;

/* ---- health and metrics ---- */

static const jm_metric_def ticks_def = {.name = "jobmill_schedule_ticks_total",
                                        .help = "Instants of schedules, by what became of them.",
                                        .kind = JM_COUNTER,
                                        .labels = {"outcome"}};
static const jm_metric_def published_def = {.name = "jobmill_jobs_published_total",
                                            .help = "Jobs that Kafka has acknowledged.",
                                            .kind = JM_COUNTER};
static const jm_metric_def refused_def = {
    .name = "jobmill_jobs_given_up_total",
    .help = "Jobs that Kafka will never take, or that there was no room for while it was away.",
    .kind = JM_COUNTER};
static const jm_metric_def in_flight_def = {
    .name = "jobmill_jobs_in_flight", .help = "Jobs not yet acknowledged.", .kind = JM_GAUGE};
static const jm_metric_def kafka_def = {
    .name = "jobmill_kafka_up", .help = "1 while a Kafka broker answers.", .kind = JM_GAUGE};
static const jm_metric_def schedules_def = {
    .name = "jobmill_file_schedules", .help = "Schedules of the file.", .kind = JM_GAUGE};

static void set_tick(standalone *s, jm_tick_outcome outcome, uint64_t n)
{
    const char *text = jm_tick_outcome_text(outcome);
    jm_series_set(jm_metric_get(s->ticks, &text), (int64_t)n);
}

static void on_write(void *ctx)
{
    standalone *s = ctx;
    jm_file_scheduler_stats stats;
    jm_file_scheduler_get_stats(s->scheduler, &stats);
    set_tick(s, JM_TICK_FIRED, stats.fired);
    set_tick(s, JM_TICK_SKIPPED, stats.skipped);
    set_tick(s, JM_TICK_MISSED, stats.missed);
    set_tick(s, JM_TICK_COALESCED, stats.coalesced);
    jm_series_set(s->published, (int64_t)stats.published);
    jm_series_set(s->refused, (int64_t)stats.refused);
    jm_series_set(s->in_flight, (int64_t)stats.in_flight);
    jm_series_set(s->schedules, (int64_t)stats.schedules);
    jm_series_set(s->kafka_up, !stats.kafka_away);
    jm_watchdog_gauges_set(&s->gauges, s->watchdog);
}

static void make_metrics(standalone *s)
{
    jm_metrics *metrics = s->metrics = jm_metrics_new();
    jm_health_page_add_build(metrics);
    s->ticks = jm_metrics_add(metrics, &ticks_def);
    s->published = jm_metric_get(jm_metrics_add(metrics, &published_def), NULL);
    s->refused = jm_metric_get(jm_metrics_add(metrics, &refused_def), NULL);
    s->in_flight = jm_metric_get(jm_metrics_add(metrics, &in_flight_def), NULL);
    s->schedules = jm_metric_get(jm_metrics_add(metrics, &schedules_def), NULL);
    s->kafka_up = jm_metric_get(jm_metrics_add(metrics, &kafka_def), NULL);
    s->delay = jm_metric_get(jm_metrics_add(metrics, &jm_schedule_delay_def), NULL);
    jm_watchdog_gauges_init(&s->gauges, metrics);
}

static void why_unready(void *ctx, jm_reasons *reasons)
{
    standalone *s = ctx;
    jm_file_scheduler_stats stats;
    jm_file_scheduler_get_stats(s->scheduler, &stats);
    if (stats.kafka_away)
        jm_reasons_add(reasons, "Kafka is away");
}

/* Without its page the producer goes on. */
static void make_page(standalone *s)
{
    jm_err err = {0};
    jm_httpd_options options = {.listen = jm_config_str(s->config, "http.listen"),
                                .routes = jm_health_page_routes,
                                .ctx = &s->health};
    s->health = (jm_health_page){s->metrics, s->watchdog, why_unready, s};
    jm_api_options api = {.config = s->config, .metrics = s->metrics};
    if (jm_api_new(&api, &s->api, &err))
        jm_log_kv(JM_ERROR, "producer", "no API", "why", err.msg, NULL);
    if (s->api)
        jm_api_serve(s->api, &options);
    if (jm_httpd_new(&options, &s->httpd, &err))
        jm_log_kv(JM_WARNING, "producer", "no health page and no metrics", "why", err.msg, NULL);
}

/* As a page with a database is ended: what is answered later is, before the server goes. */
static void free_page(standalone *s)
{
    if (s->httpd)
        jm_httpd_stop(s->httpd);
    if (s->api)
        jm_api_stop(s->api);
    jm_httpd_free(s->httpd);
    jm_api_free(s->api);
}

/* ---- the program ---- */

static void say_ready(const standalone *s)
{
    char text[400], file[200] = "";
    const char *path = jm_config_str(s->config, "scheduler.file");
    jm_file_scheduler_stats stats;
    jm_file_scheduler_get_stats(s->scheduler, &stats);
    if (*path)
        snprintf(file, sizeof file, " in %s", path);
    snprintf(text, sizeof text, "ready: listening on %s; no database, kafka %s, %zu schedules%s",
             s->httpd ? jm_httpd_address(s->httpd) : "nothing",
             jm_config_str(s->config, "kafka.bootstrap.servers"), stats.schedules, file);
    jm_logf(JM_INFO, "producer", "%s", text);
    jm_daemon_notify_ready(text);
}

static void say_status(standalone *s, bool always)
{
    jm_file_scheduler_stats stats;
    char text[sizeof s->status];
    jm_file_scheduler_get_stats(s->scheduler, &stats);
    snprintf(
        text, sizeof text,
        "%zu schedules; fired %llu, skipped %llu, missed %llu, coalesced %llu; published %llu, "
        "given up %llu, in flight %zu%s",
        stats.schedules, (unsigned long long)stats.fired, (unsigned long long)stats.skipped,
        (unsigned long long)stats.missed, (unsigned long long)stats.coalesced,
        (unsigned long long)stats.published, (unsigned long long)stats.refused, stats.in_flight,
        stats.kafka_away ? ", Kafka away" : "");
    if (!always && !strcmp(text, s->status))
        return;
    memcpy(s->status, text, sizeof text);
    jm_logf(JM_INFO, "producer", "%s", text);
    jm_daemon_notify_status(text);
}

static void reload(standalone *s)
{
    jm_err err;
    if (jm_config_reload(s->config, &err))
        jm_logf(JM_ERROR, "producer", "configuration not reloaded: %s: %s", err.field, err.msg);
    jm_file_scheduler_reload(s->scheduler);
}

static void serve(standalone *s)
{
    int64_t status_at_ms = jm_mono_ms() + STATUS_MS;
    for (;;) {
        jm_daemon_event event = jm_daemon_wait(1000);
        jm_pulse_beat(s->main_pulse);
        if (!jm_watchdog_check(s->watchdog))
            jm_daemon_notify_watchdog();
        if (event == JM_DAEMON_STOP)
            return;
        if (event == JM_DAEMON_RELOAD)
            reload(s);
        bool due = jm_mono_ms() >= status_at_ms;
        if (event == JM_DAEMON_STATUS || due)
            say_status(s, event == JM_DAEMON_STATUS);
        if (due)
            status_at_ms = jm_mono_ms() + STATUS_MS;
    }
}

static int run(standalone *s, bool with_http)
{
    jm_err err = {0};
    jm_pulse *pulse = jm_watchdog_add(s->watchdog, "scheduler", STUCK_MS);
    if (!*jm_config_str(s->config, "scheduler.file")) {
        jm_logf(with_http ? JM_INFO : JM_ERROR, "producer",
                "without a database schedules are read from a file, and [scheduler] file is not "
                "set%s",
                with_http ? ": no schedules fire" : "");
        if (!with_http)
            return 2;
    }
    make_metrics(s);
    if (jm_file_scheduler_new(s->config, pulse, s->delay, &s->scheduler, &err)) {
        jm_logf(JM_ERROR, "producer", "%s%s%s", err.field, *err.field ? ": " : "", err.msg);
        jm_metrics_free(s->metrics);
        return 1;
    }
    jm_metrics_on_write(s->metrics, on_write, s);
    if (with_http)
        make_page(s);
    say_ready(s);
    serve(s);
    jm_daemon_notify_stopping();
    jm_logf(JM_INFO, "producer", "stopping");
    free_page(s);
    say_status(s, true);
    size_t lost = jm_file_scheduler_free(s->scheduler, GRACE_MS);
    jm_metrics_free(s->metrics);
    if (lost)
        jm_logf(JM_ERROR, "producer", "Kafka has not taken %zu jobs: they are lost", lost);
    jm_logf(JM_INFO, "producer", "stopped");
    return lost ? 1 : 0;
}

int jm_standalone_run(jm_config *config, bool with_http)
{
    standalone s = {.config = config};
    s.watchdog = jm_watchdog_new();
    s.main_pulse = jm_watchdog_add(s.watchdog, "main", STUCK_MS);
    int status = run(&s, with_http);
    jm_watchdog_free(s.watchdog);
    return status;
}
