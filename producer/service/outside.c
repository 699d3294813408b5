/* Jobs that a program outside runs. */
#include "producer/service/outside.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "common/json_scan.h"
#include "common/log.h"
#include "common/pg.h"
#include "common/uuid7.h"
#include "producer/service/job_actions.h"
#include "producer/service/jobs.h"
#include "producer/tx.h"

enum { NAME_CHARS_MAX = 200 /* of metadata */ };

static const jm_col_type job_types[] = {
    JM_COL_UUID,  JM_COL_I32,   JM_COL_TEXT, JM_COL_TS,  JM_COL_I64,   JM_COL_TEXT, JM_COL_JSONB,
    JM_COL_JSONB, JM_COL_JSONB, JM_COL_I64,  JM_COL_I64, JM_COL_I64,   JM_COL_TS,   JM_COL_TEXT,
    JM_COL_TS,    JM_COL_TEXT,  JM_COL_TEXT, JM_COL_I32, JM_COL_JSONB, JM_COL_I64};
static const jm_col_type step_types[] = {JM_COL_UUID,  JM_COL_I32,  JM_COL_TEXT, JM_COL_TEXT,
                                         JM_COL_JSONB, JM_COL_TEXT, JM_COL_I32,  JM_COL_TS,
                                         JM_COL_TS,    JM_COL_I64};
static const jm_col_type log_types[] = {JM_COL_UUID, JM_COL_I32,  JM_COL_TEXT, JM_COL_TS,
                                        JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB};
static const jm_col_type metadata_types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT};

/* An attempt under its lock, and the rows that are written about it. */
typedef struct attempt {
    jm_pg *pg;
    const jm_uuid *id;
    const jm_outside_report *report;
    jm_uuid lease;
    int64_t started_us, now_us;
    int last_log, step, last_step; /* step 0: there is none of that name */
    jm_cols jobs, steps, logs, metadata;
} attempt;

/* ---- taking ---- */

int jm_outside_claim(jm_pg *pg, const jm_uuid *id, const char *actor, int lease_s, jm_err *err)
{
    jm_uuid lease = jm_uuid7_new();
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_uuid(&args, &lease);
    jm_pg_arg_text(&args, actor);
    jm_pg_arg_i32(&args, lease_s);
    int rc = jm_pg_query(pg, &jm_sql_status_claim, &args, &res, err);
    if (!rc && !PQntuples(res))
        rc = jm_err_set(err, JM_ERR_CONFLICT,
                        "the job cannot be taken: it is not one that waits and is due, or it needs "
                        "a lock, which only workers take");
    PQclear(res);
    return rc;
}

/* ---- the attempt ---- */

static int lock_attempt(attempt *a, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, a->id);
    jm_pg_arg_i32(&args, a->report->attempt);
    jm_pg_arg_text(&args, a->report->actor);
    int rc = jm_pg_query(a->pg, &jm_sql_outside_renew, &args, &res, err);
    if (!rc && !PQntuples(res))
        rc = jm_err_set(err, JM_ERR_CONFLICT,
                        "attempt %d of this job is over, or was not taken by this key: what it did "
                        "since counts no more",
                        a->report->attempt);
    if (!rc) {
        (void)jm_uuid_parse(PQgetvalue(res, 0, 0), 36, &a->lease);
        a->started_us = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
    }
    PQclear(res);
    return rc;
}

static int find_places(attempt *a, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, a->id);
    jm_pg_arg_i32(&args, a->report->attempt);
    jm_pg_arg_text(&args, jm_json_exact_text(json_object_get(a->report->step, "name")));
    int rc = jm_pg_query(a->pg, &jm_sql_outside_places, &args, &res, err);
    if (!rc) {
        a->last_log = (int)strtol(PQgetvalue(res, 0, 0), NULL, 10);
        a->step = (int)strtol(PQgetvalue(res, 0, 1), NULL, 10);
        a->last_step = (int)strtol(PQgetvalue(res, 0, 2), NULL, 10);
    }
    PQclear(res);
    return rc;
}

/* ---- rows ---- */

static void add_json(jm_col *col, const json_t *value)
{
    char *text = value ? jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    jm_col_add_str(col, text);
    free(text);
}

static void add_count(jm_col *col, const json_t *value)
{
    if (json_is_integer(value))
        jm_col_add_i64(col, json_integer_value(value));
    else
        jm_col_add_null(col);
}

