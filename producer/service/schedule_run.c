/* Running schedules on purpose: by hand, and over past ranges. */
#include "producer/service/schedule_run.h"

#include <stdlib.h>
#include <string.h>

#include "common/pg.h"
#include "producer/calendar_cache.h"
#include "producer/ledger.h"
#include "producer/plan.h"
#include "producer/service/jobs.h"
#include "producer/tx.h"
#include "producer/service/change_audit.h"
#include "producer/service/schedule_row.h"

enum { BATCH_JOBS = 1000 /* in one transaction */ };

/* A schedule that is run, and what its jobs are written with. */
typedef struct run {
    jm_pg *pg;
    jm_zone_cache *zones;
    jm_calendar_cache *calendars;
    jm_arena *arena;
    jm_ledger *ledger;
    jm_schedule schedule;
    jm_plan plan;
    int64_t clock_us;
} run;

static void run_init(run *r, jm_pg *pg)
{
    *r = (run){.pg = pg};
    r->zones = jm_zone_cache_new(NULL);
    r->calendars = jm_calendar_cache_new();
    r->arena = jm_arena_new(0);
    r->ledger = jm_ledger_new();
}

static void run_fini(run *r)
{
    jm_ledger_free(r->ledger);
    jm_arena_free(r->arena);
    jm_calendar_cache_free(r->calendars);
    jm_zone_cache_free(r->zones);
}

/* lock: the row, in a transaction that is open. */
static int read_schedule(run *r, const jm_uuid *id, bool lock, jm_err *err)
{
    jm_schedule_row row;
    int code = jm_schedule_row_read(r->pg, id, lock, r->arena, &row, NULL, err);
    if (code)
        return code;
    r->schedule = row.schedule;
    r->clock_us = row.clock_us;
    return jm_schedule_resolve(&r->schedule, r->zones, err);
}

static int load_calendar(run *r, jm_err *err)
{
    jm_schedule *s = &r->schedule;
    int code = 0;
    if (s->calendar)
        code = jm_calendar_cache_refresh(r->calendars, r->pg, &s->project, &s->calendar, 1, err);
    if (!code && s->calendar)
        code = jm_calendar_cache_get(r->calendars, s->project, s->calendar, &s->days, err);
    r->plan = (jm_plan){&s->recurrence, s->days};
    return code;
}

static int audit(run *r, const char *action, const char *after, const jm_change *change,
                 jm_err *err)
{
    char id[JM_UUID_TEXT];
    jm_uuid_format(&r->schedule.id, id);
    jm_audit_entry entry = {.object = "schedule",
                            .object_id = id,
                            .project = r->schedule.project,
                            .action = action,
                            .after = after};
    return jm_change_audit(r->pg, change, &entry, err);
}

/* Writes the batch: instants, then their jobs. */
static int write_batch(run *r, jm_err *err)
{
    jm_pg_call call;
    int code = jm_ledger_write(r->ledger, r->pg, err);
    if (code || !jm_ledger_jobs(r->ledger, NULL, &call))
        return code;
    code = jm_pg_run(r->pg, &call, 1, err);
    jm_pg_calls_clear(&call, 1);
    return code;
}

static void tell(run *r, const char *payload)
{
    jm_pg_args args;
    jm_err ignored;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, payload);
    (void)jm_pg_query(r->pg, &jm_sql_job_tell, &args, NULL, &ignored);
}

static void tell_all(run *r)
{
    char payload[80];
    snprintf(payload, sizeof payload, "ready %s", r->schedule.queue);
    tell(r, payload);
    tell(r, "pending");
}

/* ---- by hand ---- */

static int run_once(run *r, const jm_uuid *id, const jm_change *change, jm_uuid *job_id,
                    jm_err *err)
{
    int code = read_schedule(r, id, true, err);
    if (code)
        return code;
    jm_ledger_entry entry = {.schedule = &r->schedule,
                             .kind = JM_TICK_MANUAL,
                             .tick = {.due_us = r->clock_us, .count = 1, .outcome = JM_TICK_FIRED},
                             .now_us = r->clock_us,
                             .submitted_by = change->actor,
                             .lock = jm_schedule_is_serial(&r->schedule)};
    size_t i = jm_ledger_add(r->ledger, &entry);
    code = write_batch(r, err);
    if (code)
        return code;
    if (!jm_ledger_job(r->ledger, i)) /* two in one microsecond */
        return jm_err_set(err, JM_ERR_CONFLICT, "it was run at this very moment already");
    *job_id = *jm_ledger_job(r->ledger, i);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_ts(&args, r->clock_us);
    jm_pg_arg_uuid(&args, job_id);
    jm_pg_arg_text(&args, change->request_id);
    code = jm_pg_query(r->pg, &jm_sql_schedule_ran, &args, NULL, err);
    return code ? code : audit(r, "run", NULL, change, err);
}

int jm_schedules_run(jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_uuid *job_id,
                     json_t **would, jm_err *err)
{
    run r;
    if (would)
        *would = NULL;
    int code = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (code)
        return code;
    run_init(&r, pg);
    code = run_once(&r, id, change, job_id, err);
    if (!code && would && change->dry_run)
        code = jm_jobs_show(pg, job_id, would, err);
    code = jm_tx_end(pg, code, !change->dry_run, err);
    if (!code && !change->dry_run)
        tell_all(&r);
    run_fini(&r);
    return code;
}

/* ---- backfill ---- */

