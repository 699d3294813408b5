/* Health, readiness and metrics of a producer over HTTP. */
#include "producer/health_page.h"

#include "producer/http/pages.h"

static const jm_metric_def build_def = {.name = "jobmill_build_info",
                                        .help = "1, with the version of the program.",
                                        .kind = JM_GAUGE,
                                        .labels = {"version", "program"}};

void jm_health_page_add_build(jm_metrics *metrics)
{
    jm_metric *build = jm_metrics_add(metrics, &build_def);
    jm_series_set(jm_metric_get(build, (const char *[]){JM_VERSION, "jobmill-producer"}), 1);
}

static void on_metrics(void *ctx, jm_http_request *request)
{
    const jm_health_page *page = ctx;
    jm_buf text = {0};
    jm_metrics_write(page->metrics, &text);
    jm_http_answer(request, 200, JM_METRICS_CONTENT_TYPE, &text);
    jm_buf_fini(&text);
}

static void on_healthz(void *ctx, jm_http_request *request)
{
    const jm_health_page *page = ctx;
    jm_reasons reasons = {0};
    jm_reasons_add_stuck(&reasons, page->watchdog);
    jm_reasons_answer(&reasons, request, "ok");
}

static void on_readyz(void *ctx, jm_http_request *request)
{
    const jm_health_page *page = ctx;
    jm_reasons reasons = {0};
    page->why_unready(page->ctx, &reasons);
    jm_reasons_add_stuck(&reasons, page->watchdog);
    jm_reasons_answer(&reasons, request, "ready");
}

const jm_http_route jm_health_page_routes[] = {{"/healthz", on_healthz},
                                               {"/readyz", on_readyz},
                                               {"/metrics", on_metrics},
                                               {"/", jm_pages_answer},
                                               {"/docs", jm_pages_answer},
                                               {"/docs/", jm_pages_answer},
                                               {"/docs/docs.css", jm_pages_answer},
                                               {"/docs/docs.js", jm_pages_answer},
                                               {NULL, NULL}};
