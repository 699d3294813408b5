/* Jobs: submitting, finding, listing, waiting. */
#include "producer/service/jobs.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/job.h"
#include "common/log.h"
#include "common/nearest.h"
#include "common/pg.h"
#include "common/json_exact.h"
#include "common/mem.h"
#include "common/rows.h"
#include "producer/service/job_search.h"
#include "producer/service/jobs_priv.h"
#include "producer/tx.h"

#define RETRY_MS 5000 /* a submission whose connection broke is tried again for so long */

/* ---- submitting ---- */

/* What submit() refuses is the caller's input: without the query's name in front. */
static int refused_input(jm_err *err)
{
    if (err->code != JM_ERR_DB ||
        (strncmp(err->sqlstate, "22", 2) && strncmp(err->sqlstate, "23", 2)))
        return err->code;
    const char *text = strstr(err->msg, ": ");
    if (text)
        memmove(err->msg, text + 2, strlen(text + 2) + 1);
    bool unknown = strstr(err->msg, "reason: unknown_project") != NULL; /* submit()'s DETAIL */
    return err->code = unknown ? JM_ERR_NOT_FOUND : JM_ERR_INVALID;
}

/* One row of one id. */
static int ask_id(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, jm_uuid *id, jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_query(pg, sql, args, &res, err);
    if (rc)
        return rc;
    const char *text = PQntuples(res) ? PQgetvalue(res, 0, 0) : "";
    if (!jm_uuid_parse(text, strlen(text), id))
        rc = jm_err_set(err, JM_ERR_DB, "%s gave no id", sql->name);
    PQclear(res);
    return rc;
}

/* Options with an id in them, by which a submission can be repeated: the caller's, or a new one. */
static int name_job(jm_pg *pg, const char *options, jm_buf *out, jm_err *err)
{
    jm_uuid id;
    char text[JM_UUID_TEXT];
    json_t *given = NULL;
    jm_buf_adds(out, options);
    if (jm_json_exact_load(options, strlen(options), &given, err) || !json_is_object(given) ||
        json_object_get(given, "id")) {
        json_decref(given);
        return JM_OK; /* what is wrong with it, submit() says */
    }
    size_t members = json_object_size(given);
    json_decref(given);
    int rc = ask_id(pg, &jm_sql_job_new_id, NULL, &id, err);
    if (rc)
        return rc;
    jm_uuid_format(&id, text);
    jm_buf_clear(out);
    jm_buf_addf(out, "{\"id\":\"%s\"%s%s", text, members ? "," : "", strchr(options, '{') + 1);
    return JM_OK;
}

/* A connection that breaks meanwhile may have committed: by its id the same job is found again. */
static int submit_until_done(jm_pg *pg, const jm_pg_args *args, jm_uuid *id, jm_err *err)
{
    int rc = ask_id(pg, &jm_sql_job_submit, args, id, err);
    for (int64_t until = jm_mono_ms() + RETRY_MS; rc == JM_ERR_DB_DOWN && jm_mono_ms() < until;) {
        poll(NULL, 0, 100);
        rc = jm_pg_connect(pg, err);
        if (!rc)
            rc = ask_id(pg, &jm_sql_job_submit, args, id, err);
    }
    return rc;
}

static int submit_and_take_back(jm_pg *pg, const jm_pg_args *args, jm_uuid *id, jm_err *err)
{
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    rc = rc ? rc : ask_id(pg, &jm_sql_job_submit, args, id, err);
    jm_tx_rollback(pg);
    return rc;
}

