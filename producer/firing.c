/* One batch of due schedules: taken under lock, decided, written with their jobs, committed. */
#include "producer/firing.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "producer/dues.h"
#include "producer/tx.h"
#include "producer/zone_watch.h"

enum {
    MUTE_MS = 60000 /* a schedule that makes trouble is left alone for so long */
};

typedef struct jm_muted {
    jm_uuid id;
    int64_t until_ms;
} jm_muted;

struct jm_firing {
    jm_pg *pg;
    jm_db_clock *clock;
    jm_zone_cache *zones;
    jm_zone_watch *watch;
    jm_dues *dues;
    int64_t skip_us; /* when the next instant comes that a calendar leaves out, as last heard */
    jm_muted *muted;
    size_t n_muted, cap_muted;
    int limit; /* schedules a transaction: JM_FIRING_MANY, fewer while one that is refused is looked
                  for */
    jm_tally submitted; /* queue, type, source */
    _Atomic uint64_t counts[JM_TICK_COALESCED + 1];
};

jm_firing *jm_firing_new(const char *conninfo, const char *schema, jm_db_clock *clock,
                         jm_pulse *pulse)
{
    jm_firing *firing = jm_calloc(1, sizeof *firing);
    jm_pg_options options = {.conninfo = conninfo,
                             .schema = schema,
                             .name = "jobmill-producer scheduler",
                             .batch = true,
                             .pulse = pulse,
                             .clock = clock};
    firing->pg = jm_pg_new(&options);
    firing->clock = clock;
    firing->zones = jm_zone_cache_new(NULL);
    firing->watch = jm_zone_watch_new(firing->zones);
    firing->dues = jm_dues_new();
    firing->limit = JM_FIRING_MANY;
    firing->skip_us = INT64_MAX;
    return firing;
}

void jm_firing_count(jm_firing *firing, jm_metric *submitted)
{
    jm_tally_init(&firing->submitted, submitted);
}

void jm_firing_free(jm_firing *firing)
{
    if (!firing)
        return;
    jm_pg_free(firing->pg);
    jm_zone_watch_free(firing->watch);
    jm_zone_cache_free(firing->zones);
    jm_dues_free(firing->dues);
    free(firing->muted);
    free(firing);
}

int jm_firing_ensure(jm_firing *firing, jm_err *err)
{
    return jm_pg_ensure(firing->pg, err);
}

void jm_firing_watch_zones(jm_firing *firing, bool now)
{
    if (now)
        jm_zone_watch_now(firing->watch);
    jm_zone_watch_turn(firing->watch, firing->pg);
}

int jm_firing_retry_in_ms(const jm_firing *firing)
{
    return jm_pg_retry_in_ms(firing->pg);
}

void jm_firing_forgive(jm_firing *firing)
{
    firing->n_muted = 0;
    jm_zone_watch_soon(firing->watch);
}

void jm_firing_get_stats(const jm_firing *firing, jm_firing_stats *out)
{
    *out = (jm_firing_stats){.fired = atomic_load(&firing->counts[JM_TICK_FIRED]),
                             .skipped = atomic_load(&firing->counts[JM_TICK_SKIPPED]),
                             .missed = atomic_load(&firing->counts[JM_TICK_MISSED]),
                             .coalesced = atomic_load(&firing->counts[JM_TICK_COALESCED])};
}

