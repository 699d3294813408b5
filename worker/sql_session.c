/* Connections to databases of job types, and statements on them. */
#include "sql_session.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "worker/text.h"

enum { CONNECT_US = 10000000, CANCEL_US = 3000000, POLL_MS = 1000 };

typedef struct connection {
    struct connection *next;
    PGconn *pg;
    jm_sql_target target;
    int64_t idle_since_us;
} connection;

struct jm_sql_idle {
    pthread_mutex_t lock;
    connection *first;
    int refs;
};

/* ---- targets ---- */

void jm_sql_target_add(jm_sql_target *target, const char *keyword, const char *value)
{
    size_t bytes = (target->n + 2) * sizeof(char *);
    target->keywords = jm_realloc(target->keywords, bytes);
    target->values = jm_realloc(target->values, bytes);
    target->keywords[target->n] = jm_strdup(keyword);
    target->values[target->n++] = jm_strdup(value);
    target->keywords[target->n] = target->values[target->n] = NULL;
}

void jm_sql_target_fini(jm_sql_target *target)
{
    for (size_t i = 0; i < target->n; i++) {
        explicit_bzero(target->values[i], strlen(target->values[i]));
        free(target->values[i]);
        free(target->keywords[i]);
    }
    free(target->keywords);
    free(target->values);
    *target = (jm_sql_target){0};
}

static bool is_same(const jm_sql_target *a, const jm_sql_target *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = !strcmp(a->keywords[i], b->keywords[i]) && !strcmp(a->values[i], b->values[i]);
    return same;
}

static void connection_free(connection *c)
{
    PQfinish(c->pg);
    jm_sql_target_fini(&c->target);
    free(c);
}

/* ---- idle connections ---- */

jm_sql_idle *jm_sql_idle_new(void)
{
    jm_sql_idle *idle = jm_calloc(1, sizeof *idle);
    pthread_mutex_init(&idle->lock, NULL);
    idle->refs = 1;
    return idle;
}

jm_sql_idle *jm_sql_idle_ref(jm_sql_idle *idle)
{
    __atomic_add_fetch(&idle->refs, 1, __ATOMIC_RELAXED);
    return idle;
}

static void close_all(connection *list)
{
    for (connection *next; list; list = next) {
        next = list->next;
        connection_free(list);
    }
}

void jm_sql_idle_unref(jm_sql_idle *idle)
{
    if (!idle || __atomic_sub_fetch(&idle->refs, 1, __ATOMIC_ACQ_REL))
        return;
    close_all(idle->first);
    pthread_mutex_destroy(&idle->lock);
    free(idle);
}

void jm_sql_idle_prune(jm_sql_idle *idle, int64_t before_us)
{
    connection *old = NULL;
    pthread_mutex_lock(&idle->lock);
    for (connection **at = &idle->first; *at;) {
        connection *c = *at;
        if (c->idle_since_us >= before_us) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        c->next = old;
        old = c;
    }
    pthread_mutex_unlock(&idle->lock);
    close_all(old);
}

static connection *take_idle(jm_sql_idle *idle, const jm_sql_target *target)
{
    pthread_mutex_lock(&idle->lock);
    connection **at = &idle->first;
    while (*at && !is_same(&(*at)->target, target))
        at = &(*at)->next;
    connection *c = *at;
    if (c)
        *at = c->next;
    pthread_mutex_unlock(&idle->lock);
    return c;
}

static void put_idle(jm_sql_idle *idle, connection *c)
{
    c->idle_since_us = jm_mono_us();
    pthread_mutex_lock(&idle->lock);
    c->next = idle->first;
    idle->first = c;
    pthread_mutex_unlock(&idle->lock);
}

/* A server that has ended the session has said so by now: its farewell, then the end of file. */
static bool is_alive(connection *c)
{
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = POLLIN};
    bool alive = PQstatus(c->pg) == CONNECTION_OK;
    for (int i = 0; alive && poll(&fd, 1, 0) > 0; i++) {
        alive = i < 10 && PQconsumeInput(c->pg) && PQstatus(c->pg) == CONNECTION_OK;
        PQisBusy(c->pg); /* takes in what was read */
    }
    return alive;
}

/* ---- waiting ---- */

typedef enum wait_end { READY, CANCELLED, TOO_LATE } wait_end;