int jm_jobs_submit(jm_pg *pg, const jm_change *change, const char *type, const char *params,
                   const char *options, jm_uuid *id, jm_err *err)
{
    jm_pg_args args;
    jm_buf named = {0};
    int rc = name_job(pg, options ? options : "{}", &named, err);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, type);
    jm_pg_arg_text(&args, params ? params : "{}");
    jm_pg_arg_text(&args, jm_buf_str(&named));
    jm_pg_arg_text(&args, change->actor);
    if (!rc)
        rc = change->dry_run ? submit_and_take_back(pg, &args, id, err)
                             : submit_until_done(pg, &args, id, err);
    jm_buf_fini(&named);
    if (rc)
        return refused_input(err);
    if (change->dry_run)
        return JM_OK;
    jm_err ignored; /* it is committed; who is not woken looks by itself within a second */
    (void)jm_pg_query(pg, &jm_sql_job_notify, NULL, NULL, &ignored);
    return JM_OK;
}

/* ---- finding ---- */

int jm_jobs_resolve(jm_pg *pg, const char *text, const char *project, jm_uuid *id, jm_err *err)
{
    if (jm_uuid_parse(text, strlen(text), id) && jm_uuid7_is(id))
        return JM_OK;
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, text);
    jm_pg_arg_text(&args, project);
    int rc = jm_pg_query(pg, &jm_sql_job_by_external_id, &args, &res, err);
    if (rc)
        return rc;
    const char *found = PQntuples(res) ? PQgetvalue(res, 0, 0) : "";
    if (!jm_uuid_parse(found, strlen(found), id))
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no job with the external id %.200s", text);
    PQclear(res);
    return rc;
}

static int not_there(const jm_uuid *id, int rc, jm_err *err)
{
    char text[JM_UUID_TEXT];
    if (rc != JM_ERR_NOT_FOUND)
        return rc;
    jm_uuid_format(id, text);
    return jm_err_set(
        err, rc,
        "there is no job %s (one sent through Kafka appears once a worker has accepted it)", text);
}

int jm_jobs_show(jm_pg *pg, const jm_uuid *id, json_t **job, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    return not_there(id, jm_rows_one(pg, &jm_sql_job_show, &args, job, err), err);
}

/* "attempt.seq" of the last row of a page. */
static int read_place(const char *cursor, int *attempt, int *seq, jm_err *err)
{
    char *dot, *end;
    *attempt = *seq = -1;
    if (!cursor)
        return JM_OK;
    long first = strtol(cursor, &dot, 10);
    long second = *dot == '.' ? strtol(dot + 1, &end, 10) : -1;
    if (first < 0 || first > INT32_MAX || second < 0 || second > INT32_MAX || *end ||
        end == dot + 1)
        return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                            cursor);
    *attempt = (int)first;
    *seq = (int)second;
    return JM_OK;
}

/* Of attempts, which have no seq, it is 0. */
static char *next_place(json_t *items, int64_t limit)
{
    const json_t *last = jm_rows_cut(items, limit);
    jm_buf next = {0};
    if (!last)
        return NULL;
    jm_buf_addf(&next, "%lld.%lld", (long long)json_integer_value(json_object_get(last, "attempt")),
                (long long)json_integer_value(json_object_get(last, "seq")));
    return jm_buf_take(&next);
}

/* A page of what belongs to a job; args are all but its size and place. */
static int read_page(jm_pg *pg, const jm_sql *sql, jm_pg_args *args, const jm_rows_place *place,
                     const jm_page *page, json_t **items, char **next, jm_err *err)
{
    jm_pg_arg_i64(args, page->limit + 1);
    jm_pg_arg_i64(args, page->offset);
    int rc = jm_rows_page(pg, sql, args, place, page->total, items, err);
    if (!rc)
        *next = next_place(*items, page->limit);
    return rc;
}

int jm_jobs_steps(jm_pg *pg, const jm_uuid *id, const jm_page *page, json_t **items, char **next,
                  jm_err *err)
{
    static const jm_rows_place place = {.limit = 4, .offset = 5, .cursor = {2, 3}};
    int attempt, seq, rc = read_place(page->cursor, &attempt, &seq, err);
    jm_pg_args args;
    *items = NULL;
    *next = NULL;
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_i32(&args, attempt);
    jm_pg_arg_i32(&args, seq);
    return read_page(pg, &jm_sql_job_steps_of, &args, &place, page, items, next, err);
}

