/* Due schedules: what is decided about locked rows, and the writing of it. */
#include "producer/dues.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/job.h"
#include "common/mem.h"
#include "producer/tx.h"

enum {
    MAX_TICKS = 64, /* of one schedule in one transaction; the rest comes with the next */
    CANCEL_DAYS = 8 /* older jobs are not looked at when those of a schedule are cancelled */
};

struct jm_dues {
    jm_arena *arena; /* of one batch */
    jm_due *due;
    size_t n, cap;
    jm_ledger *ledger;
    jm_calendar_cache *calendars;
    jm_uuid *cancelled; /* jobs that run and are to stop; in the arena */
    size_t n_cancelled;
};

jm_dues *jm_dues_new(void)
{
    jm_dues *dues = jm_calloc(1, sizeof *dues);
    dues->arena = jm_arena_new(0);
    dues->ledger = jm_ledger_new();
    dues->calendars = jm_calendar_cache_new();
    return dues;
}

void jm_dues_free(jm_dues *dues)
{
    if (!dues)
        return;
    jm_arena_free(dues->arena);
    jm_ledger_free(dues->ledger);
    jm_calendar_cache_free(dues->calendars);
    free(dues->due);
    free(dues);
}

void jm_dues_reset(jm_dues *dues)
{
    jm_arena_free(dues->arena);
    dues->arena = jm_arena_new(0);
    dues->n = dues->n_cancelled = 0;
    jm_ledger_reset(dues->ledger);
}

size_t jm_dues_count(const jm_dues *dues)
{
    return dues->n;
}

jm_due *jm_dues_at(jm_dues *dues, size_t i)
{
    return &dues->due[i];
}

/* ---- reading ---- */

static int read_row(const jm_dues *dues, const jm_schedule_columns *columns, const PGresult *res,
                    int row, jm_zone_cache *zones, jm_due *due, jm_err *err)
{
    int last_col = PQfnumber(res, "last_job_id"), until_col = PQfnumber(res, "decided_until");
    *due = (jm_due){.now_us = jm_pg_get_ts(res, row, PQfnumber(res, "clock")),
                    .has_last_job = !PQgetisnull(res, row, last_col),
                    .last_job_id = jm_pg_get_uuid(res, row, last_col)};
    if (until_col >= 0 && !PQgetisnull(res, row, until_col))
        due->decided_until_us = jm_pg_get_ts(res, row, until_col);
    int rc = jm_schedule_from_row(columns, res, row, dues->arena, &due->schedule, err);
    return rc ? rc : jm_schedule_resolve(&due->schedule, zones, err);
}

void jm_dues_read(jm_dues *dues, const PGresult *res, jm_zone_cache *zones,
                  jm_dues_refused *refused, void *ctx)
{
    int n = PQntuples(res);
    jm_schedule_columns columns;
    jm_err err = {0};
    jm_schedule_columns_init(&columns, res);
    if (dues->cap < (size_t)n) {
        dues->cap = (size_t)n;
        dues->due = jm_realloc(dues->due, dues->cap * sizeof *dues->due);
    }
    for (int row = 0; row < n; row++) {
        jm_due *due = &dues->due[dues->n];
        if (read_row(dues, &columns, res, row, zones, due, &err))
            refused(ctx, &due->schedule, &err);
        else
            dues->n++;
    }
}

/* ---- calendars ---- */

int jm_dues_read_calendars(jm_dues *dues, jm_pg *pg, jm_dues_refused *refused, void *ctx,
                           jm_err *err)
{
    const char **projects = jm_arena_alloc(dues->arena, dues->n * sizeof *projects);
    const char **names = jm_arena_alloc(dues->arena, dues->n * sizeof *names);
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < dues->n; i++) {
        const jm_schedule *s = &dues->due[i].schedule;
        if (s->calendar) {
            projects[n] = s->project;
            names[n++] = s->calendar;
        }
    }
    int rc = jm_calendar_cache_refresh(dues->calendars, pg, projects, names, n, err);
    for (size_t i = 0; !rc && i < dues->n; i++) {
        jm_schedule *s = &dues->due[i].schedule;
        jm_err wrong;
        if (s->calendar &&
            jm_calendar_cache_get(dues->calendars, s->project, s->calendar, &s->days, &wrong))
            refused(ctx, s, &wrong);
        else
            dues->due[kept++] = dues->due[i];
    }
    if (!rc)
        dues->n = kept;
    return rc;
}

