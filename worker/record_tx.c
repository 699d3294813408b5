/* A batch of reports as one transaction: fenced updates of jobs with their steps, logs and
 * attempts.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/batch.h"
#include "worker/job_type.h"
#include "worker/record_priv.h"
#include "worker/searchable.h"

static const jm_col_type plain_types[] = {JM_COL_UUID, JM_COL_I32,  JM_COL_TS,    JM_COL_TS,
                                          JM_COL_I64,  JM_COL_TEXT, JM_COL_JSONB, JM_COL_TEXT};
static const jm_col_type completed_types[] = {JM_COL_UUID, JM_COL_I32, JM_COL_TS, JM_COL_I64,
                                              JM_COL_JSONB};
static const jm_col_type ended_types[] = {
    JM_COL_UUID,  JM_COL_I32,   JM_COL_TEXT, JM_COL_TS,  JM_COL_I64,   JM_COL_TEXT, JM_COL_JSONB,
    JM_COL_JSONB, JM_COL_JSONB, JM_COL_I64,  JM_COL_I64, JM_COL_I64,   JM_COL_TS,   JM_COL_TEXT,
    JM_COL_TS,    JM_COL_TEXT,  JM_COL_TEXT, JM_COL_I32, JM_COL_JSONB, JM_COL_I64};
static const jm_col_type step_types[] = {JM_COL_UUID,  JM_COL_I32,  JM_COL_TEXT, JM_COL_TEXT,
                                         JM_COL_JSONB, JM_COL_TEXT, JM_COL_I32,  JM_COL_TS,
                                         JM_COL_TS,    JM_COL_I64};
static const jm_col_type log_types[] = {JM_COL_UUID, JM_COL_I32,  JM_COL_TEXT, JM_COL_TS,
                                        JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB};

static const jm_col_type metadata_types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT};

/* The arrays of one statement; metadata is of record_ended alone. */
struct rows {
    jm_cols jobs, steps, logs, metadata;
    jm_uuid lo, hi; /* of the jobs */
};

static void rows_init(struct rows *rows, const jm_col_type *types, int n)
{
    jm_cols_init(&rows->jobs, types, n);
    jm_cols_init(&rows->steps, step_types, JM_COUNT(step_types));
    jm_cols_init(&rows->logs, log_types, JM_COUNT(log_types));
    jm_cols_init(&rows->metadata, metadata_types, JM_COUNT(metadata_types));
}

static void rows_fini(struct rows *rows)
{
    jm_cols_fini(&rows->jobs);
    jm_cols_fini(&rows->steps);
    jm_cols_fini(&rows->logs);
    jm_cols_fini(&rows->metadata);
}

static void widen(struct rows *rows, const jm_uuid *id)
{
    if (!rows->jobs.col[0].n || jm_uuid_cmp(id, &rows->lo) < 0)
        rows->lo = *id;
    if (!rows->jobs.col[0].n || jm_uuid_cmp(id, &rows->hi) > 0)
        rows->hi = *id;
}

int64_t jm_record_at(const jm_recorder *recorder, const jm_report *report, int64_t us)
{
    return report->from_spool ? us : jm_db_clock_at(recorder->options.clock, us);
}

static void add_json(jm_col *col, const char *json)
{
    jm_col_add_str(col, json);
}

static void add_steps(jm_recorder *recorder, struct rows *rows, const jm_report *report)
{
    for (int i = 0; i < report->n_steps; i++) {
        const jm_step_row *step = &report->steps[i];
        jm_col *c = rows->steps.col;
        jm_col_add_uuid(&c[0], &report->job->id);
        jm_col_add_i32(&c[1], step->seq);
        jm_col_add_str(&c[2], step->name);
        jm_col_add_str(&c[3], step->status);
        add_json(&c[4], step->data);
        jm_col_add_str(&c[5], step->error);
        jm_col_add_i32(&c[6], step->attempts);
        if (step->started_us)
            jm_col_add_ts(&c[7], jm_record_at(recorder, report, step->started_us));
        else
            jm_col_add_null(&c[7]);
        if (step->ended_us) {
            jm_col_add_ts(&c[8], jm_record_at(recorder, report, step->ended_us));
            jm_col_add_i64(&c[9], (step->ended_us - step->started_us) / 1000);
        } else {
            jm_col_add_null(&c[8]);
            jm_col_add_null(&c[9]);
        }
    }
}

