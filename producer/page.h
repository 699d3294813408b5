/* What a producer serves on [http] listen: /healthz, /readyz, /metrics, and the API. Served from
 * the start, also while the database is away. */
#ifndef JM_PAGE_H
#define JM_PAGE_H

#include "common/metrics.h"
#include "common/watchdog.h"
#include "producer/counts.h"
#include "producer/http/api.h"
#include "producer/janitor.h"
#include "producer/relay.h"
#include "producer/scheduler.h"

/* All borrowed: they outlive the page. */
typedef struct jm_page_options {
    const char *listen;
    jm_api *api; /* NULL: none; stopped by the page */
    jm_metrics *metrics;
    const jm_counts *counts;
    const char *conninfo, *schema; /* for the gauges that PostgreSQL is asked for */
    const jm_watchdog *watchdog;   /* all its pulses are there */
} jm_page_options;

/* Once the database has been reached; borrowed likewise. */
typedef struct jm_page_parts {
    const jm_relay *relay;
    const jm_scheduler *scheduler; /* NULL: none */
    const jm_janitor *janitor;
} jm_page_parts;

typedef struct jm_page jm_page;

/* Serves at once, as not ready. Errors as jm_httpd_new has them. */
int jm_page_new(const jm_page_options *options, jm_page **out, jm_err *err);
const char *jm_page_address(const jm_page *page); /* host:port; borrowed */
/* From now on the page tells about these. Once. NULL page is fine. */
void jm_page_attach(jm_page *page, const jm_page_parts *parts);
/* Ends the page; before what it shows goes. NULL is fine. */
void jm_page_free(jm_page *page);

#endif
