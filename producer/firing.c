/* One batch of due schedules: taken under lock, decided, written with their jobs, committed. */
#include "producer/firing.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/submit.h"
#include "producer/relay.h"
#include "producer/tick_policy.h"
#include "producer/tx.h"

enum {
    MAX_SCHEDULES = 500, /* in one transaction */
    MAX_TICKS = 64,      /* of one schedule in one transaction; the rest comes with the next */
    MUTE_MS = 60000,     /* a schedule that makes trouble is left alone for so long */
    OPEN_DAYS = 8,       /* unfinished jobs older than this count only as a schedule's last */
    PUBLISH_WITHIN_US = 2000000 /* what the relay has not been handed by then it reads */
};

/* A schedule of the batch and what was decided. */
typedef struct jm_due {
    jm_schedule schedule;
    jm_uuid last_job_id;
    bool has_last_job;
    int64_t now_us;
    int open_jobs;
    jm_tick *ticks;
    jm_uuid *job_ids; /* one a tick; of use where the tick fired */
    size_t n_ticks;
    int64_t next_run_us;
} jm_due;

typedef struct jm_muted {
    jm_uuid id;
    int64_t until_ms;
} jm_muted;

struct jm_firing {
    jm_pg *pg;
    jm_db_clock *clock;
    jm_zone_cache *zones;
    jm_submit *submit;
    jm_muted *muted;
    size_t n_muted, cap_muted;
    int limit; /* schedules a transaction: MAX_SCHEDULES, fewer while one that is refused is looked
                  for */
    jm_arena *arena; /* of one batch */
    jm_due *due;
    size_t n_due;
    _Atomic uint64_t counts[JM_TICK_COALESCED + 1];
};

jm_firing *jm_firing_new(const char *conninfo, const char *schema, jm_db_clock *clock)
{
    jm_firing *firing = jm_calloc(1, sizeof *firing);
    jm_pg_options options = {.conninfo = conninfo,
                             .schema = schema,
                             .name = "jobmill-producer scheduler",
                             .batch = true,
                             .clock = clock};
    firing->pg = jm_pg_new(&options);
    firing->clock = clock;
    firing->zones = jm_zone_cache_new(NULL);
    firing->submit = jm_submit_new();
    firing->limit = MAX_SCHEDULES;
    return firing;
}

void jm_firing_free(jm_firing *firing)
{
    if (!firing)
        return;
    jm_pg_free(firing->pg);
    jm_zone_cache_free(firing->zones);
    jm_submit_free(firing->submit);
    jm_arena_free(firing->arena);
    free(firing->muted);
    free(firing);
}

int jm_firing_ensure(jm_firing *firing, jm_err *err)
{
    return jm_pg_ensure(firing->pg, err);
}

int jm_firing_retry_in_ms(const jm_firing *firing)
{
    return jm_pg_retry_in_ms(firing->pg);
}

void jm_firing_forgive(jm_firing *firing)
{
    firing->n_muted = 0;
}

void jm_firing_get_stats(const jm_firing *firing, jm_firing_stats *out)
{
    *out = (jm_firing_stats){.fired = atomic_load(&firing->counts[JM_TICK_FIRED]),
                             .skipped = atomic_load(&firing->counts[JM_TICK_SKIPPED]),
                             .missed = atomic_load(&firing->counts[JM_TICK_MISSED]),
                             .coalesced = atomic_load(&firing->counts[JM_TICK_COALESCED])};
}

/* Leaves a schedule alone for a while, so that it neither spins nor stands before others. */
static void mute(jm_firing *firing, const jm_schedule *schedule, const jm_err *err)
{
    char id[JM_UUID_TEXT];
    jm_uuid_format(&schedule->id, id);
    jm_log_kv(JM_ERROR, "scheduler", err->msg, "schedule", schedule->name, "schedule_id", id,
              "field", *err->field ? err->field : NULL, "retry",
              "in a minute, or once it is edited", NULL);
    if (firing->n_muted == firing->cap_muted) {
        firing->cap_muted = firing->cap_muted ? firing->cap_muted * 2 : 16;
        firing->muted = jm_realloc(firing->muted, firing->cap_muted * sizeof *firing->muted);
    }
    firing->muted[firing->n_muted++] = (jm_muted){schedule->id, jm_mono_ms() + MUTE_MS};
}