static void add_logs(jm_recorder *recorder, struct rows *rows, const jm_report *report)
{
    static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    for (int i = 0; i < report->n_logs; i++) {
        const jm_log_row *log = &report->logs[i];
        jm_col *c = rows->logs.col;
        jm_col_add_uuid(&c[0], &report->job->id);
        jm_col_add_i32(&c[1], log->seq);
        jm_col_add_str(&c[2], log->step);
        jm_col_add_ts(&c[3], jm_record_at(recorder, report, log->at_us));
        jm_col_add_str(&c[4], levels[log->level]);
        jm_col_add_str(&c[5], log->message);
        add_json(&c[6], log->details);
    }
}

static void add_completed(jm_recorder *recorder, struct rows *rows, const jm_report *report)
{
    widen(rows, &report->job->id);
    jm_col_add_uuid(&rows->jobs.col[0], &report->job->id);
    jm_col_add_i32(&rows->jobs.col[1], report->job->attempt);
    jm_col_add_ts(&rows->jobs.col[2], jm_record_at(recorder, report, report->ended_us));
    jm_col_add_i64(&rows->jobs.col[3], (report->ended_us - report->started_us) / 1000);
    add_json(&rows->jobs.col[4], report->result);
    add_steps(recorder, rows, report);
    add_logs(recorder, rows, report);
}

static void add_plain(jm_recorder *recorder, struct rows *rows, const jm_report *report)
{
    const jm_step_row *step = &report->steps[0];
    jm_col *c = rows->jobs.col;
    widen(rows, &report->job->id);
    jm_col_add_uuid(&c[0], &report->job->id);
    jm_col_add_i32(&c[1], report->job->attempt);
    jm_col_add_ts(&c[2], jm_record_at(recorder, report, report->started_us));
    jm_col_add_ts(&c[3], jm_record_at(recorder, report, report->ended_us));
    jm_col_add_i64(&c[4], (report->ended_us - report->started_us) / 1000);
    jm_col_add_str(&c[5], step->name);
    add_json(&c[6], step->data);
    jm_col_add_str(&c[7], report->logs[0].message);
}

/* What each end means for the job and for job_attempts. */
static const struct {
    const char *status, *outcome;
} ends[] = {
    [JM_END_NONE] = {"running", NULL},
    [JM_END_COMPLETED] = {"completed", "completed"},
    [JM_END_FAILED] = {"failed", "failed"},
    [JM_END_RETRY] = {"pending", "retried"},
    [JM_END_CANCELLED] = {"cancelled", "cancelled"},
    [JM_END_RETURNED] = {"pending", "returned"},
};

static bool has_output(const jm_report *report)
{
    return report->out_text || report->err_text || report->output_files || report->return_code >= 0;
}

/* Outcome for job_attempts: every attempt that did not complete or has output; null: no row. */
static const char *outcome_of(const jm_report *report)
{
    if (report->end == JM_END_NONE || (report->end == JM_END_COMPLETED && !has_output(report)))
        return NULL;
    return report->reason ? report->reason : ends[report->end].outcome;
}

static void add_count(jm_col *col, int64_t v)
{
    if (v < 0)
        jm_col_add_null(col);
    else
        jm_col_add_i64(col, v);
}

static const char *const *searchable_of(const jm_report *report)
{
    const jm_job_type *type = report->job->job_type;
    return type ? (const char *const *)type->searchable : report->searchable;
}

