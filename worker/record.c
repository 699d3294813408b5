/* Record: reports become rows, fenced, a batch a transaction. */
#include "worker/record.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/dependents.h"
#include "common/log.h"
#include "worker/batch.h"
#include "worker/job_type.h"
#include "worker/outcome.h"
#include "worker/searchable.h"

struct jm_recorder {
    jm_record_options options;
    jm_pg *pg;
    jm_queue *queue;
    pthread_t thread;
    bool started_thread;
    _Atomic int64_t give_up_ms; /* monotonic; INT64_MAX: never */
    _Atomic int unrecorded;
    jm_record_counts counts;
    jm_dependents dependents; /* of jobs that have been recorded as ended */
};

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

static int64_t at(const jm_recorder *recorder, int64_t mono_us)
{
    return jm_db_clock_at(recorder->options.clock, mono_us);
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
            jm_col_add_ts(&c[7], at(recorder, step->started_us));
        else
            jm_col_add_null(&c[7]);
        if (step->ended_us) {
            jm_col_add_ts(&c[8], at(recorder, step->ended_us));
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
        jm_col_add_ts(&c[3], at(recorder, log->at_us));
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
    jm_col_add_ts(&rows->jobs.col[2], at(recorder, report->ended_us));
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
    jm_col_add_ts(&c[2], at(recorder, report->started_us));
    jm_col_add_ts(&c[3], at(recorder, report->ended_us));
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
        jm_col_add_ts(&c[3], at(recorder, report->ended_us));
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
        jm_col_add_ts(&c[12], at(recorder, report->ended_us + report->retry_in_us));
    else
        jm_col_add_null(&c[12]);
    jm_col_add_str(&c[13], outcome_of(report));
    jm_col_add_ts(&c[14], at(recorder, report->started_us));
    jm_col_add_str(&c[15], report->out_text);
    jm_col_add_str(&c[16], report->err_text);
    if (report->return_code >= 0)
        jm_col_add_i32(&c[17], report->return_code);
    else
        jm_col_add_null(&c[17]);
    add_json(&c[18], report->output_files);
    add_count(&c[19], report->output_files ? report->total_size : -1);
    if (report->set_metadata)
        jm_searchable_add(rows->metadata.col, &report->job->id, report->job->job_type,
                          report->set_metadata, strlen(report->set_metadata));
    add_steps(recorder, rows, report);
    add_logs(recorder, rows, report);
}

/* Whether the short statement says all of it. */
static bool is_short(const jm_report *report)
{
    if (report->end != JM_END_COMPLETED || has_output(report) || report->set_metadata ||
        report->progress || report->items_total >= 0 || report->items_ok >= 0 ||
        report->items_failed >= 0 || report->reason)
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

/* Reports of distinct jobs, in the order of their ids. */
struct group {
    jm_recorder *recorder;
    jm_report **reports;
    bool *passed; /* of each: its job passed the fence */
    int n;
};

static int by_job(const void *a, const void *b)
{
    return jm_uuid_cmp(&(*(jm_report *const *)a)->job->id, &(*(jm_report *const *)b)->job->id);
}

static void mark_passed(struct group *g, int from, int to, const PGresult *res)
{
    for (int row = 0; res && row < PQntuples(res); row++) {
        jm_uuid id = jm_pg_get_uuid(res, row, 0);
        jm_job job = {.id = id};
        jm_report key = {.job = &job}, *k = &key;
        jm_report **found =
            bsearch(&k, g->reports + from, (size_t)(to - from), sizeof *g->reports, by_job);
        if (found)
            g->passed[found - g->reports] = true;
    }
}

static void add_args(jm_pg_args *args, jm_recorder *recorder, struct rows *rows)
{
    jm_pg_args_init(args);
    jm_pg_arg_uuid(args, &recorder->options.worker_id);
    jm_pg_arg_cols(args, &rows->jobs);
    jm_pg_arg_uuid(args, &rows->lo);
    jm_pg_arg_uuid(args, &rows->hi);
    jm_pg_arg_cols(args, &rows->steps);
    jm_pg_arg_cols(args, &rows->logs);
}

/* Claims whose last job is in reports from..to. */
static void add_claims(struct group *g, int from, int to, jm_col *seqs)
{
    for (int i = from; i < to; i++)
        if (g->reports[i]->end != JM_END_NONE)
            g->reports[i]->job->claim->left--;
    for (int i = from; i < to; i++)
        if (g->reports[i]->end != JM_END_NONE && g->reports[i]->job->claim->left == 0) {
            jm_claim *claim = g->reports[i]->job->claim;
            for (int k = 0; k < claim->n_seqs; k++)
                jm_col_add_i64(seqs, claim->seq + k);
            claim->left = -1; /* once */
        }
    for (int i = from; i < to; i++) /* as it was: the transaction may fail */
        if (g->reports[i]->end != JM_END_NONE) {
            jm_claim *claim = g->reports[i]->job->claim;
            claim->left = claim->left < 0 ? 1 : claim->left + 1;
        }
}

static int try_range(struct group *g, int from, int to, jm_err *err)
{
    struct rows plain, completed, ended;
    jm_col seqs;
    rows_init(&plain, plain_types, JM_COUNT(plain_types));
    rows_init(&completed, completed_types, JM_COUNT(completed_types));
    rows_init(&ended, ended_types, JM_COUNT(ended_types));
    jm_col_init(&seqs, JM_COL_I64);
    for (int i = from; i < to; i++) {
        if (is_short(g->reports[i]) && is_plain(g->reports[i]))
            add_plain(g->recorder, &plain, g->reports[i]);
        else if (is_short(g->reports[i]))
            add_completed(g->recorder, &completed, g->reports[i]);
        else
            add_ended(g->recorder, &ended, g->reports[i]);
    }
    add_claims(g, from, to, &seqs);
    jm_pg_args args[4];
    jm_pg_call calls[4];
    int n = 0;
    if (plain.jobs.col[0].n) {
        jm_pg_args_init(&args[n]);
        jm_pg_arg_uuid(&args[n], &g->recorder->options.worker_id);
        jm_pg_arg_cols(&args[n], &plain.jobs);
        jm_pg_arg_uuid(&args[n], &plain.lo);
        jm_pg_arg_uuid(&args[n], &plain.hi);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_plain, .args = &args[n], .binary = true};
        n++;
    }
    if (completed.jobs.col[0].n) {
        add_args(&args[n], g->recorder, &completed);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_completed, .args = &args[n], .binary = true};
        n++;
    }
    if (ended.jobs.col[0].n) {
        add_args(&args[n], g->recorder, &ended);
        jm_pg_arg_cols(&args[n], &ended.metadata);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_ended, .args = &args[n], .binary = true};
        n++;
    }
    int n_results = n;
    if (seqs.n) {
        jm_pg_args_init(&args[n]);
        jm_pg_arg_uuid(&args[n], &g->recorder->options.worker_id);
        jm_pg_arg_col(&args[n], &seqs);
        calls[n] = (jm_pg_call){.sql = &jm_sql_record_unclaim, .args = &args[n], .binary = true};
        n++;
    }
    int64_t since_us = jm_mono_us();
    int rc = jm_pg_run(g->recorder->pg, calls, n, err);
    if (!rc)
        jm_meters_transaction(g->recorder->options.meters, JM_TX_RECORD, to - from, since_us);
    for (int i = 0; i < n_results && !rc; i++) {
        mark_passed(g, from, to, calls[i].res);
        jm_dependents_add_rows(&g->recorder->dependents, calls[i].res, 1);
    }
    if (!rc)
        jm_pg_calls_clear(calls, n);
    rows_fini(&plain);
    rows_fini(&completed);
    rows_fini(&ended);
    jm_col_fini(&seqs);
    return rc;
}

