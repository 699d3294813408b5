/* The HTTP API of a producer: who may ask, which handler answers, and what is counted. */
#ifndef JM_HTTP_API_H
#define JM_HTTP_API_H

#include "common/config.h"
#include "common/httpd.h"
#include "common/metrics.h"
#include "producer/pg_pool.h"

typedef struct jm_api jm_api;

/* All borrowed: they outlive the API. */
typedef struct jm_api_options {
    const jm_config *config;
    const char *conninfo, *schema; /* NULL: there is no database */
    jm_metrics *metrics;
    jm_db_clock *clock;
    jm_metric *submitted; /* queue, type, source; may be NULL */
} jm_api_options;

/* Needs neither database nor Kafka. Errors: JM_ERR_INVALID where the configuration would let
 * anybody in from anywhere. */
int jm_api_new(const jm_api_options *options, jm_api **out, jm_err *err);
/* What the server needs to know: threads, limits, TLS, and the handler of all that is no page. */
void jm_api_serve(jm_api *api, jm_httpd_options *httpd);
/* Ends what is deferred and all streams, after jm_httpd_stop and before jm_httpd_free. */
void jm_api_stop(jm_api *api);
void jm_api_free(jm_api *api); /* after jm_httpd_free; NULL is fine */

const jm_config *jm_api_config(const jm_api *api);
jm_pg_pool *jm_api_pool(const jm_api *api); /* NULL: there is no database */
struct jm_auth *jm_api_auth(const jm_api *api);
struct jm_live *jm_api_live(const jm_api *api);
struct jm_lock_waits *jm_api_lock_waits(const jm_api *api);
struct jm_recent *jm_api_recent(const jm_api *api); /* NULL where there is a database */
struct jm_tail *jm_api_tail(const jm_api *api);
struct jm_submission *jm_api_submission(const jm_api *api);
struct jm_waiter *jm_api_waiter(const jm_api *api);

#endif