static void add_ended(jm_recorder *recorder, struct rows *rows, const jm_report *report)
{
    jm_col *c = rows->jobs.col;
    bool running = report->end == JM_END_NONE;
    widen(rows, &report->job->id);
    jm_col_add_uuid(&c[0], &report->job->id);
    jm_col_add_i32(&c[1], report->job->attempt);
    jm_col_add_str(&c[2], ends[report->end].status);
    if (running) {
        jm_col_add_null(&c[3]);
        jm_col_add_null(&c[4]);
    } else {
        jm_col_add_ts(&c[3], jm_record_at(recorder, report, report->ended_us));
        jm_col_add_i64(&c[4], (report->ended_us - report->started_us) / 1000);
    }
    jm_col_add_str(&c[5], report->error);
    add_json(&c[6], report->result);
    add_json(&c[7], report->set_metadata);
    add_json(&c[8], report->progress);
    add_count(&c[9], report->items_total);
    add_count(&c[10], report->items_ok);
    add_count(&c[11], report->items_failed);
    if (report->end == JM_END_RETRY)
        jm_col_add_ts(&c[12],
                      jm_record_at(recorder, report, report->ended_us + report->retry_in_us));
    else
        jm_col_add_null(&c[12]);
    jm_col_add_str(&c[13], outcome_of(report));
    jm_col_add_ts(&c[14], jm_record_at(recorder, report, report->started_us));
    jm_col_add_str(&c[15], report->out_text);
    jm_col_add_str(&c[16], report->err_text);
    if (report->return_code >= 0)
        jm_col_add_i32(&c[17], report->return_code);
    else
        jm_col_add_null(&c[17]);
    add_json(&c[18], report->output_files);
    add_count(&c[19], report->output_files ? report->total_size : -1);
    if (report->set_metadata)
        jm_searchable_add_keys(rows->metadata.col, &report->job->id, searchable_of(report),
                               report->set_metadata, strlen(report->set_metadata));
    add_steps(recorder, rows, report);
    add_logs(recorder, rows, report);
}