/* The ids that are still muted, as a parameter. */
static void arg_muted(jm_firing *firing, jm_pg_args *args, jm_col *col)
{
    int64_t now = jm_mono_ms();
    size_t kept = 0;
    jm_col_init(col, JM_COL_UUID);
    for (size_t i = 0; i < firing->n_muted; i++) {
        if (firing->muted[i].until_ms <= now)
            continue;
        jm_col_add_uuid(col, &firing->muted[i].id);
        firing->muted[kept++] = firing->muted[i];
    }
    firing->n_muted = kept;
    jm_pg_arg_col(args, col);
}

int jm_firing_next(jm_firing *firing, int64_t *due_us, jm_err *err)
{
    jm_pg_args args;
    jm_col muted;
    jm_pg_args_init(&args);
    arg_muted(firing, &args, &muted);
    jm_pg_call call = {.sql = &jm_sql_scheduler_next, .args = &args, .binary = true};
    int64_t asked_us = jm_mono_us();
    int rc = jm_pg_run(firing->pg, &call, 1, err);
    if (!rc) {
        jm_db_clock_set(firing->clock, jm_pg_get_ts(call.res, 0, 1), asked_us, jm_mono_us());
        *due_us = PQgetisnull(call.res, 0, 0) ? INT64_MAX : jm_pg_get_ts(call.res, 0, 0);
    }
    jm_pg_calls_clear(&call, 1);
    jm_col_fini(&muted);
    return rc;
}

int jm_firing_active(jm_firing *firing, int64_t *n, jm_err *err)
{
    jm_pg_call call = {.sql = &jm_sql_scheduler_active, .binary = true};
    int rc = jm_pg_run(firing->pg, &call, 1, err);
    if (!rc)
        *n = jm_pg_get_i64(call.res, 0, 0);
    jm_pg_calls_clear(&call, 1);
    return rc;
}

/* Reads the taken rows. Those that cannot be understood are muted and left out. */
static void read_due(jm_firing *firing, const PGresult *res)
{
    int n = PQntuples(res);
    jm_schedule_columns columns;
    jm_schedule_columns_init(&columns, res);
    int clock_col = PQfnumber(res, "clock"), last_col = PQfnumber(res, "last_job_id");
    firing->due = jm_arena_calloc(firing->arena, (size_t)n * sizeof *firing->due);
    for (int row = 0; row < n; row++) {
        jm_due *due = &firing->due[firing->n_due];
        jm_err err = {0};
        *due = (jm_due){.now_us = jm_pg_get_ts(res, row, clock_col),
                        .has_last_job = !PQgetisnull(res, row, last_col),
                        .last_job_id = jm_pg_get_uuid(res, row, last_col)};
        jm_schedule_init(&due->schedule);
        due->schedule.id = jm_pg_get_uuid(res, row, PQfnumber(res, "id"));
        due->schedule.name = jm_pg_get_text(res, row, PQfnumber(res, "name"), NULL);
        int rc = jm_schedule_from_row(&columns, res, row, firing->arena, &due->schedule, &err);
        if (!rc)
            rc = jm_schedule_resolve(&due->schedule, firing->zones, &err);
        if (rc)
            mute(firing, &due->schedule, &err);
        else
            firing->n_due++;
    }
}

static int take(jm_firing *firing, int *taken, jm_err *err)
{
    jm_pg_args args;
    jm_col muted;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, firing->limit);
    arg_muted(firing, &args, &muted);
    jm_pg_call calls[] = {{.sql = &jm_tx_begin},
                          {.sql = &jm_sql_scheduler_take, .args = &args, .binary = true}};
    int rc = jm_pg_run(firing->pg, calls, 2, err);
    if (!rc) {
        *taken = PQntuples(calls[1].res);
        read_due(firing, calls[1].res);
    }
    jm_pg_calls_clear(calls, 2);
    jm_col_fini(&muted);
    return rc;
}

