/* What a producer serves: health, readiness, metrics. */
#include "producer/page.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/health.h"
#include "common/mem.h"
#include "producer/gauges.h"
#include "producer/http/pages.h"

struct jm_page {
    jm_page_options options;
    _Atomic(const jm_page_parts *) parts; /* NULL: the database has not been reached yet */
    jm_httpd *httpd;
    jm_gauges *gauges;
    jm_watchdog_gauges watchdog;
    jm_series *database_up;
    jm_metric *kafka; /* not known before the relay has asked */
};

static const jm_metric_def build_def = {.name = "jobmill_build_info",
                                        .help = "1, with the version of the program.",
                                        .kind = JM_GAUGE,
                                        .labels = {"version", "program"}};
static const jm_metric_def database_def = {.name = "jobmill_database_up",
                                           .help = "1 while the producer reaches PostgreSQL.",
                                           .kind = JM_GAUGE};
static const jm_metric_def kafka_def = {
    .name = "jobmill_kafka_up", .help = "1 while a Kafka broker answers.", .kind = JM_GAUGE};

static void add_gauges(jm_page *page)
{
    jm_metrics *metrics = page->options.metrics;
    jm_metric *build = jm_metrics_add(metrics, &build_def);
    jm_series_set(jm_metric_get(build, (const char *[]){JM_VERSION, "jobmill-producer"}), 1);
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

static void on_metrics(void *ctx, jm_http_request *request)
{
    jm_page *page = ctx;
    jm_buf text = {0};
    jm_metrics_write(page->options.metrics, &text);
    jm_http_answer(request, 200, JM_METRICS_CONTENT_TYPE, &text);
    jm_buf_fini(&text);
}

static void on_healthz(void *ctx, jm_http_request *request)
{
    const jm_page *page = ctx;
    jm_reasons reasons = {0};
    jm_reasons_add_stuck(&reasons, page->options.watchdog);
    jm_reasons_answer(&reasons, request, "ok");
}

static void on_readyz(void *ctx, jm_http_request *request)
{
    jm_page *page = ctx;
    const jm_page_parts *parts = atomic_load(&page->parts);
    jm_reasons reasons = {0};
    if (!parts)
        jm_reasons_add(&reasons, "the database has not been reached yet");
    if (parts && !jm_janitor_is_up(parts->janitor))
        jm_reasons_add(&reasons, "the database is away");
    if (parts && !jm_relay_is_up(parts->relay))
        jm_reasons_add(&reasons, "Kafka is away");
    jm_reasons_add_stuck(&reasons, page->options.watchdog);
    jm_reasons_answer(&reasons, request, "ready");
}

static const jm_http_route routes[] = {{"/healthz", on_healthz},
                                       {"/readyz", on_readyz},
                                       {"/metrics", on_metrics},
                                       {"/", jm_pages_answer},
                                       {"/docs", jm_pages_answer},
                                       {"/docs/", jm_pages_answer},
                                       {"/docs/docs.css", jm_pages_answer},
                                       {"/docs/docs.js", jm_pages_answer},
                                       {NULL, NULL}};

int jm_page_new(const jm_page_options *options, jm_page **out, jm_err *err)
{
    jm_page *page = jm_calloc(1, sizeof *page);
    page->options = *options;
    add_gauges(page);
    page->gauges = jm_gauges_new(options->conninfo, options->schema, options->metrics);
    jm_metrics_on_write(options->metrics, on_write, page);
    jm_httpd_options httpd = {.listen = options->listen, .routes = routes, .ctx = page};
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
