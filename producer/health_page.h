/* What every producer serves beside its API: health, readiness, metrics, and the pages for
 * browsers. */
#ifndef JM_HEALTH_PAGE_H
#define JM_HEALTH_PAGE_H

#include "common/health.h"

/* What the routes tell about: their ctx. All borrowed. */
typedef struct jm_health_page {
    jm_metrics *metrics;
    const jm_watchdog *watchdog;
    /* Adds why it is not ready, but for threads that are stuck. Any thread calls it. */
    void (*why_unready)(void *ctx, jm_reasons *reasons);
    void *ctx;
} jm_health_page;

/* /healthz, /readyz, /metrics, /, /docs; ended by a NULL path. */
extern const jm_http_route jm_health_page_routes[];

/* The family jobmill_build_info of a producer. */
void jm_health_page_add_build(jm_metrics *metrics);

#endif