/* Whether the short statement says all of it. */
static bool is_short(const jm_report *report)
{
    if (report->end != JM_END_COMPLETED || report->job->lock_token || has_output(report) ||
        report->set_metadata || report->progress || report->items_total >= 0 ||
        report->items_ok >= 0 || report->items_failed >= 0 || report->reason)
        return false;
    for (int i = 0; i < report->n_steps; i++)
        if (report->steps[i].update)
            return false;
    /* Earlier reports of the attempt may have written rows that a repeated insert would meet. */
    return !report->n_logs || report->logs[0].seq == 1;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

/* Whether a short report is one step, from the attempt's start to its end, and its one log row. */
static bool is_plain(const jm_report *report)
{
    const jm_step_row *step = report->steps;
    const jm_log_row *log = report->logs;
    return report->n_steps == 1 && report->n_logs == 1 && step->seq == 1 && step->attempts == 1 &&
           !step->error && step->started_us == report->started_us &&
           step->ended_us == report->ended_us && !strcmp(step->status, "success") &&
           same_text(step->data, report->result) && log->level == JM_INFO && !log->details &&
           log->at_us == report->ended_us && same_text(log->step, step->name);
}

/* ---- one transaction ---- */

static int by_job(const void *a, const void *b)
{
    return jm_uuid_cmp(&(*(jm_report *const *)a)->job->id, &(*(jm_report *const *)b)->job->id);
}

static void mark_passed(jm_record_group *g, int from, int to, const PGresult *res)
{
    int next = from; /* rows mostly come in the order of reports */
    for (int row = 0; res && row < PQntuples(res); row++) {
        jm_uuid id = jm_pg_get_uuid(res, row, 0);
        if (next >= to || jm_uuid_cmp(&g->reports[next]->job->id, &id) != 0) {
            jm_job job = {.id = id};
            jm_report key = {.job = &job}, *k = &key;
            jm_report **found =
                bsearch(&k, g->reports + from, (size_t)(to - from), sizeof *g->reports, by_job);
            if (!found)
                continue;
            next = (int)(found - g->reports);
        }
        if (PQnfields(res) > 2 && !PQgetisnull(res, row, 2))
            g->reports[next]->completed_us = jm_pg_get_ts(res, row, 2);
        g->passed[next++] = true;
    }
}

static void add_args(jm_pg_args *args, const jm_uuid *worker_id, struct rows *rows)
{
    jm_pg_args_init(args);
    jm_pg_arg_uuid(args, worker_id);
    jm_pg_arg_cols(args, &rows->jobs);
    jm_pg_arg_uuid(args, &rows->lo);
    jm_pg_arg_uuid(args, &rows->hi);
    jm_pg_arg_cols(args, &rows->steps);
    jm_pg_arg_cols(args, &rows->logs);
}

static jm_claim *claim_ended(const jm_report *report)
{
    return report->end == JM_END_NONE ? NULL : report->job->claim; /* NULL: not of this worker */
}

/* Claims whose last job is in reports from..to. */
static void add_claims(jm_record_group *g, int from, int to, jm_col *seqs)
{
    jm_claim *claim;
    for (int i = from; i < to; i++)
        if ((claim = claim_ended(g->reports[i])))
            claim->left--;
    for (int i = from; i < to; i++)
        if ((claim = claim_ended(g->reports[i])) && claim->left == 0) {
            for (int k = 0; k < claim->n_seqs; k++)
                jm_col_add_i64(seqs, claim->seq + k);
            claim->left = -1; /* once */
        }
    for (int i = from; i < to; i++) /* as it was: the transaction may fail */
        if ((claim = claim_ended(g->reports[i])))
            claim->left = claim->left < 0 ? 1 : claim->left + 1;
}

/* Ids of jobs in reports from..to, in order, that have ended and held a lock. */
static void add_locked(jm_record_group *g, int from, int to, jm_col *ids)
{
    for (int i = from; i < to; i++)
        if (g->reports[i]->end != JM_END_NONE && g->reports[i]->job->lock_token)
            jm_col_add_uuid(ids, &g->reports[i]->job->id);
}

/* Jobs of these queues have been woken by the end of others. */
static void tell_woken(const jm_recorder *recorder, const PGresult *res)
{
    for (int row = 0; row < PQntuples(res); row++)
        recorder->options.queue_ready(recorder->options.ctx, jm_pg_get_text(res, row, 0, NULL));
}

static int try_range(jm_record_group *g, int from, int to, jm_err *err)
{
    struct rows plain, completed, ended;
    jm_col seqs, locked;
    rows_init(&plain, plain_types, JM_COUNT(plain_types));
    rows_init(&completed, completed_types, JM_COUNT(completed_types));
    rows_init(&ended, ended_types, JM_COUNT(ended_types));
    jm_col_init(&seqs, JM_COL_I64);
    jm_col_init(&locked, JM_COL_UUID);
    add_locked(g, from, to, &locked);
    for (int i = from; i < to; i++) {
        if (is_short(g->reports[i]) && is_plain(g->reports[i]))
            add_plain(g->recorder, &plain, g->reports[i]);
        else if (is_short(g->reports[i]))
            add_completed(g->recorder, &completed, g->reports[i]);
        else
            add_ended(g->recorder, &ended, g->reports[i]);
    }
    add_claims(g, from, to, &seqs);
    jm_pg_args args[6];
    jm_pg_call calls[6];
    int n = 0;
    if (locked.n) {
        jm_pg_args_init(&args[n]);
        jm_pg_arg_col(&args[n], &locked);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_hold, .args = &args[n]};
        n++;
    }
    int first_result = n;
    if (plain.jobs.col[0].n) {
        jm_pg_args_init(&args[n]);
        jm_pg_arg_uuid(&args[n], g->worker_id);
        jm_pg_arg_cols(&args[n], &plain.jobs);
        jm_pg_arg_uuid(&args[n], &plain.lo);
        jm_pg_arg_uuid(&args[n], &plain.hi);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_plain, .args = &args[n], .binary = true};
        n++;
    }
    if (completed.jobs.col[0].n) {
        add_args(&args[n], g->worker_id, &completed);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_completed, .args = &args[n], .binary = true};
        n++;
    }
    if (ended.jobs.col[0].n) {
        add_args(&args[n], g->worker_id, &ended);
        jm_pg_arg_cols(&args[n], &ended.metadata);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_ended, .args = &args[n], .binary = true};
        n++;
    }
    int n_results = n;
    if (locked.n) {
        jm_pg_args_init(&args[n]);
        jm_pg_arg_col(&args[n], &locked);
        jm_pg_arg_uuid(&args[n], &ended.lo);
        jm_pg_arg_uuid(&args[n], &ended.hi);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_release, .args = &args[n], .binary = true};
        n++;
    }
    if (seqs.n) {
        jm_pg_args_init(&args[n]);
        jm_pg_arg_uuid(&args[n], g->worker_id);
        jm_pg_arg_col(&args[n], &seqs);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_unclaim, .args = &args[n], .binary = true};
        n++;
    }
    int64_t since_us = jm_mono_us();
    int rc = jm_pg_run(g->recorder->pg, calls, n, err);
    if (!rc)
        jm_meters_transaction(g->recorder->options.meters, JM_TX_RECORD, to - from, since_us);
    if (!rc && locked.n)
        tell_woken(g->recorder, calls[n_results].res);
    for (int i = first_result; i < n_results && !rc; i++) {
        mark_passed(g, from, to, calls[i].res);
        jm_dependents_add_rows(&g->recorder->dependents, calls[i].res, 1);
    }
    if (!rc)
        jm_pg_calls_clear(calls, n);
    rows_fini(&plain);
    rows_fini(&completed);
    rows_fini(&ended);
    jm_col_fini(&seqs);
    jm_col_fini(&locked);
    return rc;
}