static const char *outcome_of(const char *status)
{
    if (!status || !strcmp(status, "completed"))
        return NULL;
    return strcmp(status, "pending") ? status : "returned";
}

static void add_job(attempt *a)
{
    const jm_outside_report *r = a->report;
    jm_col *c = a->jobs.col;
    const char *outcome = outcome_of(r->status);
    jm_col_add_uuid(&c[0], a->id);
    jm_col_add_i32(&c[1], r->attempt);
    jm_col_add_str(&c[2], r->status ? r->status : "running");
    jm_col_add_ts(&c[3], a->now_us);
    jm_col_add_i64(&c[4], (a->now_us - a->started_us) / 1000);
    jm_col_add_str(&c[5], r->error);
    add_json(&c[6], r->result);
    add_json(&c[7], r->metadata);
    add_json(&c[8], r->progress);
    add_count(&c[9], r->items_total);
    add_count(&c[10], r->items_ok);
    add_count(&c[11], r->items_failed);
    jm_col_add_null(&c[12]);
    jm_col_add_str(&c[13], outcome);
    jm_col_add_ts(&c[14], a->started_us);
    for (int i = 15; i < JM_COUNT(job_types); i++)
        jm_col_add_null(&c[i]);
}

static void add_step(attempt *a)
{
    const json_t *step = a->report->step;
    jm_col *c = a->steps.col;
    if (!step)
        return;
    const char *status = jm_json_exact_text(json_object_get(step, "status"));
    const json_t *tries = json_object_get(step, "attempts");
    bool over = strcmp(status, "pending") != 0 && strcmp(status, "running") != 0;
    jm_col_add_uuid(&c[0], a->id);
    jm_col_add_i32(&c[1], a->step ? a->step : a->last_step + 1);
    jm_col_add_str(&c[2], jm_json_exact_text(json_object_get(step, "name")));
    jm_col_add_str(&c[3], status);
    add_json(&c[4], json_object_get(step, "data"));
    jm_col_add_str(&c[5], jm_json_exact_text(json_object_get(step, "error")));
    jm_col_add_i32(&c[6], tries ? (int)json_integer_value(tries) : 1);
    jm_col_add_ts(&c[7], a->now_us);
    jm_col_add_time(&c[8], over ? a->now_us : 0);
    jm_col_add_null(&c[9]);
}

static void add_log(attempt *a, const json_t *line)
{
    jm_col *c = a->logs.col;
    const char *ts = jm_json_exact_text(json_object_get(line, "ts"));
    const char *level = jm_json_exact_text(json_object_get(line, "level"));
    int64_t at_us = a->now_us;
    jm_log_level parsed = JM_INFO;
    jm_err ignored; /* they have been checked */
    if (level)
        (void)jm_log_level_parse_job(level, &parsed);
    if (ts)
        (void)jm_rfc3339_parse(ts, strlen(ts), &at_us, &ignored);
    jm_col_add_uuid(&c[0], a->id);
    jm_col_add_i32(&c[1], ++a->last_log);
    jm_col_add_str(&c[2], jm_json_exact_text(json_object_get(line, "step")));
    jm_col_add_ts(&c[3], at_us);
    jm_col_add_str(&c[4], jm_log_level_name(parsed));
    jm_col_add_str(&c[5], jm_json_exact_text(json_object_get(line, "message")));
    add_json(&c[6], json_object_get(line, "details"));
}

static int write_rows(attempt *a, jm_err *err)
{
    size_t i;
    json_t *line;
    jm_pg_args args;
    PGresult *res = NULL;
    add_job(a);
    add_step(a);
    json_array_foreach((json_t *)(uintptr_t)a->report->logs, i, line)
    {
        add_log(a, line);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &a->lease);
    jm_pg_arg_cols(&args, &a->jobs);
    jm_pg_arg_uuid(&args, a->id);
    jm_pg_arg_uuid(&args, a->id);
    jm_pg_arg_cols(&args, &a->steps);
    jm_pg_arg_cols(&args, &a->logs);
    jm_pg_arg_cols(&args, &a->metadata);
    int rc = jm_pg_query(a->pg, &jm_sql_record_ended, &args, &res, err);
    if (!rc && !PQntuples(res)) /* the lease's row is locked, so that this cannot be */
        rc = jm_err_set(err, JM_ERR_CONFLICT, "attempt %d of this job is over", a->report->attempt);
    PQclear(res);
    return rc;
}

