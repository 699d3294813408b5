/* One PostgreSQL connection: reconnect with backoff, prepared queries, transactions in one round
 * trip. */
#include "pg.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "log.h"
#include "mem.h"

#define CONNECT_TIMEOUT_MS 5000
#define BACKOFF_MIN_MS     100
#define BACKOFF_MAX_MS     5000
#define BEAT_MS            100 /* how soon a wait notices that it is to be given up */

/* A query that this session has prepared; keyed by the address of its jm_sql. */
struct prepared {
    const jm_sql *sql;
    UT_hash_handle hh;
};

struct jm_pg {
    PGconn *conn; /* NULL when down */
    char *conninfo, *schema, *name;
    bool batch;
    int backoff_max_ms;
    int timeout_ms;
    jm_db_clock *clock;
    jm_pulse *pulse;
    struct prepared *prepared;
    int64_t retry_at_ms; /* monotonic; no try before */
    int backoff_ms;
    _Atomic int64_t give_up_ms; /* monotonic: no wait lasts longer */
    uint64_t generation;
    unsigned seed;
    bool was_down;    /* a loss has been logged and not yet its end */
    char started[40]; /* of this session, by the server's clock: with its process id, its name */
    int lost_pid;     /* of a session that we gave up and that may still be at work; 0: none */
    char lost_started[40];
};

jm_pg *jm_pg_new(const jm_pg_options *options)
{
    jm_pg *pg = jm_calloc(1, sizeof *pg);
    pg->conninfo = jm_strdup(options->conninfo);
    pg->schema = jm_strdup(options->schema);
    pg->name = jm_strdup(options->name);
    pg->batch = options->batch;
    pg->backoff_max_ms = options->backoff_max_ms ? options->backoff_max_ms : BACKOFF_MAX_MS;
    pg->timeout_ms = options->timeout_ms ? options->timeout_ms : 30000;
    pg->clock = options->clock;
    pg->pulse = options->pulse;
    pg->backoff_ms = BACKOFF_MIN_MS;
    atomic_store(&pg->give_up_ms, INT64_MAX);
    pg->seed = (unsigned)jm_mono_us() ^ (unsigned)(uintptr_t)pg;
    return pg;
}

static void forget_prepared(jm_pg *pg)
{
    struct prepared *p, *next;
    HASH_ITER(hh, pg->prepared, p, next)
    {
        HASH_DEL(pg->prepared, p);
        free(p);
    }
}

void jm_pg_disconnect(jm_pg *pg)
{
    if (pg->conn)
        PQfinish(pg->conn);
    pg->conn = NULL;
    forget_prepared(pg);
}

void jm_pg_free(jm_pg *pg)
{
    if (!pg)
        return;
    jm_pg_disconnect(pg);
    free(pg->conninfo);
    free(pg->schema);
    free(pg->name);
    free(pg);
}

void jm_pg_set_timeout(jm_pg *pg, int timeout_ms)
{
    pg->timeout_ms = timeout_ms;
}

bool jm_pg_is_up(const jm_pg *pg)
{
    return pg->conn != NULL;
}

PGconn *jm_pg_conn(jm_pg *pg)
{
    return pg->conn;
}

uint64_t jm_pg_generation(const jm_pg *pg)
{
    return pg->generation;
}

int jm_pg_retry_in_ms(const jm_pg *pg)
{
    if (pg->conn)
        return 0;
    int64_t left = pg->retry_at_ms - jm_mono_ms();
    return left > 0 ? (int)left : 0;
}

