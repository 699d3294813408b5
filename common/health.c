/* Health as the programs tell it over HTTP. */
#include "common/health.h"

#include <stdio.h>
#include <string.h>

void jm_reasons_add(jm_reasons *reasons, const char *reason)
{
    if (reasons->json.len)
        jm_buf_addc(&reasons->json, ',');
    jm_buf_add_json(&reasons->json, reason, strlen(reason));
}

void jm_reasons_add_stuck(jm_reasons *reasons, const jm_watchdog *watchdog)
{
    for (int i = 0; i < jm_watchdog_n(watchdog); i++) {
        char text[120];
        if (!jm_watchdog_is_stuck(watchdog, i))
            continue;
        snprintf(text, sizeof text, "the %s thread is stuck", jm_watchdog_name(watchdog, i));
        jm_reasons_add(reasons, text);
    }
}

void jm_reasons_answer(jm_reasons *reasons, jm_http_request *request, const char *good)
{
    bool any = reasons->json.len > 0;
    jm_buf body = {0};
    jm_buf_addf(&body, "{\"status\":\"%s\",\"reasons\":[%s]}\n", any ? "unavailable" : good,
                jm_buf_str(&reasons->json));
    jm_http_answer_json(request, any ? 503 : 200, &body);
    jm_buf_fini(&body);
    jm_buf_fini(&reasons->json);
}

static const jm_metric_def stuck_def = {.name = "jobmill_watchdog_stuck",
                                        .help = "1 for a thread that has not turned for too long.",
                                        .kind = JM_GAUGE,
                                        .labels = {"thread"}};
static const jm_metric_def stuck_times_def = {.name = "jobmill_watchdog_trips_total",
                                              .help = "How often a thread was found stuck.",
                                              .kind = JM_COUNTER,
                                              .labels = {"thread"}};
static const jm_metric_def silent_def = {
    .name = "jobmill_watchdog_silent_seconds",
    .help = "Since when a thread has not turned; 0 while it waits by design.",
    .kind = JM_GAUGE,
    .labels = {"thread"},
    .per = 1000};
static const jm_metric_def late_def = {
    .name = "jobmill_database_timeouts_total",
    .help = "Statements without an answer in time, for which the connection was given up.",
    .kind = JM_COUNTER,
    .labels = {"thread"}};
void jm_watchdog_gauges_init(jm_watchdog_gauges *gauges, jm_metrics *metrics)
{
    gauges->stuck = jm_metrics_add(metrics, &stuck_def);
    gauges->times = jm_metrics_add(metrics, &stuck_times_def);
    gauges->silent = jm_metrics_add(metrics, &silent_def);
    gauges->late = jm_metrics_add(metrics, &late_def);
}

void jm_watchdog_gauges_set(const jm_watchdog_gauges *gauges, const jm_watchdog *watchdog)
{
    for (int i = 0; i < jm_watchdog_n(watchdog); i++) {
        const char *name = jm_watchdog_name(watchdog, i);
        jm_series_set(jm_metric_get(gauges->stuck, &name), jm_watchdog_is_stuck(watchdog, i));
        jm_series_set(jm_metric_get(gauges->times, &name), jm_watchdog_times(watchdog, i));
        jm_series_set(jm_metric_get(gauges->silent, &name), jm_watchdog_silent_ms(watchdog, i));
        jm_series_set(jm_metric_get(gauges->late, &name), jm_watchdog_late(watchdog, i));
    }
}
