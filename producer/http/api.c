/* The HTTP API: from a request to its handler, and what is counted and logged about it. */
#include "producer/http/api.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/uuid7.h"
#include "producer/http/auth.h"
#include "producer/http/live.h"
#include "producer/http/lock_waits.h"
#include "producer/http/recent.h"
#include "producer/http/replay.h"
#include "producer/http/request_priv.h"
#include "producer/http/routes.h"
#include "producer/http/tail.h"
#include "producer/http/waiter.h"
#include "producer/service/submission.h"

#define PREFIX "/api/v1"

struct jm_api {
    jm_api_options options;
    jm_pg_pool *pool;
    bool open; /* [http] auth = off */
    jm_auth *auth;
    bool access_log;
    char *tls_cert, *tls_key; /* PEM, or NULL */
    jm_metric *requests, *durations;
    jm_live *live;
    jm_tail *tail;
    jm_submission *submission;
    jm_waiter *waiter;
    jm_lock_waits *lock_waits;
    jm_recent *recent; /* NULL where there is a database */
};

static const jm_metric_def requests_def = {.name = "jobmill_http_requests_total",
                                           .help = "Requests of the API that were answered.",
                                           .kind = JM_COUNTER,
                                           .labels = {"method", "route", "status"}};
static const jm_metric_def durations_def = {.name = "jobmill_http_request_duration_seconds",
                                            .help = "From the headers of a request to its answer.",
                                            .kind = JM_HISTOGRAM,
                                            .labels = {"method", "route"},
                                            .per = 1000000,
                                            .bounds = {500, 1000, 2500, 5000, 10000, 25000, 50000,
                                                       100000, 250000, 500000, 1000000, 2500000,
                                                       5000000, 10000000, 0}};

/* ---- one request ---- */

/* The caller's id for it, where that can stand in a log, or a new one. */
static void name_request(jm_req *req)
{
    const char *given = jm_req_header(req, "X-Request-Id");
    size_t len = given ? strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789._-")
                       : 0;
    if (len && len <= JM_REQ_ID && !given[len]) {
        memcpy(req->id, given, len + 1);
    } else {
        jm_uuid id = jm_uuid7_new();
        jm_uuid_format(&id, req->id);
    }
    jm_req_set_header(req, "X-Request-Id", req->id);
}

static bool may(jm_req *req)
{
    static const char *const words[] = {"none", "read", "submit", "admin"};
    if (req->scope >= req->route->scope)
        return true;
    jm_req_problem(req, 403, "forbidden", NULL, "this needs a key with scope %s; this one has %s",
                   words[req->route->scope], words[req->scope]);
    return false;
}

static void refuse_method(jm_req *req, const char *methods)
{
    if (!*methods) {
        jm_req_problem(req, 404, "not_found", NULL, "there is nothing at this path");
        return;
    }
    jm_req_set_header(req, "Allow", methods);
    jm_req_problem(req, 405, "method_not_allowed", NULL, "this path takes %s", methods);
}

bool jm_req_runs_again(jm_req *req, const jm_err *err)
{
    bool again = err->code == JM_ERR_DB_DOWN && req->pg && !req->retried &&
                 !strcmp(req->route->method, "GET");
    if (again) /* of one that was deferred it is not this thread's */
        req->again = true;
    return again;
}

static void run_without_database(jm_req *req)
{
    jm_req_handler *handler = jm_recent_handler(req->route);
    if (handler)
        handler(req);
    else
        jm_req_problem(req, 503, "no_database", NULL,
                       "this producer has no database ([database] enabled=false), and this needs "
                       "one: it takes jobs, tells of those that ended last, and streams events");
}

static void run(jm_req *req)
{
    if (!req->api->pool) {
        run_without_database(req);
        return;
    }
    req->route->handler(req);
    if (!req->again)
        return;
    req->again = false;
    req->retried = true;
    jm_req_give_back(req);
    req->route->handler(req);
}

static void answer(jm_req *req)
{
    const char *path = jm_http_path(req->http), *method = jm_http_method(req->http);
    char methods[64] = "";
    bool ours = !strncmp(path, PREFIX, sizeof PREFIX - 1) && path[sizeof PREFIX - 1] == '/';
    if (ours && jm_req_split(req, path + sizeof PREFIX - 1))
        req->route = jm_route_find(method, req->segments, req->n_segments, methods);
    bool anybody = !ours || (req->route && req->route->scope == JM_SCOPE_NONE);
    if (!anybody && !jm_req_identify(req))
        return;
    if (!req->route)
        refuse_method(req, methods);
    else if (may(req) && jm_req_check_query(req) && jm_req_check_conditions(req) &&
             jm_replay_begin(req))
        run(req);
}

