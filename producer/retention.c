/* Retention: whole weeks of history are detached and dropped. */
#include "producer/retention.h"

#include <string.h>

#include "common/buf.h"
#include "common/log.h"

/* What the catalogue says of a partition; columns of retention_candidates. */
enum { R_PARENT, R_PART, R_ENDS_AT, R_FROM_ID, R_TO_ID, R_ATTACHED, R_UNFINISHED };

static int exec_about(jm_pg *pg, const PGresult *res, int row, const char *fmt, jm_err *err)
{
    /* Names come from the catalogue through a pattern of letters, digits and underscores. */
    jm_buf text = {0};
    const char *parent = jm_pg_get_text(res, row, R_PARENT, NULL);
    const char *part = jm_pg_get_text(res, row, R_PART, NULL);
    for (const char *p = fmt; *p; p++) {
        if (*p == '@')
            jm_buf_adds(&text, parent);
        else if (*p == '$')
            jm_buf_adds(&text, part);
        else
            jm_buf_addc(&text, *p);
    }
    int rc = jm_pg_exec(pg, text.data, NULL, err);
    jm_buf_fini(&text);
    return rc;
}

static int drop_partition(jm_pg *pg, const PGresult *res, int row, jm_err *err)
{
    int rc = JM_OK;
    if (jm_pg_get_bool(res, row, R_UNFINISHED)) /* whoever began it was interrupted */
        rc = exec_about(pg, res, row, "ALTER TABLE @ DETACH PARTITION $ FINALIZE", err);
    else if (jm_pg_get_bool(res, row, R_ATTACHED))
        rc = exec_about(pg, res, row, "ALTER TABLE @ DETACH PARTITION $ CONCURRENTLY", err);
    if (!rc)
        rc = exec_about(pg, res, row, "DROP TABLE $", err);
    return rc;
}

static int has_unfinished(jm_pg *pg, const PGresult *res, int row, bool *out, jm_err *err)
{
    jm_uuid from = jm_pg_get_uuid(res, row, R_FROM_ID), to = jm_pg_get_uuid(res, row, R_TO_ID);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &from);
    jm_pg_arg_uuid(&args, &to);
    jm_pg_call call = {.sql = &jm_sql_retention_unfinished, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    if (!rc)
        *out = jm_pg_get_bool(call.res, 0, 0);
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static int mark_dropped(jm_pg *pg, int64_t ends_us, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, ends_us);
    return jm_pg_query(pg, &jm_sql_retention_mark, &args, NULL, err);
}

/* One week: its partitions are neighbours in the result. Looks for unfinished jobs before it says
 * that the week is gone, and after, when nobody can add one any more. */
static int drop_week(jm_pg *pg, const PGresult *res, int first, int end, int *dropped, jm_err *err)
{
    bool unfinished = false;
    int rc = has_unfinished(pg, res, first, &unfinished, err);
    if (rc || unfinished)
        return rc;
    rc = mark_dropped(pg, jm_pg_get_ts(res, first, R_ENDS_AT), err);
    if (!rc)
        rc = has_unfinished(pg, res, first, &unfinished, err);
    for (int row = first; row < end && !rc && !unfinished; row++) {
        rc = drop_partition(pg, res, row, err);
        *dropped += !rc;
    }
    return rc;
}

static int drop_weeks(jm_pg *pg, int64_t before_us, int *dropped, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, before_us);
    jm_pg_call call = {.sql = &jm_sql_retention_candidates, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    int n = rc ? 0 : PQntuples(call.res);
    for (int first = 0, end; first < n && !rc; first = end) {
        int64_t ends_us = jm_pg_get_ts(call.res, first, R_ENDS_AT);
        for (end = first + 1; end < n && jm_pg_get_ts(call.res, end, R_ENDS_AT) == ends_us;)
            end++;
        rc = drop_week(pg, call.res, first, end, dropped, err);
    }
    jm_pg_calls_clear(&call, 1);
    return rc;
}

int jm_retention_run(jm_pg *pg, int64_t before_us, int *dropped, jm_err *err)
{
    *dropped = 0;
    PGresult *res = NULL;
    int rc = jm_pg_exec(pg,
                        "SET lock_timeout = '5s'; SELECT pg_try_advisory_lock("
                        "hashtext('jobmill retention'), hashtext(current_schema()))",
                        &res, err);
    bool alone = !rc && !strcmp(PQgetvalue(res, 0, 0), "t");
    PQclear(res);
    if (alone)
        rc = drop_weeks(pg, before_us, dropped, err);
    if (alone && jm_pg_is_up(pg))
        jm_pg_exec(pg,
                   "SELECT pg_advisory_unlock(hashtext('jobmill retention'), "
                   "hashtext(current_schema()))",
                   NULL, NULL);
    if (jm_pg_is_up(pg))
        jm_pg_exec(pg, "RESET lock_timeout", NULL, NULL);
    return rc;
}
