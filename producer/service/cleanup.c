/* Cleaning up: weeks as whole tables first, then the rest in batches of their own transactions. */
#include "producer/service/cleanup.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/pg.h"
#include "producer/retention.h"
#include "producer/service/change_audit.h"

enum {
    BATCH_JOBS = 1000,
    BATCH_ROWS = 5000,
    TIMEOUT_MS = 600000,       /* for counting what a week has */
    TIMEOUT_DEFAULT_MS = 30000 /* as common/pg.h has it */
};
#define AGE_MAX_US (INT64_C(36500) * 86400 * 1000000)

/* What is counted, in the order of the columns of cleanup_count and cleanup_delete. */
static const char *const kinds[] = {"jobs", "steps", "logs", "attempts", "metadata"};

/* Columns of retention_candidates that are needed here. */
enum { W_ENDS_AT = 2, W_FROM_ID, W_TO_ID };

typedef struct work {
    jm_pg *pg;
    const jm_cleanup *how;
    const jm_change *change;
    jm_col statuses;
    int64_t before_us, until_ms;
    jm_uuid to_id;
    bool is_owner, stopped;
    json_t *removed;
} work;

static const jm_uuid first_id; /* below all that there are */

static void add_count(work *w, const char *kind, int64_t n)
{
    json_t *old = json_object_get(w->removed, kind);
    json_object_set_new(w->removed, kind, json_integer(json_integer_value(old) + n));
}

static void add_counts(work *w, const int64_t n[JM_COUNT(kinds)])
{
    for (int i = 0; i < JM_COUNT(kinds); i++)
        add_count(w, kinds[i], n[i]);
}

static void read_counts(const PGresult *res, int64_t n[JM_COUNT(kinds)])
{
    for (int i = 0; i < JM_COUNT(kinds); i++)
        n[i] = jm_pg_get_i64(res, 0, i);
}

/* Whether another batch may begin; told what was done so far. */
static bool goes_on(work *w)
{
    if (w->how->progress)
        w->how->progress(w->how->ctx, w->removed);
    w->stopped = w->how->is_stopped && w->how->is_stopped(w->how->ctx);
    if (!w->stopped && (!w->how->within_ms || jm_mono_ms() < w->until_ms))
        return true;
    json_object_set_new(w->removed, "more", json_true());
    return false;
}

/* ---- what is asked ---- */

static int read_statuses(const char *text, jm_col *out, jm_err *err)
{
    static const char *const ended[] = {"completed", "failed", "cancelled", "expired"};
    for (const char *p = text; p; p = *p ? p + 1 : NULL) {
        size_t len = strcspn(p, ","), i = 0;
        while (i < 4 && (strlen(ended[i]) != len || strncmp(ended[i], p, len) != 0))
            i++;
        if (i == 4)
            return jm_err_field(err, "status",
                                "\"%.*s\" is no status of a job that has ended: completed, failed, "
                                "cancelled or expired",
                                (int)(len < 40 ? len : 40), p);
        jm_col_add_str(out, ended[i]);
        p += len;
        if (!*p)
            break;
    }
    return JM_OK;
}

