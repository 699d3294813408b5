/* The ledger: decided instants and their jobs as rows. */
#include "producer/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "common/job.h"
#include "common/mem.h"
#include "common/submit.h"
#include "producer/relay.h"

enum { PUBLISH_WITHIN_US = 2000000 /* what the relay has not been handed by then it reads */ };

typedef struct jm_line {
    jm_ledger_entry e;
    jm_uuid job_id;
    bool has_job;
    char lock[JM_SCHEDULE_LOCK_TEXT];
} jm_line;

enum { T_SCHEDULE, T_DUE, T_KIND, T_OUTCOME, T_UNTIL, T_COUNT, T_REASON, T_JOB, N_COLS };

struct jm_ledger {
    jm_line *entries;
    size_t n, cap;
    jm_submit *submit;
};

jm_ledger *jm_ledger_new(void)
{
    jm_ledger *ledger = jm_calloc(1, sizeof *ledger);
    ledger->submit = jm_submit_new();
    return ledger;
}

void jm_ledger_free(jm_ledger *ledger)
{
    if (!ledger)
        return;
    jm_submit_free(ledger->submit);
    free(ledger->entries);
    free(ledger);
}

void jm_ledger_reset(jm_ledger *ledger)
{
    ledger->n = 0;
    jm_submit_reset(ledger->submit);
}

void jm_schedule_lock_name(const jm_uuid *schedule_id, char text[JM_SCHEDULE_LOCK_TEXT])
{
    memcpy(text, JM_SCHEDULE_LOCK, sizeof JM_SCHEDULE_LOCK - 1);
    jm_uuid_format(schedule_id, text + sizeof JM_SCHEDULE_LOCK - 1);
}

size_t jm_ledger_add(jm_ledger *ledger, const jm_ledger_entry *entry)
{
    if (ledger->n == ledger->cap) {
        ledger->cap = ledger->cap ? ledger->cap * 2 : 64;
        ledger->entries = jm_realloc(ledger->entries, ledger->cap * sizeof *ledger->entries);
    }
    jm_line *line = &ledger->entries[ledger->n];
    line->e = *entry;
    line->has_job = entry->tick.outcome == JM_TICK_FIRED;
    if (line->has_job)
        line->job_id = jm_uuid7_at(entry->now_us / 1000);
    return ledger->n++;
}

const jm_tick *jm_ledger_tick(const jm_ledger *ledger, size_t i)
{
    return &ledger->entries[i].e.tick;
}

const jm_uuid *jm_ledger_job(const jm_ledger *ledger, size_t i)
{
    return ledger->entries[i].has_job ? &ledger->entries[i].job_id : NULL;
}

/* ---- instants ---- */

static void add_tick(jm_col *cols, const jm_line *entry)
{
    static const char *const kinds[] = {"calendar", "manual", "backfill"};
    const jm_tick *tick = &entry->e.tick;
    jm_col_add_uuid(&cols[T_SCHEDULE], &entry->e.schedule->id);
    jm_col_add_ts(&cols[T_DUE], tick->due_us);
    jm_col_add_str(&cols[T_KIND], kinds[entry->e.kind]);
    jm_col_add_str(&cols[T_OUTCOME], jm_tick_outcome_text(tick->outcome));
    jm_col_add_time(&cols[T_UNTIL], tick->until_us);
    jm_col_add_i64(&cols[T_COUNT], tick->count);
    jm_col_add_str(&cols[T_REASON], tick->reason);
    jm_col_add_uuid(&cols[T_JOB], entry->has_job ? &entry->job_id : NULL);
}

/* Leaves those entries a job whose ids came back, in the order in which they were written. */
static int keep_new(jm_ledger *ledger, const PGresult *res, jm_err *err)
{
    int row = 0, rows = PQntuples(res);
    for (size_t i = 0; i < ledger->n; i++) {
        jm_line *entry = &ledger->entries[i];
        if (!entry->has_job)
            continue;
        jm_uuid made = {{0}};
        if (row < rows)
            made = jm_pg_get_uuid(res, row, 0);
        entry->has_job = row < rows && !jm_uuid_cmp(&made, &entry->job_id);
        row += entry->has_job;
    }
    if (row != rows)
        return jm_err_set(err, JM_ERR_DB, "ticks came back in another order");
    return JM_OK;
}

int jm_ledger_write(jm_ledger *ledger, jm_pg *pg, jm_err *err)
{
    static const jm_col_type types[N_COLS] = {JM_COL_UUID, JM_COL_TS,  JM_COL_TEXT, JM_COL_TEXT,
                                              JM_COL_TS,   JM_COL_I64, JM_COL_TEXT, JM_COL_UUID};
    jm_cols cols;
    jm_pg_args args;
    if (!ledger->n)
        return JM_OK;
    jm_cols_init(&cols, types, N_COLS);
    for (size_t i = 0; i < ledger->n; i++)
        add_tick(cols.col, &ledger->entries[i]);
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &cols);
    jm_pg_call call = {.sql = &jm_sql_scheduler_ticks, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    if (!rc)
        rc = keep_new(ledger, call.res, err);
    jm_pg_calls_clear(&call, 1);
    jm_cols_fini(&cols);
    return rc;
}

/* ---- jobs ---- */

/* What the job of an instant is made of. */
static jm_job make_job(jm_line *entry)
{
    const jm_schedule *s = entry->e.schedule;
    const char *exclusive = s->exclusive;
    if (!exclusive && entry->e.lock) {
        jm_schedule_lock_name(&s->id, entry->lock);
        exclusive = entry->lock;
    }
    return (jm_job){.id = entry->job_id,
                    .has_id = true,
                    .type = s->type,
                    .project = s->project,
                    .queue = s->queue,
                    .profile = s->profile,
                    .params = s->params,
                    .params_len = strlen(s->params),
                    .metadata = s->metadata,
                    .metadata_len = s->metadata ? strlen(s->metadata) : 0,
                    .exclusive = exclusive,
                    .callback_url = s->callback_url,
                    .submitted_by = entry->e.submitted_by,
                    .priority = s->priority,
                    .has_schedule = true,
                    .schedule_id = s->id,
                    .due_at_us = entry->e.tick.due_us};
}

static void add_job(jm_ledger *ledger, jm_line *entry, jm_chain *items)
{
    jm_job job = make_job(entry);
    int64_t now_us = entry->e.now_us, start_us = entry->e.start_us;
    const jm_buf *message;
    jm_submit_way way = start_us > now_us ? JM_SUBMIT_READY : jm_submit_way_of(&job, now_us);
    bool handed = way == JM_SUBMIT_PUBLISH && items;
    jm_submit_add(ledger->submit, &job, way,
                  handed              ? now_us + PUBLISH_WITHIN_US
                  : start_us > now_us ? start_us
                                      : now_us,
                  &message);
    if (handed)
        jm_chain_add(items, jm_relay_item_new(&job.id, job.queue, NULL, jm_buf_str(message),
                                              message->len, job.due_at_us));
}

bool jm_ledger_jobs(jm_ledger *ledger, jm_chain *items, jm_pg_call *call)
{
    for (size_t i = 0; i < ledger->n; i++)
        if (ledger->entries[i].has_job)
            add_job(ledger, &ledger->entries[i], items);
    if (!jm_submit_count(ledger->submit))
        return false;
    *call = jm_submit_call(ledger->submit);
    return true;
}
