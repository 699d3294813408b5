/* What is done to jobs that are there: cancelling, retrying, deleting. */
#include "producer/service/job_actions.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/dependents.h"
#include "common/pg.h"
#include "producer/service/jobs.h"
#include "producer/tx.h"

#define RETRY_MS 5000 /* an action that may be repeated is, for so long */

static int there_is_none(const jm_uuid *id, jm_err *err)
{
    char text[JM_UUID_TEXT];
    jm_uuid_format(id, text);
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no job %s", text);
}

/* Runs a query that may be repeated until it is answered: a connection that breaks is made again,
 * a deadlock or a lock that is not to be had is tried again. */
static int insist(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, PGresult **res, jm_err *err)
{
    int rc = jm_pg_query(pg, sql, args, res, err);
    for (int64_t until = jm_mono_ms() + RETRY_MS;
         (rc == JM_ERR_DB_DOWN || (rc && err->retriable)) && jm_mono_ms() < until;) {
        poll(NULL, 0, 100);
        rc = jm_pg_is_up(pg) ? JM_OK : jm_pg_connect(pg, err);
        rc = rc ? rc : jm_pg_query(pg, sql, args, res, err);
    }
    return rc;
}

/* Which job is looked at before a dry run is taken back. */
typedef struct would_be {
    const jm_uuid *id;
    json_t **would; /* NULL: none */
} would_be;

/* The same in a transaction that is taken back, where it is only to be judged; once then. */
static int ask(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, const jm_change *change,
               const would_be *view, PGresult **res, jm_err *err)
{
    jm_err ignored;
    if (view->would)
        *view->would = NULL;
    if (!change->dry_run)
        return insist(pg, sql, args, res, err);
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    rc = rc ? rc : jm_pg_query(pg, sql, args, res, err);
    if (!rc && view->would) /* of one that there is not the result says so */
        (void)jm_jobs_show(pg, view->id, view->would, &ignored);
    jm_tx_rollback(pg);
    return rc;
}

static int drop(const would_be *view, int rc)
{
    if (rc && view->would) {
        json_decref(*view->would);
        *view->would = NULL;
    }
    return rc;
}

/* Who asks, from where and why, in the order of the queries. */
static void add_change(jm_pg_args *args, const jm_change *change)
{
    jm_pg_arg_text(args, change->actor);
    jm_pg_arg_text(args, change->source);
    jm_pg_arg_text(args, change->reason);
    jm_pg_arg_text(args, change->address);
    jm_pg_arg_text(args, change->request_id);
}

/* ---- cancel ---- */

static int judge(const jm_uuid *id, const PGresult *res, bool *running, jm_err *err)
{
    const char *fate = PQntuples(res) ? PQgetvalue(res, 0, 0) : "";
    *running = !strcmp(fate, "requested");
    if (!*fate)
        return there_is_none(id, err);
    if (!strncmp(fate, "ended: ", 7))
        return jm_err_set(err, JM_ERR_CONFLICT, "the job has ended already: it is %s", fate + 7);
    return JM_OK;
}

/* A hint, to be given after the commit: nobody depends on it. */
static void tell(jm_pg *pg, const char *what, const char *which)
{
    char payload[80];
    jm_err ignored;
    jm_pg_args args;
    snprintf(payload, sizeof payload, "%s %s", what, which);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, payload);
    (void)jm_pg_query(pg, &jm_sql_job_tell, &args, NULL, &ignored);
}

static void tell_ready(void *ctx, const char *queue)
{
    jm_buf *queues = ctx; /* told when the connection is free */
    jm_buf_add(queues, queue, strlen(queue) + 1);
}

/* Jobs that wait for the one that was cancelled. What cannot be done now the janitor does. */
void jm_jobs_look_after_dependents(jm_pg *pg, const jm_uuid *id)
{
    jm_err err = {0};
    jm_dependents dependents;
    jm_buf queues = {0};
    int rc = JM_OK;
    jm_dependents_init(&dependents);
    jm_dependents_add(&dependents, id);
    while (!rc && jm_dependents_any(&dependents))
        rc = jm_dependents_settle(&dependents, pg, tell_ready, &queues, &err);
    for (size_t at = 0; at < queues.len; at += strlen(queues.data + at) + 1)
        tell(pg, "ready", queues.data + at);
    jm_dependents_fini(&dependents);
    jm_buf_fini(&queues);
}

int jm_jobs_cancel(jm_pg *pg, const jm_uuid *id, const jm_change *change, bool *running,
                   json_t **would, jm_err *err)
{
    const would_be view = {id, would};
    char text[JM_UUID_TEXT];
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    add_change(&args, change);
    int rc = ask(pg, &jm_sql_job_cancel, &args, change, &view, &res, err);
    rc = rc ? rc : judge(id, res, running, err);
    bool awaited = !rc && !change->dry_run && *PQgetvalue(res, 0, 1) == 't';
    PQclear(res);
    jm_uuid_format(id, text);
    if (!rc && *running &&
        !change->dry_run) /* a worker that is not told looks at its next heartbeat */
        tell(pg, "cancel", text);
    if (awaited)
        jm_jobs_look_after_dependents(pg, id);
    return drop(&view, rc);
}

/* ---- retry ---- */

/* What the function refuses is about the job, not about how it was called. */
static int refused_state(jm_err *err)
{
    if (err->code != JM_ERR_DB || strncmp(err->sqlstate, "22", 2) != 0)
        return err->code;
    const char *text = strstr(err->msg, ": ");
    if (text)
        memmove(err->msg, text + 2, strlen(text + 2) + 1);
    return err->code = JM_ERR_CONFLICT;
}

int jm_jobs_retry(jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_uuid *again,
                  json_t **would, jm_err *err)
{
    const would_be view = {again, would};
    jm_pg_args args;
    PGresult *res = NULL;
    int rc = jm_pg_query(pg, &jm_sql_job_new_id, NULL, &res, err);
    if (!rc && !jm_uuid_parse(PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0), again))
        rc = jm_err_set(err, JM_ERR_DB, "%s gave no id", jm_sql_job_new_id.name);
    PQclear(res);
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_uuid(&args, again);
    add_change(&args, change);
    res = NULL;
    rc = ask(pg, &jm_sql_job_retry, &args, change, &view, &res, err);
    if (rc)
        return refused_state(err);
    if (PQgetisnull(res, 0, 0))
        rc = there_is_none(id, err);
    PQclear(res);
    jm_err ignored; /* it is committed; a relay that is not woken looks by itself within a second */
    if (!rc && !change->dry_run)
        (void)jm_pg_query(pg, &jm_sql_job_notify, NULL, NULL, &ignored);
    return drop(&view, rc);
}

/* ---- delete ---- */

static int why_not_deleted(jm_pg *pg, const jm_uuid *id, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    int rc = jm_pg_query(pg, &jm_sql_job_show, &args, &res, err);
    if (!rc && PQntuples(res))
        rc = jm_err_set(err, JM_ERR_CONFLICT,
                        "the job has not ended: cancel it first (jobmill job cancel)");
    else if (!rc)
        rc = there_is_none(id, err);
    PQclear(res);
    return rc;
}

int jm_jobs_delete(jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    add_change(&args, change);
    int rc = ask(pg, &jm_sql_job_delete, &args, change, &(would_be){id, NULL}, &res, err);
    if (!rc && !PQntuples(res))
        rc = why_not_deleted(pg, id, err);
    PQclear(res);
    return rc;
}