/* Counts unfinished jobs, for the schedules whose policy asks. */
static int count_open(jm_firing *firing, jm_err *err)
{
    jm_col ids, last, max;
    jm_col_init(&ids, JM_COL_UUID);
    jm_col_init(&last, JM_COL_UUID);
    jm_col_init(&max, JM_COL_I32);
    for (size_t i = 0; i < firing->n_due; i++) {
        const jm_due *due = &firing->due[i];
        if (due->schedule.overlap == JM_OVERLAP_ALLOW)
            continue;
        jm_col_add_uuid(&ids, &due->schedule.id);
        jm_col_add_uuid(&last, due->has_last_job ? &due->last_job_id : NULL);
        jm_col_add_i32(&max, due->schedule.max_instances);
    }
    int rc = JM_OK;
    if (ids.n) {
        jm_uuid oldest =
            jm_uuid7_floor(jm_db_clock_us(firing->clock) / 1000 - OPEN_DAYS * INT64_C(86400000));
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_col(&args, &ids);
        jm_pg_arg_col(&args, &last);
        jm_pg_arg_col(&args, &max);
        jm_pg_arg_uuid(&args, &oldest);
        jm_pg_call call = {.sql = &jm_sql_scheduler_open, .args = &args, .binary = true};
        rc = jm_pg_run(firing->pg, &call, 1, err);
        /* unnest keeps the order in which they were given */
        for (size_t i = 0, row = 0; !rc && i < firing->n_due; i++)
            if (firing->due[i].schedule.overlap != JM_OVERLAP_ALLOW)
                firing->due[i].open_jobs = jm_pg_get_i32(call.res, (int)row++, 1);
        jm_pg_calls_clear(&call, 1);
    }
    jm_col_fini(&ids);
    jm_col_fini(&last);
    jm_col_fini(&max);
    return rc;
}

static void decide(jm_firing *firing)
{
    for (size_t i = 0; i < firing->n_due; i++) {
        jm_due *due = &firing->due[i];
        jm_tick ticks[MAX_TICKS];
        jm_tick_policy_decide(&due->schedule, due->now_us, due->open_jobs, ticks, MAX_TICKS,
                              &due->n_ticks, &due->next_run_us);
        due->ticks = jm_arena_alloc(firing->arena, due->n_ticks * sizeof *ticks);
        due->job_ids = jm_arena_alloc(firing->arena, due->n_ticks * sizeof *due->job_ids);
        if (due->n_ticks)
            memcpy(due->ticks, ticks, due->n_ticks * sizeof *ticks);
        for (size_t k = 0; k < due->n_ticks; k++)
            due->job_ids[k] = jm_uuid7_new();
    }
}

static void add_ts(jm_col *col, int64_t us)
{
    if (us)
        jm_col_add_ts(col, us);
    else
        jm_col_add_null(col);
}

enum { T_SCHEDULE, T_DUE, T_OUTCOME, T_UNTIL, T_COUNT, T_REASON, T_JOB, N_TICK_COLS };

/* Writes the ledger and leaves the fired ticks that were there already without a job. */
static int write_ticks(jm_firing *firing, jm_err *err)
{
    static const jm_col_type types[N_TICK_COLS] = {JM_COL_UUID, JM_COL_TS,   JM_COL_TEXT, JM_COL_TS,
                                                   JM_COL_I64,  JM_COL_TEXT, JM_COL_UUID};
    jm_col cols[N_TICK_COLS];
    for (int i = 0; i < N_TICK_COLS; i++)
        jm_col_init(&cols[i], types[i]);
    for (size_t i = 0; i < firing->n_due; i++) {
        const jm_due *due = &firing->due[i];
        for (size_t k = 0; k < due->n_ticks; k++) {
            const jm_tick *tick = &due->ticks[k];
            jm_col_add_uuid(&cols[T_SCHEDULE], &due->schedule.id);
            jm_col_add_ts(&cols[T_DUE], tick->due_us);
            jm_col_add_str(&cols[T_OUTCOME], jm_tick_outcome_text(tick->outcome));
            add_ts(&cols[T_UNTIL], tick->until_us);
            jm_col_add_i64(&cols[T_COUNT], tick->count);
            jm_col_add_str(&cols[T_REASON], tick->reason);
            jm_col_add_uuid(&cols[T_JOB], tick->outcome == JM_TICK_FIRED ? &due->job_ids[k] : NULL);
        }
    }
    jm_pg_args args;
    jm_pg_args_init(&args);
    for (int i = 0; i < N_TICK_COLS; i++)
        jm_pg_arg_col(&args, &cols[i]);
    jm_pg_call call = {.sql = &jm_sql_scheduler_ticks, .args = &args, .binary = true};
    int rc = cols[0].n ? jm_pg_run(firing->pg, &call, 1, err) : JM_OK;
    int row = 0, rows = !rc && call.res ? PQntuples(call.res) : 0;
    /* The new ones come back in the order in which they were given. */
    for (size_t i = 0; !rc && i < firing->n_due; i++) {
        jm_due *due = &firing->due[i];
        for (size_t k = 0; k < due->n_ticks; k++) {
            jm_uuid made = {{0}};
            if (row < rows)
                made = jm_pg_get_uuid(call.res, row, 0);
            bool is_new = due->ticks[k].outcome == JM_TICK_FIRED && row < rows &&
                          !jm_uuid_cmp(&made, &due->job_ids[k]);
            row += is_new;
            if (!is_new)
                due->job_ids[k] = (jm_uuid){{0}};
        }
    }
    if (!rc && row != rows)
        rc = jm_err_set(err, JM_ERR_DB, "ticks came back in another order");
    jm_pg_calls_clear(&call, 1);
    for (int i = 0; i < N_TICK_COLS; i++)
        jm_col_fini(&cols[i]);
    return rc;
}