/* libpq's messages end in a newline and may have several lines: one line of it. */
static void clean_message(jm_err *err)
{
    size_t n = strlen(err->msg);
    while (n && strchr("\n\r ", err->msg[n - 1]))
        err->msg[--n] = 0;
    for (char *p = err->msg; *p; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
}

/* Gives the connection up. */
static int lost(jm_pg *pg, jm_err *err, const char *what)
{
    const char *why = pg->conn ? PQerrorMessage(pg->conn) : "no connection";
    jm_err_set(err, JM_ERR_DB_DOWN, "%s: %s", what, *why ? why : "the connection is gone");
    if (err)
        clean_message(err);
    if (pg->conn && *pg->started) {
        pg->lost_pid = PQbackendPID(pg->conn);
        memcpy(pg->lost_started, pg->started, sizeof pg->started);
    }
    jm_pg_disconnect(pg);
    return JM_ERR_DB_DOWN;
}

static int wait_socket(jm_pg *pg, short events, int64_t deadline_ms)
{
    struct pollfd pfd = {.fd = PQsocket(pg->conn), .events = events};
    for (;;) {
        int64_t now = jm_mono_ms(), give_up = atomic_load(&pg->give_up_ms);
        int64_t left = (give_up < deadline_ms ? give_up : deadline_ms) - now;
        if (left <= 0)
            return JM_ERR_TIMEOUT;
        int n = poll(&pfd, 1, (int)(left < BEAT_MS ? left : BEAT_MS));
        jm_pulse_beat(pg->pulse);
        if (n > 0)
            return JM_OK;
        if (n < 0 && errno != EINTR)
            return JM_ERR_IO;
    }
}

/* Finishes the handshake of a connection that PQconnectStartParams has begun. */
static int handshake(jm_pg *pg)
{
    int64_t deadline = jm_mono_ms() + CONNECT_TIMEOUT_MS;
    PostgresPollingStatusType st = PGRES_POLLING_WRITING;
    while (st != PGRES_POLLING_OK) {
        if (st == PGRES_POLLING_FAILED)
            return JM_ERR_DB_DOWN;
        if (wait_socket(pg, st == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return JM_ERR_TIMEOUT;
        st = PQconnectPoll(pg->conn);
    }
    return JM_OK;
}

static void on_notice(void *arg, const char *message)
{
    (void)arg;
    jm_err err = {0};
    jm_err_set(&err, 0, "%s", message);
    clean_message(&err);
    jm_logf(JM_DEBUG, "pg", "%s", err.msg);
}

/* Ends the session that was lost, if the server has not noticed: waiting for a lock, it would
 * commit later what the caller finds not committed now and does again. Fails while it is still
 * there. */
static int end_lost(jm_pg *pg, jm_err *err)
{
    if (!pg->lost_pid)
        return JM_OK;
    jm_buf text = {0};
    jm_buf_addf(&text,
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE pid = %d AND backend_start = '%s'",
                pg->lost_pid, pg->lost_started);
    PGresult *res = NULL;
    int rc = jm_pg_exec(pg, text.data, &res, err);
    if (rc == JM_ERR_DB) { /* a server that does not allow it: as if there had been none */
        jm_logf(JM_WARNING, "pg", "cannot end the session that was lost: %s", err ? err->msg : "");
        rc = JM_OK;
    } else if (!rc && PQntuples(res) && strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        rc = jm_err_set(err, JM_ERR_DB_DOWN, "the session that was lost has not ended yet");
    if (!rc)
        pg->lost_pid = 0;
    PQclear(res);
    jm_buf_fini(&text);
    return rc;
}

/* Session settings; also reads the server's clock. */
static int set_up(jm_pg *pg, jm_err *err)
{
    jm_buf text = {0};
    char *ident = PQescapeIdentifier(pg->conn, pg->schema, strlen(pg->schema));
    jm_buf_addf(&text, "SET search_path = %s; SET timezone = 'UTC'; SET datestyle = 'ISO';", ident);
    PQfreemem(ident);
    /* A plan made while a partition is empty must do when it is full. The last of these makes ten
     * descents of the primary key, for id = ANY, look cheaper than a walk over an index in which
     * the id is not the first column, from the lowest id of the batch to the highest. */
    if (pg->batch)
        jm_buf_adds(&text, "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;"
                           "SET jit = off; SET enable_nestloop = off;"
                           "SET cpu_operator_cost = 0.00001;");
    jm_buf_adds(&text, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
                       "(SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())");
    int64_t asked = jm_mono_us();
    PGresult *res = NULL;
    int rc = jm_pg_exec(pg, text.data, &res, err);
    if (!rc && pg->clock)
        jm_db_clock_set(pg->clock, strtoll(PQgetvalue(res, 0, 0), NULL, 10), asked, jm_mono_us());
    if (!rc)
        snprintf(pg->started, sizeof pg->started, "%s", PQgetvalue(res, 0, 1));
    PQclear(res);
    jm_buf_fini(&text);
    return rc ? rc : end_lost(pg, err);
}

int jm_pg_connect(jm_pg *pg, jm_err *err)
{
    if (pg->conn)
        return JM_OK;
    const char *keys[] = {"dbname",           "application_name",    "connect_timeout",
                          "keepalives_idle",  "keepalives_interval", "keepalives_count",
                          "tcp_user_timeout", "client_encoding",     NULL};
    const char *values[] = {pg->conninfo, pg->name, "5", "10", "5", "3", "20000", "UTF8", NULL};
    *pg->started = 0;
    pg->conn = PQconnectStartParams(keys, values, 1);
    int rc = pg->conn && PQstatus(pg->conn) != CONNECTION_BAD ? handshake(pg) : JM_ERR_DB_DOWN;
    if (rc) {
        lost(pg, err,
             rc == JM_ERR_TIMEOUT ? "connecting to PostgreSQL timed out"
                                  : "cannot connect to PostgreSQL");
    } else {
        PQsetNoticeProcessor(pg->conn, on_notice, NULL);
        rc = set_up(pg, err);
        if (rc)
            jm_pg_disconnect(pg);
    }
    if (rc) {
        int jitter = (int)(rand_r(&pg->seed) % (unsigned)(pg->backoff_ms / 2 + 1));
        pg->retry_at_ms = jm_mono_ms() + pg->backoff_ms / 2 + jitter;
        pg->backoff_ms =
            pg->backoff_ms * 2 < pg->backoff_max_ms ? pg->backoff_ms * 2 : pg->backoff_max_ms;
        return JM_ERR_DB_DOWN;
    }
    pg->backoff_ms = BACKOFF_MIN_MS;
    pg->generation++;
    return JM_OK;
}

int jm_pg_ensure(jm_pg *pg, jm_err *err)
{
    if (pg->conn && PQstatus(pg->conn) == CONNECTION_OK)
        return JM_OK;
    if (pg->conn)
        lost(pg, err, "connection lost");
    if (jm_pg_retry_in_ms(pg) > 0)
        return jm_err_set(err, JM_ERR_DB_DOWN, "PostgreSQL is away; next try in %d ms",
                          jm_pg_retry_in_ms(pg));
    int rc = jm_pg_connect(pg, err);
    if (rc && !pg->was_down)
        jm_log_kv(JM_WARNING, "pg", err ? err->msg : "cannot connect", "connection", pg->name,
                  NULL);
    else if (!rc && pg->was_down)
        jm_log_kv(JM_INFO, "pg", "connected to PostgreSQL again", "connection", pg->name, NULL);
    pg->was_down = rc != JM_OK;
    return rc;
}

bool jm_pg_wait(jm_pg *pg, const _Atomic bool *stop)
{
    jm_err err;
    while (!atomic_load(stop) && !jm_pg_is_given_up(pg)) {
        if (jm_pg_ensure(pg, &err) == JM_OK)
            return true;
        jm_pulse_beat(pg->pulse);
        int ms = jm_pg_retry_in_ms(pg) + 1;
        struct timespec ts = {.tv_nsec = (ms < 20 ? ms : 20) * 1000000L};
        nanosleep(&ts, NULL);
    }
    return false;
}

void jm_pg_give_up_at(jm_pg *pg, int64_t mono_ms)
{
    atomic_store(&pg->give_up_ms, mono_ms);
}

bool jm_pg_is_given_up(const jm_pg *pg)
{
    return jm_mono_ms() >= atomic_load(&pg->give_up_ms);
}

void jm_pg_finish(jm_pg *pg, int ms)
{
    if (pg->lost_pid && !pg->conn) {
        jm_err err = {0};
        jm_pg_give_up_at(pg, jm_mono_ms() + ms);
        if (jm_pg_connect(pg, &err))
            jm_log_kv(JM_DEBUG, "pg", "a session that was given up could not be ended", "why",
                      err.msg, NULL);
    }
    jm_pg_disconnect(pg);
}

/* Error of a result: what PostgreSQL said, without losing the connection. */
static int refused(const PGresult *res, const char *what, jm_err *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
    jm_err_set(err, JM_ERR_DB, "%s: %s%s%s%s%s", what,
               primary ? primary : PQresultErrorMessage(res), detail ? "; " : "",
               detail ? detail : "", hint ? "; " : "", hint ? hint : "");
    if (!err)
        return JM_ERR_DB;
    clean_message(err);
    const char *column = PQresultErrorField(res, PG_DIAG_COLUMN_NAME);
    if (column && detail && !strncmp(detail, "reason: ", 8)) /* submit_refuse() */
        snprintf(err->field, sizeof err->field, "%s", column);
    memcpy(err->sqlstate, state ? state : "?????", 5);
    /* By the fields, since the text is in the server's language. */
    err->no_partition =
        state && !strcmp(state, "23514") && !PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    err->retriable = state && (!strncmp(state, "40", 2) || !strncmp(state, "55P03", 5) ||
                               !strncmp(state, "53", 2) || !strncmp(state, "57014", 5));
    return JM_ERR_DB;
}

/* The server is going away or this session is being ended; or a migration has changed the columns
 * of a prepared query, which only a new session gets over. */
static bool is_farewell(const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
    if (!state)
        return false;
    return !strncmp(state, "57P", 3) || !strncmp(state, "08", 2) ||
           (!strcmp(state, "0A000") && function && !strcmp(function, "RevalidateCachedQuery"));
}

/* The watchdog of connections: a statement is beyond its deadline, and its connection is given up.
 */
static void late(jm_pg *pg)
{
    char text[80];
    if (jm_pg_is_given_up(pg))
        return; /* on purpose */
    snprintf(text, sizeof text, "no answer within %d ms; the connection is given up",
             pg->timeout_ms);
    jm_log_kv(JM_WARNING, "pg", text, "connection", pg->name, NULL);
    jm_pulse_late(pg->pulse);
}

/* Next result, sending and receiving until there is one. NULL with *rc set when the connection
 * fails or the answer takes too long; NULL with *rc 0 at the end of a statement's results. */
static PGresult *next_result(jm_pg *pg, int64_t deadline_ms, int *rc)
{
    *rc = JM_OK;
    bool flushing = true;
    while (PQisBusy(pg->conn) || flushing) {
        int f = flushing ? PQflush(pg->conn) : 0;
        if (f < 0)
            break;
        flushing = f > 0;
        if (!flushing && !PQisBusy(pg->conn))
            break;
        *rc = wait_socket(pg, flushing ? POLLIN | POLLOUT : POLLIN, deadline_ms);
        if (*rc == JM_ERR_TIMEOUT)
            late(pg);
        if (*rc)
            return NULL;
        if (!PQconsumeInput(pg->conn))
            break; /* the next PQgetResult gives the error, or the status is bad */
    }
    return PQgetResult(pg->conn);
}

/* Drops a connection that did not answer. */
static int unanswered(jm_pg *pg, int rc, const char *what, jm_err *err)
{
    char text[160];
    bool given_up = jm_pg_is_given_up(pg);
    snprintf(text, sizeof text,
             rc != JM_ERR_TIMEOUT ? "%s"
             : given_up           ? "%s: no answer before the end"
                                  : "%s: no answer within %d ms",
             what, pg->timeout_ms);
    return lost(pg, err, text);
}

int jm_pg_exec(jm_pg *pg, const char *text, PGresult **out, jm_err *err)
{
    if (out)
        *out = NULL;
    if (!pg->conn)
        return jm_err_set(err, JM_ERR_DB_DOWN, "no connection to PostgreSQL");
    PQsetnonblocking(pg->conn, 1);
    if (!PQsendQuery(pg->conn, text))
        return lost(pg, err, "sending a query");
    int64_t deadline = jm_mono_ms() + pg->timeout_ms;
    PGresult *last = NULL, *res;
    int rc = JM_OK, failed = JM_OK;
    while ((res = next_result(pg, deadline, &rc))) {
        ExecStatusType st = PQresultStatus(res);
        if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && !failed)
            failed = is_farewell(res) ? JM_ERR_DB_DOWN : refused(res, "query", err);
        PQclear(last);
        last = res;
    }
    if (rc || failed == JM_ERR_DB_DOWN || PQstatus(pg->conn) != CONNECTION_OK) {
        PQclear(last);
        return unanswered(pg, rc, "query", err);
    }
    if (!failed && out)
        *out = last;
    else
        PQclear(last);
    return failed;
}

static bool is_prepared(jm_pg *pg, const jm_sql *sql)
{
    struct prepared *p;
    HASH_FIND_PTR(pg->prepared, &sql, p);
    return p != NULL;
}

static void remember_prepared(jm_pg *pg, const jm_sql *sql)
{
    struct prepared *p = jm_calloc(1, sizeof *p);
    p->sql = sql;
    HASH_ADD_PTR(pg->prepared, sql, p);
}

/* Prepares in a transaction of its own, so that a failing batch does not undo it. */
static int prepare(jm_pg *pg, const jm_pg_call *call, jm_err *err)
{
    if (is_prepared(pg, call->sql))
        return JM_OK;
    int n = call->args ? call->args->n : 0;
    if (!PQsendPrepare(pg->conn, call->sql->name, call->sql->text, n,
                       call->args ? call->args->types : NULL))
        return lost(pg, err, call->sql->name);
    int64_t deadline = jm_mono_ms() + pg->timeout_ms;
    int rc, failed = JM_OK;
    PGresult *res;
    while ((res = next_result(pg, deadline, &rc))) {
        if (PQresultStatus(res) != PGRES_COMMAND_OK && !failed)
            failed = is_farewell(res) ? JM_ERR_DB_DOWN : refused(res, call->sql->name, err);
        PQclear(res);
    }
    if (rc || failed == JM_ERR_DB_DOWN || PQstatus(pg->conn) != CONNECTION_OK)
        return unanswered(pg, rc, call->sql->name, err);
    if (!failed)
        remember_prepared(pg, call->sql);
    return failed;
}

static int send_call(jm_pg *pg, const jm_pg_call *call)
{
    const jm_pg_args *args = call->args;
    return PQsendQueryPrepared(pg->conn, call->sql->name, args ? args->n : 0,
                               args ? args->values : NULL, args ? args->lengths : NULL,
                               args ? args->formats : NULL, call->binary);
}

/* Takes the results of one statement of a pipeline. */
static int collect(jm_pg *pg, jm_pg_call *call, int64_t deadline, bool *gone, jm_err *err)
{
    int rc, failed = JM_OK;
    PGresult *res;
    while ((res = next_result(pg, deadline, &rc))) {
        ExecStatusType st = PQresultStatus(res);
        if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK) {
            PQclear(call->res);
            call->res = res;
            continue;
        }
        if (st == PGRES_PIPELINE_ABORTED)
            failed = failed ? failed : JM_ERR_CLOSED; /* an earlier statement has said why */
        else if (is_farewell(res))
            *gone = true;
        else if (!failed)
            failed = refused(res, call->sql->name, err);
        PQclear(res);
    }
    if (rc || PQstatus(pg->conn) != CONNECTION_OK)
        *gone = true;
    return failed;
}

/* Waits for the end of the transaction: the result of the sync, where a commit may still fail. */
static int collect_sync(jm_pg *pg, int64_t deadline, bool *gone, jm_err *err)
{
    int rc, failed = JM_OK;
    for (;;) {
        PGresult *res = next_result(pg, deadline, &rc);
        if (!res) {
            *gone = true;
            return failed;
        }
        ExecStatusType st = PQresultStatus(res);
        if (st == PGRES_FATAL_ERROR && is_farewell(res))
            *gone = true;
        else if (st == PGRES_FATAL_ERROR && !failed)
            failed = refused(res, "commit", err);
        PQclear(res);
        if (st == PGRES_PIPELINE_SYNC || *gone)
            return failed;
    }
}

static int run_pipeline(jm_pg *pg, jm_pg_call *calls, int n, bool *gone, jm_err *err)
{
    int64_t deadline = jm_mono_ms() + pg->timeout_ms;
    if (!PQenterPipelineMode(pg->conn)) {
        *gone = true;
        return JM_OK;
    }
    for (int i = 0; i < n && !*gone; i++)
        *gone = !send_call(pg, &calls[i]);
    *gone = *gone || !PQpipelineSync(pg->conn);
    int failed = JM_OK;
    for (int i = 0; i < n && !*gone; i++) {
        jm_err one = {0};
        int rc = collect(pg, &calls[i], deadline, gone, &one);
        if (rc && !failed) {
            failed = rc;
            if (err)
                *err = one;
        }
    }
    if (!*gone) {
        int rc = collect_sync(pg, deadline, gone, failed ? NULL : err);
        failed = failed ? failed : rc;
    }
    *gone = *gone || !PQexitPipelineMode(pg->conn);
    return failed;
}

int jm_pg_run(jm_pg *pg, jm_pg_call *calls, int n, jm_err *err)
{
    if (!pg->conn)
        return jm_err_set(err, JM_ERR_DB_DOWN, "no connection to PostgreSQL");
    PQsetnonblocking(pg->conn, 1);
    for (int i = 0; i < n; i++) {
        calls[i].res = NULL;
        int rc = prepare(pg, &calls[i], err);
        if (rc)
            return rc;
    }
    bool gone = false;
    int rc = run_pipeline(pg, calls, n, &gone, err);
    if (gone)
        rc = unanswered(pg, JM_OK, n ? calls[0].sql->name : "transaction", err);
    if (rc)
        jm_pg_calls_clear(calls, n);
    return rc;
}

void jm_pg_calls_clear(jm_pg_call *calls, int n)
{
    for (int i = 0; i < n; i++) {
        PQclear(calls[i].res);
        calls[i].res = NULL;
    }
}

int jm_pg_query(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, PGresult **res, jm_err *err)
{
    jm_pg_call call = {.sql = sql, .args = args};
    int rc = jm_pg_run(pg, &call, 1, err);
    if (res)
        *res = call.res;
    else
        PQclear(call.res);
    return rc;
}

jm_uuid jm_pg_get_uuid(const PGresult *res, int row, int col)
{
    jm_uuid id = {{0}};
    if (PQgetlength(res, row, col) == sizeof id.b)
        memcpy(id.b, PQgetvalue(res, row, col), sizeof id.b);
    return id;
}

int32_t jm_pg_get_i32(const PGresult *res, int row, int col)
{
    const char *p = PQgetvalue(res, row, col);
    uint32_t be32;
    uint16_t be16;
    switch (PQgetlength(res, row, col)) {
    case 4:
        memcpy(&be32, p, 4);
        return (int32_t)be32toh(be32);
    case 2:
        memcpy(&be16, p, 2);
        return (int16_t)be16toh(be16);
    default:
        return 0;
    }
}

int64_t jm_pg_get_i64(const PGresult *res, int row, int col)
{
    if (PQgetlength(res, row, col) != 8)
        return jm_pg_get_i32(res, row, col);
    uint64_t be;
    memcpy(&be, PQgetvalue(res, row, col), 8);
    return (int64_t)be64toh(be);
}

bool jm_pg_get_bool(const PGresult *res, int row, int col)
{
    return PQgetlength(res, row, col) == 1 && *PQgetvalue(res, row, col);
}

int64_t jm_pg_get_ts(const PGresult *res, int row, int col)
{
    if (PQgetisnull(res, row, col))
        return 0;
    return jm_pg_get_i64(res, row, col) + INT64_C(946684800000000); /* counted from 2000-01-01 */
}

const char *jm_pg_get_text(const PGresult *res, int row, int col, size_t *len)
{
    if (PQgetisnull(res, row, col))
        return NULL;
    const char *p = PQgetvalue(res, row, col);
    size_t n = (size_t)PQgetlength(res, row, col);
    if (PQftype(res, col) == 3802 && PQfformat(res, col) == 1 && n) { /* jsonb: skip its version */
        p++;
        n--;
    }
    if (len)
        *len = n;
    return p;
}

const char *jm_pg_digest_text(const uint8_t digest[32], char out[JM_PG_DIGEST_TEXT])
{
    char *at = out + snprintf(out, 3, "\\x");
    for (int i = 0; i < 32; i++)
        at += snprintf(at, 3, "%02x", digest[i]);
    return out;
}