/* ---- deciding ---- */

static void take_open(jm_due *due, const PGresult *res, int row)
{
    due->open_jobs = jm_pg_get_i32(res, row, 1);
    due->last_is_open = jm_pg_get_bool(res, row, 2);
}

/* Counts unfinished jobs, for the schedules whose policy asks. */
static int count_open(jm_dues *dues, jm_pg *pg, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_UUID, JM_COL_I32};
    jm_cols cols;
    jm_cols_init(&cols, types, JM_COUNT(types));
    for (size_t i = 0; i < dues->n; i++) {
        const jm_due *due = &dues->due[i];
        if (due->schedule.overlap != JM_OVERLAP_SKIP)
            continue;
        jm_col_add_uuid(&cols.col[0], &due->schedule.id);
        jm_col_add_uuid(&cols.col[1], due->has_last_job ? &due->last_job_id : NULL);
        jm_col_add_i32(&cols.col[2], due->schedule.max_instances);
    }
    int rc = JM_OK;
    if (cols.col[0].n) {
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_cols(&args, &cols);
        jm_pg_call call = {.sql = &jm_sql_scheduler_open, .args = &args, .binary = true};
        rc = jm_pg_run(pg, &call, 1, err);
        /* unnest keeps the order in which they were given */
        for (int i = 0, row = 0; !rc && i < (int)dues->n; i++)
            if (dues->due[i].schedule.overlap == JM_OVERLAP_SKIP)
                take_open(&dues->due[i], call.res, row++);
        jm_pg_calls_clear(&call, 1);
    }
    jm_cols_fini(&cols);
    return rc;
}

static void decide_one(jm_dues *dues, jm_due *due)
{
    jm_tick ticks[MAX_TICKS];
    const jm_schedule *s = &due->schedule;
    jm_tick_policy_decide(s, due->now_us, due->open_jobs, ticks, MAX_TICKS, &due->n_entries,
                          &due->next_run_us, &due->next_skip_us);
    for (size_t k = 0; k < due->n_entries; k++) {
        jm_ledger_entry entry = {.schedule = s,
                                 .tick = ticks[k],
                                 .now_us = due->now_us,
                                 .start_us =
                                     ticks[k].due_us + jm_schedule_jitter_us(s, ticks[k].due_us),
                                 .submitted_by = "schedule",
                                 .lock = jm_schedule_is_serial(s)};
        size_t i = jm_ledger_add(dues->ledger, &entry);
        if (!k)
            due->first_entry = i;
    }
}

int jm_dues_decide(jm_dues *dues, jm_pg *pg, jm_err *err)
{
    if (!dues->n)
        return JM_OK;
    int rc = count_open(dues, pg, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < dues->n; i++)
        decide_one(dues, &dues->due[i]);
    return jm_ledger_write(dues->ledger, pg, err);
}

/* ---- writing ---- */

enum { A_ID, A_NEXT, A_SKIP, A_LAST_RUN, A_LAST_JOB, A_SKIPPED, N_ADVANCE_COLS };

/* Whether an instant that did not fire counts as a run that was left out. */
static bool is_left_out(const jm_tick *tick)
{
    return tick->outcome != JM_TICK_FIRED &&
           (!tick->reason || strcmp(tick->reason, JM_TICK_CALENDAR_REASON) != 0);
}