static bool has_job(const jm_due *due, size_t k)
{
    static const jm_uuid none;
    return jm_uuid_cmp(&due->job_ids[k], &none) != 0;
}

/* What the job of an instant is made of. */
static jm_job make_job(const jm_due *due, size_t k)
{
    const jm_schedule *s = &due->schedule;
    return (jm_job){.id = due->job_ids[k],
                    .has_id = true,
                    .type = s->type,
                    .project = s->project,
                    .queue = s->queue,
                    .profile = s->profile,
                    .params = s->params,
                    .params_len = strlen(s->params),
                    .metadata = s->metadata,
                    .metadata_len = s->metadata ? strlen(s->metadata) : 0,
                    .exclusive = s->exclusive,
                    .callback_url = s->callback_url,
                    .submitted_by = "schedule",
                    .priority = s->priority,
                    .has_schedule = true,
                    .schedule_id = s->id,
                    .due_at_us = due->ticks[k].due_us};
}

/* Jobs into rows and, where they go through Kafka, into items for the relay. */
static void add_jobs(jm_firing *firing, jm_chain *items)
{
    for (size_t i = 0; i < firing->n_due; i++) {
        const jm_due *due = &firing->due[i];
        for (size_t k = 0; k < due->n_ticks; k++) {
            if (!has_job(due, k))
                continue;
            jm_job job = make_job(due, k);
            int64_t start_us =
                due->ticks[k].due_us + jm_schedule_jitter_us(&due->schedule, due->ticks[k].due_us);
            jm_submit_way way =
                start_us > due->now_us ? JM_SUBMIT_READY : jm_submit_way_of(&job, due->now_us);
            const jm_buf *message;
            jm_submit_add(firing->submit, &job, way,
                          way == JM_SUBMIT_PUBLISH ? due->now_us + PUBLISH_WITHIN_US : start_us,
                          &message);
            if (way == JM_SUBMIT_PUBLISH)
                jm_chain_add(items, jm_relay_item_new(&job.id, job.queue, NULL, jm_buf_str(message),
                                                      message->len));
        }
    }
}

enum { A_ID, A_NEXT, A_LAST_RUN, A_LAST_JOB, A_SKIPPED, N_ADVANCE_COLS };

static void add_advance(jm_col *cols, const jm_due *due)
{
    int64_t last_run_us = 0, skipped = 0;
    const jm_uuid *last_job = NULL;
    for (size_t k = 0; k < due->n_ticks; k++) {
        if (due->ticks[k].outcome != JM_TICK_FIRED) {
            skipped += due->ticks[k].count;
        } else if (has_job(due, k)) {
            last_run_us = due->ticks[k].due_us;
            last_job = &due->job_ids[k];
        }
    }
    jm_col_add_uuid(&cols[A_ID], &due->schedule.id);
    add_ts(&cols[A_NEXT], due->next_run_us);
    add_ts(&cols[A_LAST_RUN], last_run_us);
    jm_col_add_uuid(&cols[A_LAST_JOB], last_job);
    jm_col_add_i64(&cols[A_SKIPPED], skipped);
}