/* PostgreSQL will not have what this report carries: the job fails with that as its error, and
 * without what was refused. */
static void strip(jm_report *report, const jm_err *err)
{
    char id[JM_UUID_TEXT];
    jm_uuid_format(&report->job->id, id);
    jm_log_kv(JM_ERROR, "record", "PostgreSQL refused what a job reported", "job_id", id, "why",
              err->msg, NULL);
    if (!report->arena)
        report->arena = jm_arena_new(1024);
    char text[600];
    snprintf(text, sizeof text, "its report was refused by PostgreSQL: %s", err->msg);
    if (report->end == JM_END_COMPLETED)
        report->end = JM_END_FAILED;
    report->error = report->end == JM_END_NONE ? NULL : jm_arena_strdup(report->arena, text);
    report->reason = NULL;
    report->n_steps = report->n_logs = 0;
    report->result = report->set_metadata = report->progress = NULL;
    report->items_total = report->items_ok = report->items_failed = -1;
    report->out_text = report->err_text = report->output_files = NULL;
}

static void set_done(jm_record_group *g, int from, int to)
{
    for (int i = from; i < to; i++)
        g->done[i] = true;
}

/* Records reports from..to in one transaction, or in halves where PostgreSQL refuses something,
 * down to the report it refuses. false: the database is away, or does not want it now. */
static bool record_range(jm_record_group *g, int from, int to)
{
    for (int stripped = 0;;) {
        jm_err err = {0};
        int rc = try_range(g, from, to, &err);
        if (rc == JM_OK) {
            set_done(g, from, to);
            return true;
        }
        if (rc == JM_ERR_DB_DOWN || !jm_pg_is_up(g->recorder->pg))
            g->recorder->in_doubt = true;
        if (rc == JM_ERR_DB_DOWN || !jm_pg_is_up(g->recorder->pg) || err.retriable)
            return false;
        if (to - from > 1) {
            int mid = from + (to - from) / 2;
            return record_range(g, from, mid) && record_range(g, mid, to);
        }
        if (stripped++) {
            jm_log_kv(JM_ERROR, "record",
                      "an outcome cannot be recorded; the lease's end will settle the job", "why",
                      err.msg, NULL);
            set_done(g, from, to);
            return true;
        }
        strip(g->reports[from], &err);
    }
}

/* The repeated transaction found nothing to do for jobs that the commit of the lost answer had
 * ended: those that were not superseded. They count, and are told, as if they had passed now. */