/* ---- what is counted and logged ---- */

/* Of those that come in, so that no client makes series without end. */
static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET",    "HEAD",    "POST",    "PUT",  "PATCH",
                                        "DELETE", "OPTIONS", "CONNECT", "TRACE"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(method, known[i]))
            return known[i];
    return "other";
}

static void count(jm_req *req, int64_t took_us)
{
    const char *route = req->route ? req->route->path : "none";
    const char *method = req->route ? req->route->method : known_method(jm_http_method(req->http));
    char status[16];
    snprintf(status, sizeof status, "%d", jm_http_status(req->http));
    jm_series_add(jm_metric_get(req->api->requests, (const char *[]){method, route, status}), 1);
    jm_series_observe(jm_metric_get(req->api->durations, (const char *[]){method, route}), took_us);
}

static void note(jm_req *req, int64_t took_us)
{
    char line[400];
    if (!req->api->access_log)
        return;
    snprintf(line, sizeof line, "%s %.200s %d %zu bytes %.1f ms", jm_http_method(req->http),
             jm_http_path(req->http), jm_http_status(req->http), jm_http_answer_bytes(req->http),
             (double)took_us / 1000);
    jm_log_kv(JM_INFO, "http", line, "from", jm_req_address(req), "by",
              *req->actor ? req->actor : NULL, "request_id", req->id, NULL);
}

void jm_req_finish(jm_req *req)
{
    if (atomic_fetch_sub(&req->holders, 1) > 1)
        return;
    int64_t took_us = jm_mono_us() - jm_http_started_us(req->http);
    jm_http_request *http = req->http;
    if (!jm_http_is_answered(http))
        jm_req_problem(req, 500, "internal", NULL, "this request was not answered");
    if (req->replay)
        jm_replay_finish(req);
    count(req, took_us);
    note(req, took_us);
    jm_req_free(req);
    jm_http_finish(http);
}

static void handle(void *ctx, jm_http_request *http)
{
    jm_req *req = jm_calloc(1, sizeof *req);
    req->api = ctx;
    req->http = http;
    atomic_init(&req->holders, 1);
    name_request(req);
    answer(req);
    jm_req_finish(req);
}

/* ---- the whole ---- */

static bool is_loopback(const char *listen)
{
    return !strncmp(listen, "127.", 4) || !strncmp(listen, "localhost:", 10) ||
           !strncmp(listen, "[::1]:", 6);
}

static int read_pem(const jm_config *config, const char *key, char **out, jm_err *err)
{
    const char *path = jm_config_str(config, key);
    char block[4096];
    jm_buf text = {0};
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!path)
        return JM_OK;
    if (!file)
        return jm_err_errno(err, JM_ERR_INVALID, "%s: cannot read %s", key, path);
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;)
        jm_buf_add(&text, block, n);
    fclose(file);
    jm_buf_addc(&text, 0);
    *out = jm_buf_take(&text);
    return JM_OK;
}

/* What would let anybody in from anywhere is refused; what lets others listen is said. */
static int check_exposure(const jm_api *api, jm_err *err)
{
    const jm_config *config = api->options.config;
    const char *listen = jm_config_str(config, "http.listen");
    if (is_loopback(listen))
        return JM_OK;
    if (api->open)
        return jm_err_field(err, "http.auth",
                            "http.auth is off, which is allowed on a loopback address only, and "
                            "http.listen is %s",
                            listen);
    if (!api->tls_cert && !jm_config_bool(config, "http.behind_proxy"))
        jm_log_kv(JM_WARNING, "http",
                  "the API listens beyond this machine without TLS: set http.tls_cert_file, or put "
                  "a proxy in front and set http.behind_proxy=true",
                  "listen", listen, NULL);
    return JM_OK;
}

static jm_pg_pool *make_pool(const jm_api_options *options)
{
    const jm_config *config = options->config;
    return jm_pg_pool_new(
        &(jm_pg_pool_options){.conninfo = options->conninfo,
                              .schema = options->schema,
                              .name = "jobmill-producer api",
                              .keep = (int)jm_config_int(config, "http.pool_keep"),
                              .most = (int)jm_config_int(config, "http.pool_most"),
                              .wait_ms = (int)jm_config_int(config, "http.pool_wait_s") * 1000,
                              .recycle_s = (int)jm_config_int(config, "http.pool_recycle_s"),
                              .timeout_ms = 30000,
                              .clock = options->clock});
}

