/* What a producer serves: health, readiness, metrics. */
#include "producer/page.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/mem.h"
#include "producer/gauges.h"
#include "producer/health_page.h"

struct jm_page {
    jm_page_options options;
    jm_health_page health;
    _Atomic(const jm_page_parts *) parts; /* NULL: the database has not been reached yet */
    jm_httpd *httpd;
    jm_gauges *gauges;
    jm_watchdog_gauges watchdog;
    jm_series *database_up;
    jm_metric *kafka; /* not known before the relay has asked */
};

static const jm_metric_def database_def = {.name = "jobmill_database_up",
                                           .help = "1 while the producer reaches PostgreSQL.",
                                           .kind = JM_GAUGE};
static const jm_metric_def kafka_def = {
    .name = "jobmill_kafka_up", .help = "1 while a Kafka broker answers.", .kind = JM_GAUGE};

static void add_gauges(jm_page *page)
{
    jm_metrics *metrics = page->options.metrics;
    jm_health_page_add_build(metrics);
    page->database_up = jm_metric_get(jm_metrics_add(metrics, &database_def), NULL);
    page->kafka = jm_metrics_add(metrics, &kafka_def);
    jm_watchdog_gauges_init(&page->watchdog, metrics);
}

static void show_counts(const jm_page *page, const jm_page_parts *parts)
{
    jm_firing_stats firing;
    jm_relay_stats relay;
    jm_janitor_stats janitor;
    if (parts->scheduler)
        jm_scheduler_get_stats(parts->scheduler, &firing);
    jm_relay_get_stats(parts->relay, &relay);
    jm_janitor_get_stats(parts->janitor, &janitor);
    jm_counts_set(page->options.counts, parts->scheduler ? &firing : NULL, &relay, &janitor);
}

static void on_write(void *ctx)
{
    jm_page *page = ctx;
    const jm_page_parts *parts = atomic_load(&page->parts);
    jm_watchdog_gauges_set(&page->watchdog, page->options.watchdog);
    jm_series_set(page->database_up, parts && jm_janitor_is_up(parts->janitor));
    if (!parts)
        return;
    jm_series_set(jm_metric_get(page->kafka, NULL), jm_relay_is_up(parts->relay));
    show_counts(page, parts);
    jm_gauges_show(page->gauges);
}

static void why_unready(void *ctx, jm_reasons *reasons)
{
    const jm_page *page = ctx;
    const jm_page_parts *parts = atomic_load(&page->parts);
    if (!parts)
        jm_reasons_add(reasons, "the database has not been reached yet");
    if (parts && !jm_janitor_is_up(parts->janitor))
        jm_reasons_add(reasons, "the database is away");
    if (parts && !jm_relay_is_up(parts->relay))
        jm_reasons_add(reasons, "Kafka is away");
}

int jm_page_new(const jm_page_options *options, jm_page **out, jm_err *err)
{
    jm_page *page = jm_calloc(1, sizeof *page);
    page->options = *options;
    page->health = (jm_health_page){options->metrics, options->watchdog, why_unready, page};
    add_gauges(page);
    page->gauges = jm_gauges_new(options->conninfo, options->schema, options->metrics);
    jm_metrics_on_write(options->metrics, on_write, page);
    jm_httpd_options httpd = {
        .listen = options->listen, .routes = jm_health_page_routes, .ctx = &page->health};
    if (options->api)
        jm_api_serve(options->api, &httpd);
    int rc = jm_httpd_new(&httpd, &page->httpd, err);
    if (rc) {
        jm_metrics_on_write(options->metrics, NULL, NULL);
        jm_gauges_free(page->gauges);
        free(page);
        return rc;
    }
    *out = page;
    return JM_OK;
}

const char *jm_page_address(const jm_page *page)
{
    return jm_httpd_address(page->httpd);
}

void jm_page_attach(jm_page *page, const jm_page_parts *parts)
{
    if (page)
        atomic_store(&page->parts, parts);
}

void jm_page_free(jm_page *page)
{
    if (!page)
        return;
    jm_httpd_stop(page->httpd);
    if (page->options.api)
        jm_api_stop(page->options.api);
    jm_httpd_free(page->httpd);
    jm_metrics_on_write(page->options.metrics, NULL, NULL);
    jm_gauges_free(page->gauges);
    free(page);
}