/* false when there is no more time to wait. */
static bool wait_db(jm_recorder *recorder)
{
    jm_err err;
    while (jm_pg_ensure(recorder->pg, &err)) {
        if (jm_mono_ms() >= atomic_load(&recorder->give_up_ms))
            return false;
        int ms = jm_pg_retry_in_ms(recorder->pg);
        jm_pulse_beat(recorder->options.pulse);
        struct timespec ts = {.tv_nsec = (ms < 50 ? ms + 1 : 50) * 1000000L};
        nanosleep(&ts, NULL);
    }
    return jm_mono_ms() < atomic_load(&recorder->give_up_ms);
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

/* Records reports from..to in one transaction, or in halves where PostgreSQL refuses something,
 * down to the report it refuses. false: gave up waiting for the database. */
static bool record_range(struct group *g, int from, int to)
{
    for (int stripped = 0;;) {
        jm_err err = {0};
        if (!wait_db(g->recorder))
            return false;
        int rc = try_range(g, from, to, &err);
        if (rc == JM_OK)
            return true;
        if (rc == JM_ERR_DB_DOWN || !jm_pg_is_up(g->recorder->pg) || err.retriable)
            continue;
        if (to - from > 1) {
            int mid = from + (to - from) / 2;
            return record_range(g, from, mid) && record_range(g, mid, to);
        }
        if (stripped++) {
            jm_log_kv(JM_ERROR, "record",
                      "an outcome cannot be recorded; the lease's end will settle the job", "why",
                      err.msg, NULL);
            return true;
        }
        strip(g->reports[from], &err);
    }
}

/* What did not pass the fence: kept as superseded, unless it was recorded by a commit whose answer
 * we lost. */
static bool record_superseded(struct group *g)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_I32,  JM_COL_TS,   JM_COL_TS,
                                        JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_I32};
    struct rows rows;
    rows_init(&rows, types, JM_COUNT(types));
    for (int i = 0; i < g->n; i++) {
        const jm_report *report = g->reports[i];
        if (g->passed[i] || report->end == JM_END_NONE)
            continue;
        widen(&rows, &report->job->id);
        jm_col_add_uuid(&rows.jobs.col[0], &report->job->id);
        jm_col_add_i32(&rows.jobs.col[1], report->job->attempt);
        jm_col_add_ts(&rows.jobs.col[2], at(g->recorder, report->started_us));
        jm_col_add_ts(&rows.jobs.col[3], at(g->recorder, report->ended_us));
        jm_col_add_str(&rows.jobs.col[4], report->error);
        jm_col_add_str(&rows.jobs.col[5], report->out_text);
        jm_col_add_str(&rows.jobs.col[6], report->err_text);
        jm_col_add_i32(&rows.jobs.col[7], report->return_code);
    }
    bool done = true;
    while (rows.jobs.col[0].n && (done = wait_db(g->recorder))) {
        jm_err err = {0};
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_uuid(&args, &g->recorder->options.worker_id);
        jm_pg_arg_cols(&args, &rows.jobs);
        jm_pg_arg_uuid(&args, &rows.lo);
        jm_pg_arg_uuid(&args, &rows.hi);
        jm_pg_call call = {.sql = &jm_sql_record_superseded, .args = &args, .binary = true};
        int rc = jm_pg_run(g->recorder->pg, &call, 1, &err);
        if (rc == JM_ERR_DB_DOWN || err.retriable)
            continue;
        if (rc)
            jm_log_kv(JM_ERROR, "record", "superseded attempts were not kept", "why", err.msg,
                      NULL);
        else if (PQntuples(call.res)) {
            atomic_fetch_add(&g->recorder->counts.superseded, PQntuples(call.res));
            jm_logf(JM_WARNING, "record",
                    "%d attempts were superseded: this worker had been found lost",
                    PQntuples(call.res));
        }
        PQclear(call.res);
        break;
    }
    rows_fini(&rows);
    return done;
}