static void settle_doubt(jm_record_group *g, const PGresult *superseded)
{
    bool *again = jm_calloc((size_t)g->n, sizeof *again), *passed = g->passed;
    g->passed = again;
    mark_passed(g, 0, g->n, superseded);
    g->passed = passed;
    for (int i = 0; i < g->n; i++)
        passed[i] = passed[i] || (g->done[i] && !again[i] && g->reports[i]->end != JM_END_NONE);
    free(again);
}

/* What did not pass the fence: kept as superseded, unless it was recorded by a commit whose answer
 * was lost. */
static bool record_superseded(jm_record_group *g)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_I32,  JM_COL_TS,   JM_COL_TS,
                                        JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_I32};
    struct rows rows;
    rows_init(&rows, types, JM_COUNT(types));
    for (int i = 0; i < g->n; i++) {
        const jm_report *report = g->reports[i];
        if (!g->done[i] || g->passed[i] || report->end == JM_END_NONE)
            continue;
        widen(&rows, &report->job->id);
        jm_col_add_uuid(&rows.jobs.col[0], &report->job->id);
        jm_col_add_i32(&rows.jobs.col[1], report->job->attempt);
        jm_col_add_ts(&rows.jobs.col[2], jm_record_at(g->recorder, report, report->started_us));
        jm_col_add_ts(&rows.jobs.col[3], jm_record_at(g->recorder, report, report->ended_us));
        jm_col_add_str(&rows.jobs.col[4], report->error);
        jm_col_add_str(&rows.jobs.col[5], report->out_text);
        jm_col_add_str(&rows.jobs.col[6], report->err_text);
        jm_col_add_i32(&rows.jobs.col[7], report->return_code);
    }
    bool all = true;
    if (rows.jobs.col[0].n) {
        jm_err err = {0};
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_uuid(&args, g->worker_id);
        jm_pg_arg_cols(&args, &rows.jobs);
        jm_pg_arg_uuid(&args, &rows.lo);
        jm_pg_arg_uuid(&args, &rows.hi);
        jm_pg_call call = {.sql = &jm_sql_record_superseded, .args = &args, .binary = true};
        int rc = jm_pg_run(g->recorder->pg, &call, 1, &err);
        all = rc != JM_ERR_DB_DOWN && !err.retriable;
        if (rc && all)
            jm_log_kv(JM_ERROR, "record", "superseded attempts were not kept", "why", err.msg,
                      NULL);
        else if (!rc && PQntuples(call.res)) {
            atomic_fetch_add(&g->recorder->counts.superseded, PQntuples(call.res));
            jm_logf(JM_WARNING, "record",
                    "%d attempts were superseded: their worker had been found lost",
                    PQntuples(call.res));
        }
        if (!rc && g->recorder->in_doubt)
            settle_doubt(g, call.res);
        PQclear(call.res);
    }
    rows_fini(&rows);
    return all;
}

/* Those that must be tried again: their superseded attempts could not be kept. */
static void undo_unpassed(jm_record_group *g)
{
    for (int i = 0; i < g->n; i++)
        g->done[i] = g->done[i] && (g->passed[i] || g->reports[i]->end == JM_END_NONE);
}

bool jm_record_group_run(jm_record_group *g)
{
    qsort(g->reports, (size_t)g->n, sizeof *g->reports, by_job);
    memset(g->passed, 0, (size_t)g->n * sizeof *g->passed);
    memset(g->done, 0, (size_t)g->n * sizeof *g->done);
    bool all = record_range(g, 0, g->n);
    bool fenced = false;
    for (int i = 0; i < g->n && !fenced; i++)
        fenced = g->done[i] && !g->passed[i] && g->reports[i]->end != JM_END_NONE;
    if (fenced && !record_superseded(g)) {
        undo_unpassed(g);
        g->recorder->in_doubt = false; /* superseded ones are not told from others any more */
        return false;
    }
    if (all)
        g->recorder->in_doubt = false;
    return all;
}