static int read_bounds(work *w, jm_err *err)
{
    jm_pg_args args;
    if (w->how->older_than_us <= 0 || w->how->older_than_us > AGE_MAX_US)
        return jm_err_field(err, "older_than",
                            "older_than is a duration such as 30d, of at most 36500 days");
    int rc = read_statuses(w->how->statuses, &w->statuses, err);
    if (rc)
        return rc;
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%.6f", (double)w->how->older_than_us / 1e6);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, seconds);
    jm_pg_call call = {.sql = &jm_sql_cleanup_bounds, .args = &args, .binary = true};
    rc = jm_pg_run(w->pg, &call, 1, err);
    if (!rc) {
        char at[JM_RFC3339_TEXT];
        w->before_us = jm_pg_get_ts(call.res, 0, 0);
        w->to_id = jm_pg_get_uuid(call.res, 0, 1);
        w->is_owner = jm_pg_get_bool(call.res, 0, 2);
        jm_rfc3339_format(w->before_us, at);
        json_object_set_new(w->removed, "before", json_string(at));
    }
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static void add_chosen(work *w, jm_pg_args *args)
{
    jm_pg_arg_text(args, w->how->project);
    if (w->how->statuses)
        jm_pg_arg_col(args, &w->statuses);
    else
        jm_pg_arg_text(args, NULL);
}

static bool takes_ticks(const work *w)
{
    return !w->how->jobs_only && !w->how->statuses;
}

static bool takes_dead(const work *w)
{
    return takes_ticks(w) && !w->how->project;
}

/* ---- counting ---- */

static int count_jobs(work *w, const jm_uuid *from, const jm_uuid *to, int64_t n[JM_COUNT(kinds)],
                      jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, from);
    jm_pg_arg_uuid(&args, to);
    add_chosen(w, &args);
    jm_pg_call call = {.sql = &jm_sql_cleanup_count, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    if (!rc)
        read_counts(call.res, n);
    jm_pg_calls_clear(&call, 1);
    return rc;
}

/* Runs a statement whose result is one number. */
static int run_number(work *w, const jm_sql *sql, const jm_pg_args *args, int64_t *n, jm_err *err)
{
    jm_pg_call call = {.sql = sql, .args = args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    *n = rc ? 0 : jm_pg_get_i64(call.res, 0, 0);
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static int count_all(work *w, jm_err *err)
{
    int64_t n[JM_COUNT(kinds)], rows = 0;
    jm_pg_args args;
    int rc = count_jobs(w, &first_id, &w->to_id, n, err);
    if (rc)
        return rc;
    add_counts(w, n);
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, w->before_us);
    jm_pg_arg_text(&args, w->how->project);
    if (takes_ticks(w))
        rc = run_number(w, &jm_sql_cleanup_ticks_count, &args, &rows, err);
    add_count(w, "ticks", rows);
    rows = 0;
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, w->before_us);
    jm_pg_arg_bool(&args, w->how->open_dead);
    if (!rc && takes_dead(w))
        rc = run_number(w, &jm_sql_cleanup_dead_count, &args, &rows, err);
    add_count(w, "dead_letters", rows);
    return rc;
}

/* ---- whole weeks ---- */

/* A week that may be dropped, and what it has. */
typedef struct week {
    int64_t ends_us;
    int64_t n[JM_COUNT(kinds)];
} week;

static int read_weeks(work *w, PGresult **res, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, w->before_us);
    jm_pg_call call = {.sql = &jm_sql_retention_candidates, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    *res = call.res;
    return rc;
}

static int count_weeks(work *w, week **weeks, int *n, jm_err *err)
{
    PGresult *res = NULL;
    int rc = read_weeks(w, &res, err), rows = rc ? 0 : PQntuples(res);
    *weeks = jm_calloc((size_t)rows + 1, sizeof **weeks);
    *n = 0;
    for (int row = 0; row < rows && !rc; row++) {
        int64_t ends_us = jm_pg_get_ts(res, row, W_ENDS_AT);
        if (*n && (*weeks)[*n - 1].ends_us == ends_us)
            continue;
        jm_uuid from = jm_pg_get_uuid(res, row, W_FROM_ID), to = jm_pg_get_uuid(res, row, W_TO_ID);
        week *it = &(*weeks)[(*n)++];
        it->ends_us = ends_us;
        rc = count_jobs(w, &from, &to, it->n, err);
    }
    PQclear(res);
    return rc;
}

/* Counts those that are there no longer. */
static int compare_weeks(work *w, const week *weeks, int n, jm_err *err)
{
    PGresult *res = NULL;
    int rc = read_weeks(w, &res, err);
    for (int i = 0; i < n && !rc; i++) {
        bool there = false;
        for (int row = 0; row < PQntuples(res) && !there; row++)
            there = jm_pg_get_ts(res, row, W_ENDS_AT) == weeks[i].ends_us;
        if (!there)
            add_counts(w, weeks[i].n);
    }
    PQclear(res);
    return rc;
}

/* What cannot be locked within seconds is left to the batches. */
static int drop_weeks(work *w, jm_err *err)
{
    week *weeks;
    int n, dropped = 0;
    if (w->how->project || w->how->statuses || !w->is_owner || !goes_on(w))
        return JM_OK;
    int rc = count_weeks(w, &weeks, &n, err);
    if (!rc && n) {
        rc = jm_retention_run(w->pg, w->before_us, &dropped, err);
        if (rc == JM_ERR_DB && err->retriable)
            rc = JM_OK;
    }
    if (dropped)
        add_count(w, "partitions", dropped);
    if (!rc && dropped)
        rc = compare_weeks(w, weeks, n, err);
    free(weeks);
    return rc;
}

/* ---- batches ---- */

static int delete_batch(work *w, const PGresult *ids, jm_err *err)
{
    int n = PQntuples(ids);
    int64_t counts[JM_COUNT(kinds)];
    jm_uuid first = jm_pg_get_uuid(ids, 0, 0), last = jm_pg_get_uuid(ids, n - 1, 0);
    jm_col col;
    jm_pg_args args;
    jm_col_init(&col, JM_COL_UUID);
    for (int i = 0; i < n; i++) {
        jm_uuid id = jm_pg_get_uuid(ids, i, 0);
        jm_col_add_uuid(&col, &id);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &col);
    jm_pg_arg_uuid(&args, &first);
    jm_pg_arg_uuid(&args, &last);
    jm_pg_call call = {.sql = &jm_sql_cleanup_delete, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    if (!rc) {
        read_counts(call.res, counts);
        add_counts(w, counts);
    }
    jm_pg_calls_clear(&call, 1);
    jm_col_fini(&col);
    return rc;
}

/* One batch above *after, which it moves on; *n: how many it was. */
static int take_batch(work *w, jm_uuid *after, int *n, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, after);
    jm_pg_arg_uuid(&args, &w->to_id);
    add_chosen(w, &args);
    jm_pg_arg_i64(&args, BATCH_JOBS);
    jm_pg_call call = {.sql = &jm_sql_cleanup_page, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    *n = rc ? 0 : PQntuples(call.res);
    if (*n) {
        rc = delete_batch(w, call.res, err);
        *after = jm_pg_get_uuid(call.res, *n - 1, 0);
    }
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static int delete_jobs(work *w, jm_err *err)
{
    jm_uuid after = first_id;
    int rc = JM_OK, n = BATCH_JOBS;
    while (!rc && n == BATCH_JOBS && goes_on(w))
        rc = take_batch(w, &after, &n, err);
    return rc;
}

/* Batch by batch, as long as they are full. */
static int delete_rows(work *w, const char *kind, const jm_sql *sql, jm_pg_args *args, jm_err *err)
{
    int rc = JM_OK;
    jm_pg_arg_i32(args, BATCH_ROWS);
    for (int64_t n = BATCH_ROWS; !rc && n == BATCH_ROWS && goes_on(w);) {
        rc = run_number(w, sql, args, &n, err);
        add_count(w, kind, n);
    }
    return rc;
}

static int delete_all(work *w, jm_err *err)
{
    jm_pg_args args;
    int rc = drop_weeks(w, err);
    rc = rc ? rc : delete_jobs(w, err);
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, w->before_us);
    jm_pg_arg_text(&args, w->how->project);
    if (!rc && takes_ticks(w))
        rc = delete_rows(w, "ticks", &jm_sql_cleanup_ticks, &args, err);
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, w->before_us);
    jm_pg_arg_bool(&args, w->how->open_dead);
    if (!rc && takes_dead(w))
        rc = delete_rows(w, "dead_letters", &jm_sql_cleanup_dead, &args, err);
    return rc;
}

/* ---- the whole ---- */

static int audit(work *w, const char *id, const char *action, json_t *what, jm_err *err)
{
    char *text = json_dumps(what, JSON_COMPACT);
    jm_audit_entry entry = {.object = "cleanup",
                            .object_id = id,
                            .project = w->how->project,
                            .action = action,
                            .after = text};
    int rc = jm_change_audit(w->pg, w->change, &entry, err);
    free(text);
    return rc;
}

/* A row of the audit log says what was asked before the first is gone, another one what went. */
static int delete_and_audit(work *w, jm_err *err)
{
    char id[JM_UUID_TEXT];
    jm_err ignored;
    jm_uuid run = jm_uuid7_new();
    jm_uuid_format(&run, id);
    json_t *asked =
        json_pack("{s:O, s:s?, s:s?, s:b, s:b}", "before", json_object_get(w->removed, "before"),
                  "project", w->how->project, "status", w->how->statuses, "jobs_only",
                  (int)w->how->jobs_only, "open_dead_letters", (int)w->how->open_dead);
    int rc = audit(w, id, "cleanup", asked, err);
    json_decref(asked);
    if (rc)
        return rc;
    rc = delete_all(w, err);
    if (!rc && w->stopped)
        rc = jm_err_set(err, JM_ERR_CLOSED,
                        "interrupted: what was removed before is gone, all else is as it was");
    int rc_audit = audit(w, id, "cleaned", w->removed, rc ? &ignored : err);
    return rc ? rc : rc_audit;
}

int jm_cleanup_run(jm_pg *pg, const jm_cleanup *cleanup, const jm_change *change, json_t **removed,
                   jm_err *err)
{
    work w = {.pg = pg,
              .how = cleanup,
              .change = change,
              .until_ms = jm_mono_ms() + cleanup->within_ms,
              .removed = json_object()};
    jm_col_init(&w.statuses, JM_COL_TEXT);
    json_object_set_new(w.removed, "before", json_null());
    add_counts(&w, (const int64_t[JM_COUNT(kinds)]){0});
    add_count(&w, "ticks", 0);
    add_count(&w, "dead_letters", 0);
    add_count(&w, "partitions", 0);
    json_object_set_new(w.removed, "more", json_false());
    json_object_set_new(w.removed, "dry_run", json_boolean(change->dry_run));
    jm_pg_set_timeout(pg, TIMEOUT_MS);
    int rc = read_bounds(&w, err);
    if (!rc)
        rc = change->dry_run ? count_all(&w, err) : delete_and_audit(&w, err);
    jm_pg_set_timeout(pg, TIMEOUT_DEFAULT_MS);
    jm_col_fini(&w.statuses);
    *removed = w.removed;
    return rc;
}