/* ---- after the commit ---- */

static void count(jm_recorder *recorder, const jm_report *report)
{
    jm_record_counts *c = &recorder->counts;
    _Atomic int64_t *where[] = {[JM_END_COMPLETED] = &c->completed,
                                [JM_END_FAILED] = &c->failed,
                                [JM_END_RETRY] = &c->retried,
                                [JM_END_CANCELLED] = &c->failed,
                                [JM_END_RETURNED] = &c->returned};
    if (report->end != JM_END_NONE)
        atomic_fetch_add_explicit(where[report->end], 1, memory_order_relaxed);
}

static void release(jm_report *report)
{
    jm_job *job = report->job;
    bool last = report->end != JM_END_NONE;
    jm_report_free(report);
    if (!last)
        return;
    jm_claim *claim = job->claim;
    jm_job_type_unref(job->job_type);
    if (--claim->left == 0)
        jm_claim_free(claim); /* the job was in its arena */
}

static void finish(struct group *g)
{
    int64_t ready_us = INT64_MAX;
    jm_meters_recorded(g->recorder->options.meters, g->reports, g->passed, g->n);
    jm_recent_recorded(g->recorder->options.recent, g->reports, g->passed, g->n);
    for (int i = 0; i < g->n; i++) {
        jm_report *report = g->reports[i];
        if (g->passed[i]) {
            count(g->recorder, report);
            int64_t again = report->end == JM_END_RETRY
                                ? at(g->recorder, report->ended_us + report->retry_in_us)
                                : INT64_MAX;
            ready_us = again < ready_us ? again : ready_us;
        }
        release(report);
    }
    if (ready_us != INT64_MAX)
        g->recorder->options.ready_at(g->recorder->options.ctx, ready_us);
}

/* Takes from chain the next reports of distinct jobs, at most batch_rows: two reports of one job
 * must not stand in one statement. Those of a job keep their order. */
static int take_group(jm_recorder *recorder, jm_chain *chain, struct group *g)
{
    jm_chain later = {0};
    int bound = recorder->options.batch_rows;
    jm_job *partial[64];
    int n_partial = 0;
    g->n = 0;
    while (g->n < bound && chain->head) {
        jm_report *report = (jm_report *)jm_chain_take(chain);
        bool seen = n_partial == JM_COUNT(partial);
        for (int i = 0; i < n_partial && !seen; i++)
            seen = partial[i] == report->job;
        if (seen) {
            jm_chain_add(&later, &report->node);
            if (n_partial < JM_COUNT(partial))
                continue; /* further reports of it go behind this one */
            break;
        }
        if (report->end == JM_END_NONE)
            partial[n_partial++] = report->job;
        g->reports[g->n++] = report;
    }
    jm_chain_append(&later, chain); /* thousands may wait: they are not looked at */
    *chain = later;
    qsort(g->reports, (size_t)g->n, sizeof *g->reports, by_job);
    memset(g->passed, 0, (size_t)g->n * sizeof *g->passed);
    return g->n;
}

