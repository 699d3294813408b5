/* What a worker shows on its own port: /healthz, /readyz, /metrics, /jobs. */
#ifndef JM_STATUS_H
#define JM_STATUS_H

#include "common/clock.h"
#include "common/metrics.h"
#include "common/watchdog.h"
#include "worker/backlog.h"
#include "worker/meters.h"
#include "worker/recent.h"
#include "worker/runner.h"
#include "worker/slots.h"

/* How the worker stands, looked up for each answer. */
typedef struct jm_health {
    bool stopping;
    bool with_database, database_up; /* the latter means nothing without the former */
    bool kafka_up;
    int partitions; /* assigned */
} jm_health;

/* All borrowed: they outlive the page. */
typedef struct jm_status_options {
    const char *listen;
    const char *worker_id;
    const char *const *queues; /* NULL-terminated */
    const jm_db_clock *clock;
    jm_metrics *metrics;
    jm_meters *meters;
    jm_watchdog *watchdog;
    jm_runner *runner;
    jm_slots *slots;
    const struct jm_pool_meter *pool_meter;
    jm_recent *recent;
    const jm_spool_counts *spool;              /* or NULL */
    void (*health)(void *ctx, jm_health *out); /* called on the page's thread; must not block */
    void *ctx;
} jm_status_options;

typedef struct jm_status jm_status;

/* Serves at once. Errors as jm_httpd_new has them. */
int jm_status_new(const jm_status_options *options, jm_status **out, jm_err *err);
const char *jm_status_address(const jm_status *status); /* host:port; borrowed */
/* Ends the page; before what it shows goes. NULL is fine. */
void jm_status_free(jm_status *status);

#endif