static void add_advance(const jm_dues *dues, jm_col *cols, const jm_due *due)
{
    int64_t last_run_us = 0, skipped = 0;
    const jm_uuid *last_job = NULL;
    for (size_t i = due->first_entry; i < due->first_entry + due->n_entries; i++) {
        const jm_tick *tick = jm_ledger_tick(dues->ledger, i);
        const jm_uuid *job = jm_ledger_job(dues->ledger, i);
        if (is_left_out(tick))
            skipped += tick->count;
        if (job) {
            last_run_us = tick->due_us;
            last_job = job;
        }
    }
    jm_col_add_uuid(&cols[A_ID], &due->schedule.id);
    jm_col_add_time(&cols[A_NEXT], due->next_run_us);
    jm_col_add_time(&cols[A_SKIP], due->next_skip_us);
    jm_col_add_time(&cols[A_LAST_RUN], last_run_us);
    jm_col_add_uuid(&cols[A_LAST_JOB], last_job);
    jm_col_add_i64(&cols[A_SKIPPED], skipped);
}

static void fill_advance(const jm_dues *dues, jm_cols *cols, jm_pg_args *args)
{
    static const jm_col_type types[N_ADVANCE_COLS] = {JM_COL_UUID, JM_COL_TS,   JM_COL_TS,
                                                      JM_COL_TS,   JM_COL_UUID, JM_COL_I64};
    jm_cols_init(cols, types, N_ADVANCE_COLS);
    for (size_t i = 0; i < dues->n; i++)
        add_advance(dues, cols->col, &dues->due[i]);
    jm_pg_args_init(args);
    jm_pg_arg_cols(args, cols);
}

static bool has_fired(const jm_dues *dues, const jm_due *due)
{
    for (size_t i = due->first_entry; i < due->first_entry + due->n_entries; i++)
        if (jm_ledger_job(dues->ledger, i))
            return true;
    return false;
}

static jm_uuid oldest_id(const jm_dues *dues)
{
    return jm_uuid7_floor(dues->due[0].now_us / 1000 - CANCEL_DAYS * INT64_C(86400000));
}

/* Schedules whose new jobs take the place of older ones. Returns whether there are any. */
static bool fill_cancel(const jm_dues *dues, jm_cols *cols, jm_pg_args *args, jm_uuid *oldest)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_I32};
    jm_cols_init(cols, types, JM_COUNT(types));
    for (size_t i = 0; i < dues->n; i++) {
        const jm_due *due = &dues->due[i];
        if (due->schedule.overlap != JM_OVERLAP_CANCEL_RUNNING || !has_fired(dues, due))
            continue;
        jm_col_add_uuid(&cols->col[0], &due->schedule.id);
        jm_col_add_i32(&cols->col[1], due->schedule.max_instances);
    }
    *oldest = oldest_id(dues);
    jm_pg_args_init(args);
    jm_pg_arg_cols(args, cols);
    jm_pg_arg_uuid(args, oldest);
    return cols->col[0].n > 0;
}

/* Unfinished jobs that will not be the last of their schedule; counted where the policy asks.
 * Returns whether there are any. */
static bool fill_displaced(const jm_dues *dues, jm_cols *cols, jm_pg_args *args)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_UUID};
    jm_cols_init(cols, types, JM_COUNT(types));
    for (size_t i = 0; i < dues->n; i++) {
        const jm_due *due = &dues->due[i];
        const jm_uuid *last = due->last_is_open ? &due->last_job_id : NULL;
        if (due->schedule.overlap != JM_OVERLAP_SKIP)
            continue;
        for (size_t k = due->first_entry; k < due->first_entry + due->n_entries; k++) {
            const jm_uuid *job = jm_ledger_job(dues->ledger, k);
            if (job && last) {
                jm_col_add_uuid(&cols->col[0], &due->schedule.id);
                jm_col_add_uuid(&cols->col[1], last);
            }
            last = job ? job : last;
        }
    }
    jm_pg_args_init(args);
    jm_pg_arg_cols(args, cols);
    return cols->col[0].n > 0;
}