int jm_jobs_attempts(jm_pg *pg, const jm_uuid *id, const jm_page *page, json_t **items, char **next,
                     jm_err *err)
{
    static const jm_rows_place place = {.limit = 3, .offset = 4, .cursor = {2}};
    int attempt, seq, rc = read_place(page->cursor, &attempt, &seq, err);
    jm_pg_args args;
    *items = NULL;
    *next = NULL;
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_i32(&args, attempt);
    return read_page(pg, &jm_sql_job_attempts_of, &args, &place, page, items, next, err);
}

int jm_jobs_logs(jm_pg *pg, const jm_uuid *id, const char *level, const jm_page *page,
                 json_t **items, char **next, jm_err *err)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    static const jm_rows_place place = {.limit = 5, .offset = 6, .cursor = {3, 4}};
    jm_log_level least = JM_DEBUG;
    int attempt, seq;
    *items = NULL;
    *next = NULL;
    if (level && !jm_log_level_parse(level, &least))
        return jm_err_field(err, "level", "level is \"%s\", needs debug, info, warning or error",
                            level);
    int rc = read_place(page->cursor, &attempt, &seq, err);
    if (rc)
        return rc;
    jm_col levels;
    jm_col_init(&levels, JM_COL_TEXT);
    for (int i = (int)least; i < 4; i++)
        jm_col_add_str(&levels, names[i]);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_col(&args, &levels);
    jm_pg_arg_i32(&args, attempt);
    jm_pg_arg_i32(&args, seq);
    rc = read_page(pg, &jm_sql_job_logs_of, &args, &place, page, items, next, err);
    jm_col_fini(&levels);
    return rc;
}

int jm_jobs_waiting(jm_pg *pg, const jm_uuid *id, json_t **waiting, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    int rc = jm_rows_one(pg, &jm_sql_job_waiting, &args, waiting, err);
    return rc == JM_ERR_NOT_FOUND ? JM_OK : rc;
}

/* ---- listing ---- */