/* Waits for the connection's socket; with a task, until that is cancelled. */
static wait_end wait_for(PGconn *pg, short events, const jm_pool_task *task, int64_t deadline_us)
{
    struct pollfd fds[2] = {{.fd = PQsocket(pg), .events = events}, {.fd = -1, .events = POLLIN}};
    if (task)
        fds[1].fd = jm_pool_cancel_fd(task);
    for (;;) {
        int64_t left_us = deadline_us ? deadline_us - jm_mono_us() : POLL_MS * 1000;
        if (left_us <= 0)
            return TOO_LATE;
        int ms = left_us / 1000 < POLL_MS ? (int)(left_us / 1000) + 1 : POLL_MS;
        int n = poll(fds, 2, ms);
        if (task && jm_pool_is_cancelled(task))
            return CANCELLED;
        if (n > 0 && fds[0].revents)
            return READY;
    }
}

/* ---- errors ---- */

static void end_with(jm_blocking *step, jm_verdict verdict, const char *what, const char *text)
{
    size_t len = strlen(text);
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    step->verdict = verdict;
    if (step->error.len)
        jm_buf_adds(&step->error, "; ");
    jm_buf_adds(&step->error, what);
    jm_text_clean(&step->error, text, len);
}

/* Connection, serialization, resources, operator: another time it may work. What is wrong with the
 * data or the statement stays wrong. The rest is for the policy. */
static jm_verdict verdict_of(const char *sqlstate)
{
    /* 08P01: another number of parameters than the statement has. */
    static const char *const permanent[] = {"22", "23", "42", "08P01"};
    for (size_t i = 0; i < sizeof permanent / sizeof *permanent; i++)
        if (!strncmp(sqlstate, permanent[i], strlen(permanent[i])))
            return JM_STEP_PERMANENT;
    return JM_STEP_FAILURE;
}

static void end_with_result(jm_blocking *step, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    if (!sqlstate || !message) {
        end_with(step, JM_STEP_FAILURE,
                 "the connection was lost, whether the statement was done "
                 "is not known: ",
                 PQresultErrorMessage(result));
        return;
    }
    jm_buf text = {0};
    jm_buf_adds(&text, message);
    if (detail)
        jm_buf_addf(&text, " (%s)", detail);
    char what[24];
    snprintf(what, sizeof what, "SQLSTATE %.5s: ", sqlstate);
    end_with(step, verdict_of(sqlstate), what, text.data);
    jm_buf_fini(&text);
}

/* ---- connecting ---- */

static void on_notice(void *ctx, const PGresult *result)
{
    jm_blocking *step = ctx;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!step || !message)
        return;
    size_t len = strlen(message);
    jm_sql_notice *notice = jm_malloc(sizeof *notice + len + 1);
    notice->level = severity && !strcmp(severity, "WARNING")     ? JM_WARNING
                    : severity && !strncmp(severity, "DEBUG", 5) ? JM_DEBUG
                                                                 : JM_INFO;
    memcpy(notice->text, message, len + 1);
    jm_pool_say(&step->task, &notice->note);
}

static bool finish_connecting(jm_blocking *step, PGconn *pg)
{
    int64_t deadline_us = jm_mono_us() + CONNECT_US;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    wait_end end = READY;
    while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED && end == READY) {
        end = wait_for(pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, &step->task,
                       deadline_us);
        if (end == READY)
            state = PQconnectPoll(pg);
    }
    if (end == READY && state == PGRES_POLLING_OK)
        return true;
    end_with(step, JM_STEP_FAILURE, "cannot connect: ",
             end == TOO_LATE    ? "no answer within 10 s"
             : end == CANCELLED ? "cancelled"
                                : PQerrorMessage(pg));
    return false;
}

static connection *connect_to(jm_blocking *step, const jm_sql_target *target)
{
    PGconn *pg = PQconnectStartParams((const char *const *)target->keywords,
                                      (const char *const *)target->values, 0);
    if (!pg || PQstatus(pg) == CONNECTION_BAD)
        end_with(step, JM_STEP_FAILURE, "cannot connect: ", pg ? PQerrorMessage(pg) : "no memory");
    else if (finish_connecting(step, pg)) {
        connection *c = jm_calloc(1, sizeof *c);
        c->pg = pg;
        for (size_t i = 0; i < target->n; i++)
            jm_sql_target_add(&c->target, target->keywords[i], target->values[i]);
        return c;
    }
    PQfinish(pg);
    return NULL;
}

static connection *get_connection(jm_blocking *step, jm_sql_idle *idle, const jm_sql_target *target)
{
    for (connection *c; (c = take_idle(idle, target));) {
        if (is_alive(c))
            return c;
        connection_free(c);
    }
    return connect_to(step, target);
}