/* Leaves a schedule alone for a while, so that it neither spins nor stands before others. */
static void mute(void *ctx, const jm_schedule *schedule, const jm_err *err)
{
    jm_firing *firing = ctx;
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

static int64_t instant(const PGresult *res, int col)
{
    return PQgetisnull(res, 0, col) ? INT64_MAX : jm_pg_get_ts(res, 0, col);
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
        int64_t run_us = instant(call.res, 0);
        firing->skip_us = instant(call.res, 2);
        *due_us = run_us < firing->skip_us ? run_us : firing->skip_us;
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

/* Instants that run, or instants that calendars leave out. */
static int take(jm_firing *firing, const jm_sql *sql, int *taken, jm_err *err)
{
    jm_pg_args args;
    jm_col muted;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, firing->limit);
    arg_muted(firing, &args, &muted);
    jm_pg_call calls[] = {{.sql = &jm_tx_begin}, {.sql = sql, .args = &args, .binary = true}};
    int rc = jm_pg_run(firing->pg, calls, 2, err);
    if (!rc) {
        *taken = PQntuples(calls[1].res);
        jm_dues_read(firing->dues, calls[1].res, firing->zones, mute, firing);
    }
    jm_pg_calls_clear(calls, 2);
    jm_col_fini(&muted);
    return rc ? rc : jm_dues_read_calendars(firing->dues, firing->pg, mute, firing, err);
}

/* Looks for the schedule that PostgreSQL refuses by taking them one at a time, and mutes it. */
static void narrow(jm_firing *firing, const jm_err *err)
{
    if (err->code != JM_ERR_DB || err->retriable)
        return;
    if (firing->limit > 1)
        firing->limit = 1;
    else if (jm_dues_count(firing->dues))
        mute(firing, &jm_dues_at(firing->dues, 0)->schedule, err);
}

/* No partition for this week: the janitor makes them ahead, but it may have been away. */
static bool make_partitions(jm_firing *firing, const jm_err *err)
{
    jm_err ignored;
    return err->no_partition &&
           !jm_pg_query(firing->pg, &jm_sql_janitor_partitions, NULL, NULL, &ignored);
}

static void count_jobs(void *ctx, const jm_schedule *schedule)
{
    const char *values[] = {schedule->queue, schedule->type, "schedule"};
    jm_tally_add(ctx, values);
}

static void tell(void *ctx, const char *payload)
{
    jm_wakeup_send(ctx, payload);
}

static void committed(jm_firing *firing, jm_wakeup *wakeup)
{
    uint64_t counts[JM_TICK_COALESCED + 1] = {0};
    firing->limit = firing->limit * 2 < JM_FIRING_MANY ? firing->limit * 2 : JM_FIRING_MANY;
    jm_dues_tally(firing->dues, counts);
    for (int i = 0; i <= JM_TICK_COALESCED; i++)
        atomic_fetch_add(&firing->counts[i], counts[i]);
    jm_dues_each_job(firing->dues, count_jobs, &firing->submitted);
    jm_tally_flush(&firing->submitted);
    if (wakeup)
        jm_dues_tell(firing->dues, tell, wakeup);
}

static int fire(jm_firing *firing, const jm_sql *sql, jm_chain *made, int *taken, jm_err *err)
{
    int rc = take(firing, sql, taken, err);
    if (!rc && !jm_dues_count(firing->dues)) {
        jm_tx_rollback(firing->pg);
        return JM_OK;
    }
    if (!rc)
        rc = jm_dues_decide(firing->dues, firing->pg, err);
    return rc ? rc : jm_dues_write(firing->dues, firing->pg, true, made, err);
}

static int run(jm_firing *firing, const jm_sql *sql, jm_wakeup *wakeup, jm_chain *items, int *taken,
               jm_err *err)
{
    jm_chain made = {0};
    *taken = 0;
    jm_dues_reset(firing->dues);
    int rc = fire(firing, sql, &made, taken, err);
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

int jm_firing_run(jm_firing *firing, jm_wakeup *wakeup, jm_chain *items, int *taken, jm_err *err)
{
    int closed = 0;
    int rc = run(firing, &jm_sql_scheduler_take, wakeup, items, taken, err);
    if (!rc && (!*taken || firing->skip_us <= jm_db_clock_us(firing->clock)))
        rc = run(firing, &jm_sql_scheduler_take_closed, wakeup, items, &closed, err);
    *taken += closed;
    return rc;
}