static void keep_cancelled(jm_dues *dues, const PGresult *res)
{
    int n = PQntuples(res);
    dues->cancelled = jm_arena_alloc(dues->arena, (size_t)n * sizeof *dues->cancelled);
    dues->n_cancelled = (size_t)n;
    for (int row = 0; row < n; row++)
        dues->cancelled[row] = jm_pg_get_uuid(res, row, 0);
}

int jm_dues_write(jm_dues *dues, jm_pg *pg, bool commit, jm_chain *items, jm_err *err)
{
    jm_cols advance, cancel, displaced;
    jm_pg_args advance_args, cancel_args, displaced_args;
    jm_pg_call calls[5];
    jm_uuid oldest;
    int n = 0, cancels = -1;
    if (!dues->n)
        return JM_OK;
    n += jm_ledger_jobs(dues->ledger, items, &calls[n]);
    if (fill_cancel(dues, &cancel, &cancel_args, &oldest)) {
        cancels = n;
        calls[n++] =
            (jm_pg_call){.sql = &jm_sql_scheduler_cancel, .args = &cancel_args, .binary = true};
    }
    if (fill_displaced(dues, &displaced, &displaced_args))
        calls[n++] = (jm_pg_call){.sql = &jm_sql_scheduler_displace, .args = &displaced_args};
    fill_advance(dues, &advance, &advance_args);
    calls[n++] = (jm_pg_call){.sql = &jm_sql_scheduler_advance, .args = &advance_args};
    if (commit)
        calls[n++] = (jm_pg_call){.sql = &jm_tx_commit};
    int rc = jm_pg_run(pg, calls, n, err);
    if (!rc && cancels >= 0)
        keep_cancelled(dues, calls[cancels].res);
    jm_pg_calls_clear(calls, rc ? 0 : n);
    jm_cols_fini(&advance);
    jm_cols_fini(&cancel);
    jm_cols_fini(&displaced);
    return rc;
}

/* ---- afterwards ---- */

void jm_dues_tally(const jm_dues *dues, uint64_t counts[JM_TICK_COALESCED + 1])
{
    for (size_t i = 0; i < dues->n; i++) {
        const jm_due *due = &dues->due[i];
        for (size_t k = 0; k < due->n_entries; k++) {
            const jm_tick *tick = jm_ledger_tick(dues->ledger, due->first_entry + k);
            counts[tick->outcome] += (uint64_t)tick->count;
        }
    }
}

void jm_dues_each_job(const jm_dues *dues, void (*each)(void *ctx, const jm_schedule *schedule),
                      void *ctx)
{
    for (size_t i = 0; i < dues->n; i++) {
        const jm_due *due = &dues->due[i];
        for (size_t k = 0; k < due->n_entries; k++)
            if (jm_ledger_job(dues->ledger, due->first_entry + k))
                each(ctx, &due->schedule);
    }
}

/* Whether jobs of a schedule start from the database. */
static bool is_ready(const jm_schedule *s)
{
    return s->priority != JM_PRIORITY_DEFAULT || s->exclusive || jm_schedule_is_serial(s);
}

void jm_dues_tell(const jm_dues *dues, void (*tell)(void *ctx, const char *payload), void *ctx)
{
    const char *told = NULL;
    char payload[80], id[JM_UUID_TEXT];
    for (size_t i = 0; i < dues->n; i++) { /* neighbours once */
        const jm_schedule *s = &dues->due[i].schedule;
        if (!is_ready(s) || (told && !strcmp(told, s->queue)))
            continue;
        snprintf(payload, sizeof payload, "ready %s", s->queue);
        tell(ctx, payload);
        told = s->queue;
    }
    for (size_t i = 0; i < dues->n_cancelled; i++) {
        jm_uuid_format(&dues->cancelled[i], id);
        snprintf(payload, sizeof payload, "cancel %s", id);
        tell(ctx, payload);
    }
}