/* Jobs, advances and the commit, in one round trip. */
static int write_rest(jm_firing *firing, jm_err *err)
{
    static const jm_col_type types[N_ADVANCE_COLS] = {JM_COL_UUID, JM_COL_TS, JM_COL_TS,
                                                      JM_COL_UUID, JM_COL_I64};
    jm_col cols[N_ADVANCE_COLS];
    for (int i = 0; i < N_ADVANCE_COLS; i++)
        jm_col_init(&cols[i], types[i]);
    for (size_t i = 0; i < firing->n_due; i++)
        add_advance(cols, &firing->due[i]);
    jm_pg_args args;
    jm_pg_args_init(&args);
    for (int i = 0; i < N_ADVANCE_COLS; i++)
        jm_pg_arg_col(&args, &cols[i]);
    jm_pg_call calls[3];
    int n = 0;
    if (jm_submit_count(firing->submit))
        calls[n++] = jm_submit_call(firing->submit);
    calls[n++] = (jm_pg_call){.sql = &jm_sql_scheduler_advance, .args = &args};
    calls[n++] = (jm_pg_call){.sql = &jm_tx_commit};
    int rc = jm_pg_run(firing->pg, calls, n, err);
    jm_pg_calls_clear(calls, rc ? 0 : n);
    for (int i = 0; i < N_ADVANCE_COLS; i++)
        jm_col_fini(&cols[i]);
    return rc;
}

/* Looks for the schedule that PostgreSQL refuses by taking them one at a time, and mutes it. */
static void narrow(jm_firing *firing, const jm_err *err)
{
    if (err->code != JM_ERR_DB || err->retriable)
        return;
    if (firing->limit > 1)
        firing->limit = 1;
    else if (firing->n_due)
        mute(firing, &firing->due[0].schedule, err);
}

/* No partition for this week: the janitor makes them ahead, but it may have been away. */
static bool make_partitions(jm_firing *firing, const jm_err *err)
{
    jm_err ignored;
    return err->no_partition &&
           !jm_pg_query(firing->pg, &jm_sql_janitor_partitions, NULL, NULL, &ignored);
}

static void committed(jm_firing *firing, jm_wakeup *wakeup)
{
    const char *told = NULL;
    firing->limit = firing->limit * 2 < MAX_SCHEDULES ? firing->limit * 2 : MAX_SCHEDULES;
    for (size_t i = 0; i < firing->n_due; i++) {
        const jm_due *due = &firing->due[i];
        for (size_t k = 0; k < due->n_ticks; k++)
            atomic_fetch_add(&firing->counts[due->ticks[k].outcome], (uint64_t)due->ticks[k].count);
        /* A hint for each queue whose jobs start from the database, neighbours once. */
        const char *queue = due->schedule.queue;
        if (!wakeup || due->schedule.priority == JM_PRIORITY_DEFAULT ||
            (told && !strcmp(told, queue)))
            continue;
        char payload[80];
        snprintf(payload, sizeof payload, "ready %s", queue);
        jm_wakeup_send(wakeup, payload);
        told = queue;
    }
}

/* Everything between the locks and the commit. */
static int decide_and_write(jm_firing *firing, jm_chain *items, jm_err *err)
{
    int rc = count_open(firing, err);
    if (rc)
        return rc;
    decide(firing);
    rc = write_ticks(firing, err);
    if (rc)
        return rc;
    add_jobs(firing, items);
    return write_rest(firing, err);
}

int jm_firing_run(jm_firing *firing, jm_wakeup *wakeup, jm_chain *items, int *taken, jm_err *err)
{
    jm_chain made = {0};
    *taken = 0;
    firing->n_due = 0;
    jm_arena_free(firing->arena);
    firing->arena = jm_arena_new(0);
    jm_submit_reset(firing->submit);
    int rc = take(firing, taken, err);
    if (!rc && firing->n_due)
        rc = decide_and_write(firing, &made, err);
    else
        jm_tx_rollback(firing->pg);
    if (rc) {
        jm_tx_rollback(firing->pg);
        if (!make_partitions(firing, err))
            narrow(firing, err);
        for (jm_node *node; (node = jm_chain_take(&made));)
            free(node);
        return rc;
    }
    committed(firing, wakeup);
    for (jm_node *node; (node = jm_chain_take(&made));)
        jm_chain_add(items, node);
    return JM_OK;
}