/* ---- statements ---- */

static void cancel_statement(PGconn *pg)
{
    char why[256];
    PGcancel *cancel = PQgetCancel(pg);
    if (cancel)
        PQcancel(cancel, why, sizeof why); /* whether it worked shows at the statement's end */
    PQfreeCancel(cancel);
}

/* The next result, or NULL at the statement's end; *lost when the wait is given up. */
static PGresult *next_result(jm_blocking *step, PGconn *pg, int64_t *deadline_us, bool *lost)
{
    while (PQisBusy(pg)) {
        /* Once it was told to cancel, only the answer is waited for. */
        wait_end end = wait_for(pg, POLLIN, *deadline_us ? NULL : &step->task, *deadline_us);
        if (end == CANCELLED) {
            cancel_statement(pg);
            *deadline_us = jm_mono_us() + CANCEL_US;
        } else if (end == TOO_LATE) {
            *lost = true;
            return NULL;
        } else if (!PQconsumeInput(pg)) {
            break;
        }
    }
    return PQgetResult(pg);
}

static void take_result(jm_blocking *step, const PGresult *result, jm_sql_rows *rows)
{
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        jm_sql_rows_add(rows, result);
        return;
    case PGRES_TUPLES_OK:
        jm_sql_rows_add(rows, result);
        jm_sql_rows_finish(rows, result, &step->data);
        return;
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        jm_sql_rows_finish(rows, result, &step->data);
        return;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        end_with(step, JM_STEP_PERMANENT, "", "COPY to or from the client cannot be a step");
        return;
    default:
        end_with_result(step, result);
    }
}

/* Runs it to its end. False when the connection is of no more use. */
static bool run_statement(jm_blocking *step, PGconn *pg, const jm_sql_query *query,
                          jm_sql_rows *rows)
{
    int64_t deadline_us = 0;
    bool lost = false;
    if (!PQsendQueryParams(pg, query->statement, query->n_params, NULL, query->params, NULL, NULL,
                           0)) {
        end_with(step, JM_STEP_FAILURE, "cannot send: ", PQerrorMessage(pg));
        return false;
    }
    PQsetSingleRowMode(pg);
    for (PGresult *result; (result = next_result(step, pg, &deadline_us, &lost));) {
        ExecStatusType status = PQresultStatus(result);
        take_result(step, result, rows);
        PQclear(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return false;
    }
    if (lost)
        end_with(step, JM_STEP_FAILURE, "", "cancelled, and the server did not answer");
    return !lost && PQstatus(pg) == CONNECTION_OK;
}

static bool set_timeout(jm_blocking *step, PGconn *pg, int64_t timeout_ms)
{
    static const char *const statement = "SELECT set_config('statement_timeout', $1, false)";
    char text[24];
    const char *const params[] = {text};
    jm_sql_rows ignored = {0};
    if (!timeout_ms)
        return true;
    snprintf(text, sizeof text, "%lld", (long long)timeout_ms);
    bool fine = run_statement(step, pg, &(jm_sql_query){statement, params, 1, 0}, &ignored);
    fine = fine && !step->error.len;
    jm_buf_clear(&step->data);
    jm_sql_rows_fini(&ignored);
    return fine;
}

/* Nothing that the statement has set, locked or prepared reaches the next job on the connection. */
static bool is_reusable(PGconn *pg)
{
    PQsetNoticeReceiver(pg, on_notice, NULL);
    PGresult *result = PQexec(pg, "DISCARD ALL");
    bool fine = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return fine;
}

void jm_sql_run(jm_blocking *step, jm_sql_idle *idle, const jm_sql_target *target,
                const jm_sql_query *query, jm_sql_rows *rows)
{
    step->verdict = JM_STEP_SUCCESS;
    connection *c = get_connection(step, idle, target);
    if (!c)
        return;
    PQsetNoticeReceiver(c->pg, on_notice, step);
    bool usable =
        set_timeout(step, c->pg, query->timeout_ms) && run_statement(step, c->pg, query, rows);
    if (usable && PQtransactionStatus(c->pg) != PQTRANS_IDLE) {
        usable = false;
        jm_buf_clear(&step->data);
        end_with(step, JM_STEP_PERMANENT, "",
                 "the statement left a transaction open: it was rolled back");
    }
    if (step->verdict != JM_STEP_SUCCESS)
        jm_buf_clear(&step->data);
    if (usable && is_reusable(c->pg))
        put_idle(idle, c);
    else
        connection_free(c);
}