static int check_backfill(run *r, const jm_backfill *b, jm_err *err)
{
    if (b->from_us >= b->to_us)
        return jm_err_field(err, "to", "it must be after from");
    if (b->to_us > r->clock_us)
        return jm_err_field(err, "to", "it lies in the future, which runs by itself");
    if (!(b->rate >= 0.001 && b->rate <= 100000))
        return jm_err_field(err, "rate", "0.001 to 100000 jobs a second expected");
    int64_t n = jm_plan_count(&r->plan, b->from_us - 1, b->to_us - 1);
    if (n > JM_BACKFILL_MAX)
        return jm_err_field(err, "from",
                            "%lld instants; at most %d at once: choose a shorter range",
                            (long long)n, JM_BACKFILL_MAX);
    return 0;
}

/* The next instant of the range that is to be run. fired holds those that are to be left out, in
 * order; *at moves through it. */
static bool next_instant(run *r, const jm_backfill *b, const PGresult *fired, int *at,
                         int64_t *cur_us, jm_backfilled *done)
{
    while (jm_plan_next(&r->plan, *cur_us, cur_us, NULL) && *cur_us < b->to_us) {
        done->instants++;
        done->first_us = done->first_us ? done->first_us : *cur_us;
        done->last_us = *cur_us;
        while (*at < PQntuples(fired) && jm_pg_get_ts(fired, *at, 0) < *cur_us)
            (*at)++;
        if (*at == PQntuples(fired) || jm_pg_get_ts(fired, *at, 0) != *cur_us)
            return true;
        if (jm_pg_get_bool(fired, *at, 1))
            done->already++;
        else
            done->left_out++;
    }
    return false;
}

/* Instants of the range that were backfilled before or, where those are to be left out, fired by
 * the calendar. */
static int read_fired(run *r, const jm_backfill *b, PGresult **fired, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &r->schedule.id);
    jm_pg_arg_ts(&args, b->from_us);
    jm_pg_arg_ts(&args, b->to_us);
    jm_pg_arg_bool(&args, b->missed_only);
    jm_pg_call call = {.sql = &jm_sql_schedule_fired, .args = &args, .binary = true};
    int code = jm_pg_run(r->pg, &call, 1, err);
    *fired = call.res;
    return code;
}

static void add_instant(run *r, int64_t due_us, int64_t start_us)
{
    jm_ledger_entry entry = {.schedule = &r->schedule,
                             .kind = JM_TICK_BACKFILL,
                             .tick = {.due_us = due_us, .count = 1, .outcome = JM_TICK_FIRED},
                             .now_us = r->clock_us,
                             .start_us = start_us,
                             .submitted_by = "backfill",
                             .lock = r->schedule.overlap != JM_OVERLAP_ALLOW};
    jm_ledger_add(r->ledger, &entry);
}

static int commit_batch(run *r, size_t n, jm_backfilled *done, jm_err *err)
{
    int code = jm_pg_exec(r->pg, "BEGIN", NULL, err);
    if (!code)
        code = write_batch(r, err);
    if (code) {
        jm_tx_rollback(r->pg);
        return code;
    }
    code = jm_pg_exec(r->pg, "COMMIT", NULL, err);
    for (size_t i = 0; !code && i < n; i++) {
        if (jm_ledger_job(r->ledger, i))
            done->fired++;
        else
            done->already++;
    }
    return code;
}

/* Makes the jobs, batch by batch. */
static int fill(run *r, const jm_backfill *b, const PGresult *fired, jm_backfilled *done,
                jm_err *err)
{
    int64_t cur_us = b->from_us - 1, n = 0;
    int64_t of = jm_plan_count(&r->plan, cur_us, b->to_us - 1);
    int at = 0, code = 0;
    bool more = true;
    while (!code && more) {
        size_t batch = 0;
        jm_ledger_reset(r->ledger);
        while (batch < BATCH_JOBS && (more = next_instant(r, b, fired, &at, &cur_us, done))) {
            add_instant(r, cur_us, r->clock_us + (int64_t)((double)n * 1e6 / b->rate));
            batch++;
            n++;
        }
        if (b->dry_run)
            done->fired += (int64_t)batch;
        else if (batch)
            code = commit_batch(r, batch, done, err);
        if (b->progress && !code)
            b->progress(b->ctx, done->instants, of);
    }
    done->seconds = n ? (double)(n - 1) / b->rate : 0;
    return code;
}

static int note_backfill(run *r, const jm_backfill *b, const jm_backfilled *done,
                         const jm_change *change, jm_err *err)
{
    char from[JM_RFC3339_TEXT], to[JM_RFC3339_TEXT], text[200];
    jm_rfc3339_format(b->from_us, from);
    jm_rfc3339_format(b->to_us, to);
    snprintf(text, sizeof text, "{\"from\":\"%s\",\"to\":\"%s\",\"fired\":%lld}", from, to,
             (long long)done->fired);
    return audit(r, "backfill", text, change, err);
}

int jm_schedules_backfill(jm_pg *pg, const jm_uuid *id, const jm_backfill *backfill,
                          const jm_change *change, jm_backfilled *done, jm_err *err)
{
    run r;
    PGresult *fired = NULL;
    *done = (jm_backfilled){0};
    run_init(&r, pg);
    int code = read_schedule(&r, id, false, err);
    if (!code)
        code = load_calendar(&r, err);
    if (!code)
        code = check_backfill(&r, backfill, err);
    if (!code)
        code = read_fired(&r, backfill, &fired, err);
    if (!code)
        code = fill(&r, backfill, fired, done, err);
    if (done->fired && !backfill->dry_run) {
        tell_all(&r);
        if (!code)
            code = note_backfill(&r, backfill, done, change, err);
    }
    PQclear(fired);
    run_fini(&r);
    return code;
}