/* Looks after some of the jobs that wait for those recorded, in between batches of reports. */
static void settle_dependents(jm_recorder *recorder)
{
    jm_err err = {0};
    if (!jm_dependents_any(&recorder->dependents) || !jm_pg_is_up(recorder->pg))
        return;
    int rc = jm_dependents_settle(&recorder->dependents, recorder->pg,
                                  recorder->options.queue_ready, recorder->options.ctx, &err);
    if (rc == JM_ERR_DB)
        jm_log_kv(err.retriable ? JM_INFO : JM_WARNING, "record",
                  "jobs that wait for others were not looked after", "why", err.msg, NULL);
}

/* How long to wait for reports when there are none. */
static int idle_ms(const jm_recorder *recorder)
{
    return jm_dependents_any(&recorder->dependents) ? 10 : 1000;
}

static void *record_main(void *arg)
{
    jm_recorder *recorder = arg;
    struct group g = {.recorder = recorder};
    g.reports = jm_calloc((size_t)recorder->options.batch_rows, sizeof(jm_report *));
    g.passed = jm_calloc((size_t)recorder->options.batch_rows, sizeof(bool));
    jm_chain chain = {0};
    for (;;) {
        jm_pulse_beat(recorder->options.pulse);
        /* What is not taken stays where the store sees how far behind this thread is. */
        int rc = chain.n < (size_t)recorder->options.batch_rows
                     ? jm_queue_pop_all(recorder->queue, &chain, chain.n ? 0 : idle_ms(recorder))
                     : JM_OK;
        if (rc == JM_ERR_CLOSED && !chain.n)
            break;
        if (!chain.n) {
            jm_err ignored;
            jm_pg_ensure(recorder->pg, &ignored); /* connected before the first report needs it */
            settle_dependents(recorder);
            continue;
        }
        take_group(recorder, &chain, &g);
        bool all = true;
        if (!record_range(&g, 0, g.n))
            atomic_fetch_add(&recorder->unrecorded, g.n);
        else {
            for (int i = 0; i < g.n && all; i++)
                all = g.passed[i] || g.reports[i]->end == JM_END_NONE;
            if (!all)
                record_superseded(&g);
        }
        finish(&g);
        settle_dependents(recorder);
    }
    jm_pg_disconnect(recorder->pg);
    jm_pulse_rest(recorder->options.pulse);
    free(g.reports);
    free(g.passed);
    return NULL;
}

jm_recorder *jm_recorder_new(const jm_record_options *options)
{
    jm_recorder *recorder = jm_calloc(1, sizeof *recorder);
    recorder->options = *options;
    recorder->queue = jm_queue_new(0);
    jm_dependents_init(&recorder->dependents);
    atomic_store(&recorder->give_up_ms, INT64_MAX);
    recorder->pg = jm_pg_new(&(jm_pg_options){.conninfo = options->conninfo,
                                              .schema = options->schema,
                                              .name = "jobmill-worker record",
                                              .batch = true,
                                              .pulse = options->pulse,
                                              .clock = options->clock});
    return recorder;
}

jm_queue *jm_recorder_queue(jm_recorder *recorder)
{
    return recorder->queue;
}

int jm_recorder_start(jm_recorder *recorder, jm_err *err)
{
    if (pthread_create(&recorder->thread, NULL, record_main, recorder))
        return jm_err_errno(err, JM_ERR_IO, "cannot start the record thread");
    pthread_setname_np(recorder->thread, "record");
    recorder->started_thread = true;
    return JM_OK;
}

const jm_record_counts *jm_recorder_get_counts(const jm_recorder *recorder)
{
    return &recorder->counts;
}

int jm_recorder_stop(jm_recorder *recorder, int timeout_ms)
{
    atomic_store(&recorder->give_up_ms, jm_mono_ms() + timeout_ms);
    jm_queue_close(recorder->queue);
    if (recorder->started_thread)
        pthread_join(recorder->thread, NULL);
    recorder->started_thread = false;
    return atomic_load(&recorder->unrecorded);
}

void jm_recorder_free(jm_recorder *recorder)
{
    if (!recorder)
        return;
    jm_queue_free(recorder->queue);
    jm_dependents_fini(&recorder->dependents);
    jm_pg_free(recorder->pg);
    free(recorder);
}