int jm_jobs_check_status(const char *status, jm_err *err)
{
    const char *known[JM_JOB_EXPIRED + 1];
    jm_job_status parsed;
    if (!status || jm_job_status_parse(status, &parsed))
        return JM_OK;
    for (int i = 0; i <= JM_JOB_EXPIRED; i++)
        known[i] = jm_job_status_text((jm_job_status)i);
    const char *near = jm_nearest(status, known, JM_JOB_EXPIRED + 1);
    return jm_err_field(err, "status",
                        "status is \"%s\", needs one of pending, running, completed, failed, "
                        "cancelled, expired%s%s%s",
                        status, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

int jm_jobs_resolve_schedule(jm_pg *pg, const char *schedule, const char *project, jm_uuid *id,
                             jm_err *err)
{
    if (jm_uuid_parse(schedule, strlen(schedule), id))
        return JM_OK;
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, schedule);
    jm_pg_arg_text(&args, project);
    int rc = jm_pg_query(pg, &jm_sql_job_schedule_named, &args, &res, err);
    if (rc)
        return rc;
    int n = PQntuples(res);
    const char *text = n ? PQgetvalue(res, 0, 0) : "";
    if (n == 0 || !jm_uuid_parse(text, strlen(text), id))
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no schedule %.200s", schedule);
    else if (n > 1)
        rc = jm_err_field(err, "schedule",
                          "several projects have a schedule %.200s: name the project, or "
                          "give the schedule's id",
                          schedule);
    PQclear(res);
    return rc;
}

/* The query whose index fits: what is most selective first. */
static const jm_sql *query_for(const jm_jobs_filter *filter)
{
    const char *status = filter->status ? filter->status : "";
    if (filter->schedule)
        return &jm_sql_job_list_schedule;
    if (!strcmp(status, "running"))
        return &jm_sql_job_list_running;
    if (!strcmp(status, "pending"))
        return &jm_sql_job_list_pending;
    if (*status && strcmp(status, "completed") != 0)
        return &jm_sql_job_list_outcome;
    if (filter->type)
        return &jm_sql_job_list_type;
    if (filter->project)
        return &jm_sql_job_list_project;
    return &jm_sql_job_list;
}

static int read_cursor(const char *text, jm_uuid *id, jm_err *err)
{
    if (!text || (jm_uuid_parse(text, strlen(text), id) && jm_uuid7_is(id)))
        return JM_OK;
    return jm_err_field(err, "cursor", "cursor is \"%.60s\", needs what a page gave as next", text);
}

/* From the smallest id of that time on, and below that of to or of the cursor. */
static void add_bounds(jm_pg_args *args, const jm_jobs_filter *filter, const jm_uuid *cursor)
{
    jm_uuid from = jm_uuid7_floor((filter->created.from + 999) / 1000);
    jm_uuid to = jm_uuid7_floor((filter->created.to + 999) / 1000);
    bool by_cursor = filter->cursor && (!filter->created.to || jm_uuid_cmp(cursor, &to) < 0);
    jm_pg_arg_uuid(args, filter->created.from ? &from : NULL);
    jm_pg_arg_uuid(args, by_cursor ? cursor : filter->created.to ? &to : NULL);
}

int jm_jobs_filter_args(jm_pg *pg, const jm_jobs_filter *filter, jm_filter_args *given, jm_err *err)
{
    jm_pg_args *args = &given->args;
    int rc = jm_jobs_check_status(filter->status, err);
    if (!rc)
        rc = read_cursor(filter->cursor, &given->cursor, err);
    if (!rc && filter->schedule)
        rc = jm_jobs_resolve_schedule(pg, filter->schedule, filter->project, &given->schedule, err);
    if (rc)
        return rc;
    given->metadata = filter->metadata && json_object_size(filter->metadata)
                          ? json_dumps(filter->metadata, 0)
                          : NULL;
    jm_pg_args_init(args);
    jm_pg_arg_text(args, filter->status);
    jm_pg_arg_text(args, filter->type);
    jm_pg_arg_text(args, filter->project);
    jm_pg_arg_text(args, filter->queue);
    jm_pg_arg_uuid(args, filter->schedule ? &given->schedule : NULL);
    jm_pg_arg_i64(args, filter->limit + 1); /* one more tells whether there is a next page */
    jm_pg_arg_i64(args, filter->offset);
    jm_pg_arg_bool(args, filter->callbacks ||
                             (filter->type && !strcmp(filter->type, "jobmill.callback")));
    add_bounds(args, filter, &given->cursor);
    jm_pg_arg_ts(args, filter->started.from);
    jm_pg_arg_ts(args, filter->started.to);
    jm_pg_arg_ts(args, filter->completed.from);
    jm_pg_arg_ts(args, filter->completed.to);
    jm_pg_arg_text(args, given->metadata);
    return JM_OK;
}

void jm_jobs_cut_page(json_t *items, int64_t limit, char **next)
{
    bool more = (int64_t)json_array_size(items) > limit;
    if (more)
        json_array_remove(items, (size_t)limit);
    if (!next)
        return;
    const json_t *last = more ? json_array_get(items, (size_t)limit - 1) : NULL;
    *next = last ? jm_strdup(json_string_value(json_object_get(last, "id"))) : NULL;
}

int jm_jobs_count(jm_pg *pg, const jm_sql *sql, const jm_jobs_filter *filter, const jm_search *by,
                  jm_err *err)
{
    static const jm_rows_place place = {.limit = 6, .offset = 7};
    jm_jobs_filter all = *filter;
    jm_filter_args given;
    if (!filter->total)
        return JM_OK;
    all.cursor = NULL; /* shares its parameter with created.to */
    int rc = jm_jobs_filter_args(pg, &all, &given, err);
    if (rc)
        return rc;
    if (by->key)
        (void)jm_search_args(by, &given.args);
    rc = jm_rows_count(pg, sql, &given.args, &place, filter->total, err);
    jm_filter_args_fini(&given);
    return rc;
}

int jm_jobs_list(jm_pg *pg, const jm_jobs_filter *filter, json_t **items, char **next, jm_err *err)
{
    jm_filter_args given;
    *items = NULL;
    int rc = jm_jobs_filter_args(pg, filter, &given, err);
    if (rc)
        return rc;
    const jm_sql *sql = query_for(filter);
    jm_search by = {.match = JM_MATCH_EXACT};
    if (filter->metadata && sql != &jm_sql_job_list_running && sql != &jm_sql_job_list_pending &&
        (rc = jm_jobs_searchable(pg, filter, &by.key, err)) == JM_OK && by.key) {
        by.value = json_string_value(json_object_get(filter->metadata, by.key));
        sql = jm_search_args(&by, &given.args);
    }
    rc = rc ? rc : jm_jobs_count(pg, sql, filter, &by, err);
    rc = rc ? rc : jm_rows_list(pg, sql, &given.args, items, err);
    jm_filter_args_fini(&given);
    if (!rc)
        jm_jobs_cut_page(*items, filter->limit, next);
    return rc;
}

int jm_jobs_ended_of(jm_pg *pg, const jm_uuid *ids, size_t n, const jm_uuid *now, size_t n_now,
                     jm_jobs_seen *seen, void *ctx, jm_err *err)
{
    jm_col cols[2];
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_col_init(&cols[0], JM_COL_UUID);
    jm_col_init(&cols[1], JM_COL_UUID);
    for (size_t i = 0; i < n; i++)
        jm_col_add_uuid(&cols[0], &ids[i]);
    for (size_t i = 0; i < n_now; i++)
        jm_col_add_uuid(&cols[1], &now[i]);
    jm_pg_arg_col(&args, &cols[0]);
    jm_pg_arg_col(&args, &cols[1]);
    int rc = jm_pg_query(pg, &jm_sql_job_ended_of, &args, &res, err);
    for (int row = 0; !rc && row < PQntuples(res); row++) {
        jm_uuid id;
        json_t *job = NULL;
        (void)jm_uuid_parse(PQgetvalue(res, row, 0), 36, &id);
        rc = jm_json_exact_load(PQgetvalue(res, row, 1), (size_t)PQgetlength(res, row, 1), &job,
                                err);
        if (!rc)
            seen(ctx, &id, job);
        json_decref(job);
    }
    PQclear(res);
    jm_col_fini(&cols[0]);
    jm_col_fini(&cols[1]);
    return rc;
}

/* ---- waiting ---- */

static bool has_ended(const json_t *job)
{
    const char *text = json_string_value(json_object_get(job, "status"));
    jm_job_status status;
    return text && jm_job_status_parse(text, &status) && jm_job_status_is_terminal(status);
}

int jm_jobs_wait(jm_pg *pg, const jm_uuid *id, int64_t timeout_ms, json_t **job, jm_err *err)
{
    int64_t until = jm_mono_ms() + timeout_ms;
    *job = NULL;
    for (int pause_ms = 50;; pause_ms = pause_ms * 3 / 2 < 500 ? pause_ms * 3 / 2 : 500) {
        json_t *now = NULL;
        int rc = jm_pg_ensure(pg, err);
        if (!rc)
            rc = jm_jobs_show(pg, id, &now, err);
        if (rc && !err->retriable && rc != JM_ERR_DB_DOWN)
            return rc;
        if (!rc) {
            json_decref(*job);
            *job = now;
            if (has_ended(now))
                return JM_OK;
        }
        int64_t left = timeout_ms < 0 ? pause_ms : until - jm_mono_ms();
        if (left <= 0)
            return jm_err_set(err, JM_ERR_TIMEOUT, "the time is over");
        poll(NULL, 0, (int)(left < pause_ms ? left : pause_ms));
    }
}
