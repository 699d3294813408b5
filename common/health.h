/* Health as the programs tell it over HTTP: the reasons why not, and the gauges of watchdogs. */
#ifndef JM_HEALTH_H
#define JM_HEALTH_H

#include "common/httpd.h"
#include "common/metrics.h"
#include "common/watchdog.h"

/* Why something is not as it should be; {0}: no reason. */
typedef struct jm_reasons {
    jm_buf json; /* of a list, without its brackets */
} jm_reasons;

void jm_reasons_add(jm_reasons *reasons, const char *reason);
/* One for each thread that is stuck. */
void jm_reasons_add_stuck(jm_reasons *reasons, const jm_watchdog *watchdog);
/* Answers 200 with status good where there is no reason, else 503 with status unavailable and the
 * reasons; forgets them. */
void jm_reasons_answer(jm_reasons *reasons, jm_http_request *request, const char *good);

/* The families of metrics about threads. */
typedef struct jm_watchdog_gauges {
    jm_metric *stuck, *times, *silent, *late;
} jm_watchdog_gauges;

void jm_watchdog_gauges_init(jm_watchdog_gauges *gauges, jm_metrics *metrics);
void jm_watchdog_gauges_set(const jm_watchdog_gauges *gauges, const jm_watchdog *watchdog);

#endif