/* As of a job that is submitted. */
static int check_metadata(const json_t *metadata, jm_err *err)
{
    const char *name;
    json_t *value;
    size_t chars;
    json_object_foreach((json_t *)(uintptr_t)metadata, name, value)
    {
        if (json_is_object(value) || json_is_array(value))
            return jm_err_field(err, "metadata",
                                "metadata.%.200s must be a string, number, boolean or null", name);
        if (!jm_utf8_is_valid(name, strlen(name), &chars) || !chars || chars > NAME_CHARS_MAX)
            return jm_err_field(err, "metadata", "names in metadata must have 1 to %d characters",
                                NAME_CHARS_MAX);
    }
    return JM_OK;
}

static int set_searchable(jm_pg *pg, const jm_uuid *id, const json_t *metadata, jm_err *err)
{
    jm_pg_args args;
    if (check_metadata(metadata, err))
        return err->code;
    char *text = metadata ? jm_json_exact_dump(metadata, JSON_COMPACT) : NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_text(&args, text);
    int rc = text ? jm_pg_query(pg, &jm_sql_job_metadata_set, &args, NULL, err) : JM_OK;
    free(text);
    return rc;
}

static int end_lease(const attempt *a, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &a->lease);
    jm_pg_arg_uuid(&args, a->id);
    jm_pg_arg_bool(&args, strcmp(a->report->status, "pending") != 0);
    return jm_pg_query(a->pg, &jm_sql_outside_end, &args, NULL, err);
}

static int write_attempt(attempt *a, jm_err *err)
{
    int rc = lock_attempt(a, err);
    rc = rc ? rc : find_places(a, err);
    rc = rc ? rc : write_rows(a, err);
    rc = rc ? rc : set_searchable(a->pg, a->id, a->report->metadata, err);
    return rc || !a->report->status ? rc : end_lease(a, err);
}

int jm_outside_report_write(jm_pg *pg, const jm_uuid *id, const jm_outside_report *report,
                            jm_err *err)
{
    attempt a = {.pg = pg, .id = id, .report = report, .now_us = jm_utc_us()};
    jm_cols_init(&a.jobs, job_types, JM_COUNT(job_types));
    jm_cols_init(&a.steps, step_types, JM_COUNT(step_types));
    jm_cols_init(&a.logs, log_types, JM_COUNT(log_types));
    jm_cols_init(&a.metadata, metadata_types, JM_COUNT(metadata_types));
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    rc = rc ? rc : write_attempt(&a, err);
    rc = rc ? rc : jm_pg_exec(pg, "COMMIT", NULL, err);
    if (rc)
        jm_tx_rollback(pg);
    else if (report->status)
        jm_jobs_look_after_dependents(pg, id);
    jm_cols_fini(&a.jobs);
    jm_cols_fini(&a.steps);
    jm_cols_fini(&a.logs);
    jm_cols_fini(&a.metadata);
    return rc;
}

/* ---- changes of what it is ---- */

static int patch(jm_pg *pg, const jm_pg_args *args, const jm_uuid *id, const json_t *metadata,
                 jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_query(pg, &jm_sql_job_patch, args, &res, err);
    if (!rc && !PQntuples(res))
        rc = jm_err_set(err, JM_ERR_CONFLICT,
                        "the priority is that of a job that waits, and this one does not");
    PQclear(res);
    return rc ? rc : set_searchable(pg, id, metadata, err);
}

int jm_jobs_patch(jm_pg *pg, const jm_uuid *id, const json_t *metadata, int priority,
                  const jm_change *change, json_t **would, jm_err *err)
{
    jm_pg_args args;
    if (would)
        *would = NULL;
    char *text = metadata ? jm_json_exact_dump(metadata, JSON_COMPACT) : NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_text(&args, text);
    if (priority < 0)
        jm_pg_arg_text(&args, NULL);
    else
        jm_pg_arg_i32(&args, priority);
    jm_pg_arg_text(&args, change->actor);
    jm_pg_arg_text(&args, change->source);
    jm_pg_arg_text(&args, change->reason);
    jm_pg_arg_text(&args, change->address);
    jm_pg_arg_text(&args, change->request_id);
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (!rc) {
        rc = patch(pg, &args, id, metadata, err);
        if (!rc && would && change->dry_run)
            rc = jm_jobs_show(pg, id, would, err);
        rc = jm_tx_end(pg, rc, !change->dry_run, err);
    }
    free(text);
    return rc;
}