static int make_auth(jm_api *api, jm_err *err)
{
    const jm_config *config = api->options.config;
    jm_auth_options options = {.off = api->open,
                               .keys_file = jm_config_str(config, "http.keys_file"),
                               .rate_per_s = (int)jm_config_int(config, "http.rate_per_s"),
                               .pool = api->pool,
                               .conninfo = api->options.conninfo,
                               .schema = api->options.schema,
                               .db_clock = api->options.clock};
    return jm_auth_new(&options, &api->auth, err);
}

int jm_api_new(const jm_api_options *options, jm_api **out, jm_err *err)
{
    jm_api *api = jm_calloc(1, sizeof *api);
    const jm_config *config = options->config;
    api->options = *options;
    api->open = !strcmp(jm_config_str(config, "http.auth"), "off");
    api->access_log = jm_config_bool(config, "http.access_log");
    int rc = read_pem(config, "http.tls_cert_file", &api->tls_cert, err);
    if (!rc)
        rc = read_pem(config, "http.tls_key_file", &api->tls_key, err);
    if (!rc)
        rc = check_exposure(api, err);
    if (rc) {
        jm_api_free(api);
        return rc;
    }
    api->requests = jm_metrics_add(options->metrics, &requests_def);
    api->durations = jm_metrics_add(options->metrics, &durations_def);
    if (options->conninfo)
        api->pool = make_pool(options);
    rc = make_auth(api, err);
    if (rc) {
        jm_api_free(api);
        return rc;
    }
    api->live = jm_live_new(options->conninfo, options->schema);
    api->tail = jm_tail_new(config);
    api->waiter = jm_waiter_new(options->conninfo, options->schema);
    api->lock_waits = jm_lock_waits_new(api->pool);
    jm_submission_options submission = {.config = config,
                                        .conninfo = options->conninfo,
                                        .schema = options->schema,
                                        .clock = options->clock,
                                        .submitted = options->submitted};
    if ((rc = jm_submission_new(&submission, &api->submission, err))) {
        jm_api_free(api);
        return rc;
    }
    if (!api->pool)
        api->recent = jm_recent_new(config);
    *out = api;
    return JM_OK;
}

void jm_api_serve(jm_api *api, jm_httpd_options *httpd)
{
    const jm_config *config = api->options.config;
    httpd->threads = (int)jm_config_int(config, "http.threads");
    httpd->timeout_s = (int)jm_config_int(config, "http.timeout_s");
    httpd->max_connections = (int)jm_config_int(config, "http.max_connections");
    httpd->max_connections_per_ip = (int)jm_config_int(config, "http.max_connections_per_ip");
    httpd->max_body_bytes = (size_t)jm_config_int(config, "http.max_body_bytes");
    httpd->tls_cert = api->tls_cert;
    httpd->tls_key = api->tls_key;
    httpd->rest = handle;
    httpd->rest_ctx = api;
}

void jm_api_stop(jm_api *api)
{
    jm_submission_stop(api->submission); /* what it answers may wait on */
    jm_waiter_stop(api->waiter);
    jm_lock_waits_stop(api->lock_waits);
    jm_live_stop(api->live);
    jm_tail_stop(api->tail);
}

void jm_api_free(jm_api *api)
{
    if (!api)
        return;
    jm_submission_free(api->submission);
    jm_waiter_free(api->waiter);
    jm_lock_waits_free(api->lock_waits);
    jm_recent_free(api->recent);
    jm_live_free(api->live);
    jm_tail_free(api->tail);
    jm_auth_free(api->auth);
    jm_pg_pool_free(api->pool);
    free(api->tls_cert);
    free(api->tls_key);
    free(api);
}

const jm_config *jm_api_config(const jm_api *api)
{
    return api->options.config;
}

jm_pg_pool *jm_api_pool(const jm_api *api)
{
    return api->pool;
}

jm_auth *jm_api_auth(const jm_api *api)
{
    return api->auth;
}

jm_live *jm_api_live(const jm_api *api)
{
    return api->live;
}

jm_tail *jm_api_tail(const jm_api *api)
{
    return api->tail;
}

struct jm_submission *jm_api_submission(const jm_api *api)
{
    return api->submission;
}

struct jm_lock_waits *jm_api_lock_waits(const jm_api *api)
{
    return api->lock_waits;
}

struct jm_recent *jm_api_recent(const jm_api *api)
{
    return api->recent;
}

struct jm_waiter *jm_api_waiter(const jm_api *api)
{
    return api->waiter;
}
