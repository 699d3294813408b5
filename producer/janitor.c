/* The janitor: rescue, expiry, sweep, counts, partitions, retention, and the producer's own row. */
#include "producer/janitor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/queue.h"
#include "producer/announce.h"
#include "producer/clock_skew.h"
#include "producer/dependencies.h"
#include "producer/forget.h"
#include "producer/ledger_trim.h"
#include "producer/look.h"
#include "producer/rescue.h"
#include "producer/retention.h"
#include "producer/tx.h"

enum {
    LEASE_S = 30, /* of the producer's own row: nothing is rescued from it, it is for people */
    BEAT_MS = LEASE_S * 1000 / 3,
    FOLD_ROWS = 10000,
    DROP_ROWS = 5000,
    LATE_ROWS = 500,
    LOCK_ROWS = 1000,
    SWEEP_ROWS = 1000, /* as in janitor_sweep.sql */
    SILENT_MS = 3000,  /* a look that takes longer says that the database is away */
    FAILED_MS = 10000, /* a chore that failed is tried again after its interval, at most this */
    MAX_CHORES = 16
};

struct jm_janitor {
    pthread_t thread;
    jm_queue *queue; /* carries nothing: its close ends the thread */
    _Atomic uint64_t lost_workers, rescued, expired, swept, forgotten;
    _Atomic bool reloaded;
    jm_clock_skew skew;
    _Atomic bool reached;     /* the last statement was answered */
    _Atomic int64_t asked_ms; /* since when a look waits for its answer; 0: none does */
    /* the thread's own */
    const jm_config *config;
    jm_pg *pg;
    jm_db_clock *clock;
    jm_wakeup *wakeup;
    jm_events *events;
    jm_pulse *pulse;
    jm_uuid id;
    char host[256];
    void (*on_look)(void *ctx, const jm_look *look);
    void *ctx;
    int64_t next_ms[MAX_CHORES]; /* not before */
    bool found[JM_LOOK_CHORES];  /* seen by the look and not done since */
    int64_t look_ms, beat_ms;    /* when to look again; when with the producer's own row */
    /* Since when the database has been reached without interruption (0: it is not), and the last
     * time: what a rescue stands on. */
    int64_t reach_since_ms, reached_ms;
    uint64_t generation;
    jm_dependencies dependencies;
    jm_ledger_trim ledger;
};

/* Runs one chore; *more: at once again, there is more to do. */
typedef int chore_fn(jm_janitor *janitor, bool *more, jm_err *err);

static chore_fn rescue, expire, cancel, missing, announce, depends, sweep, locks, fold, forget,
    dedup, idempotency, workers, partitions, retention, ledger;

#define ALWAYS JM_LOOK_CHORES

/* A chore runs when the look has found something to do for it (ALWAYS: without that), and not more
 * often than its interval. */
static const struct {
    const char *name;
    int interval_ms;
    jm_look_chore when;
    chore_fn *run;
} chores[] = {
    {"rescue", 1000, JM_LOOK_RESCUE, rescue},
    {"expire", 1000, JM_LOOK_EXPIRE, expire},
    {"cancel", 1000, JM_LOOK_CANCEL, cancel},
    {"missing", 1000, JM_LOOK_MISSING, missing},
    {"announce", 1000, JM_LOOK_ANNOUNCE, announce},
    {"depends", 30000, JM_LOOK_DEPENDS, depends},
    {"sweep", 5000, JM_LOOK_SWEEP, sweep},
    {"locks", 5000, JM_LOOK_LOCKS, locks},
    {"fold", 2000, JM_LOOK_FOLD, fold},
    {"forget", 1000, JM_LOOK_FORGET, forget},
    {"dedup", 30000, JM_LOOK_DEDUP, dedup},
    {"idempotency", 600000, ALWAYS, idempotency},
    {"workers", 60000, JM_LOOK_WORKERS, workers},
    {"partitions", 3600000, ALWAYS, partitions},
    {"retention", 3600000, ALWAYS, retention},
    {"ledger", 600000, ALWAYS, ledger},
};

enum { N_CHORES = sizeof chores / sizeof *chores };
_Static_assert((int)N_CHORES <= (int)MAX_CHORES, "room for every chore");

/* The number in a result's first column. */
static int64_t first_number(const PGresult *res)
{
    return PQntuples(res) ? jm_pg_get_i64(res, 0, 0) : 0;
}

static int rescue(jm_janitor *janitor, bool *more, jm_err *err)
{
    (void)more;
    jm_rescue_result result;
    int64_t reach_ms = janitor->reach_since_ms ? jm_mono_ms() - janitor->reach_since_ms : 0;
    int rc = jm_rescue_run(janitor->pg, reach_ms, janitor->wakeup,
                           &janitor->dependencies.dependents, &result, err);
    atomic_fetch_add(&janitor->lost_workers, result.workers);
    atomic_fetch_add(&janitor->rescued, result.again + result.ended);
    if (result.stalled)
        janitor->reach_since_ms = 0;
    return rc ? rc : jm_dependencies_settle(&janitor->dependencies, janitor->pg, err);
}

static int announce(jm_janitor *janitor, bool *more, jm_err *err)
{
    return jm_announce_run(janitor->pg, janitor->events, more, err);
}

/* Ends the jobs of a locked batch whose start_by has passed; ids need not be in order. */
static int expire_batch(jm_janitor *janitor, const PGresult *late, jm_err *err)
{
    jm_col ids;
    jm_col_init(&ids, JM_COL_UUID);
    jm_uuid first = jm_pg_get_uuid(late, 0, 0), last = first;
    for (int row = 0; row < PQntuples(late); row++) {
        jm_uuid id = jm_pg_get_uuid(late, row, 0);
        first = jm_uuid_cmp(&id, &first) < 0 ? id : first;
        last = jm_uuid_cmp(&id, &last) > 0 ? id : last;
        jm_col_add_uuid(&ids, &id);
    }
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &ids);
    jm_pg_arg_uuid(&args, &first);
    jm_pg_arg_uuid(&args, &last);
    jm_pg_call calls[] = {{.sql = &jm_sql_janitor_expire, .args = &args, .binary = true},
                          {.sql = &jm_tx_commit}};
    int rc = jm_pg_run(janitor->pg, calls, 2, err);
    if (!rc) {
        atomic_fetch_add(&janitor->expired, (uint64_t)PQntuples(calls[0].res));
        jm_dependents_add_rows(&janitor->dependencies.dependents, calls[0].res, 1);
    }
    jm_pg_calls_clear(calls, 2);
    jm_col_fini(&ids);
    return rc;
}

static int expire(jm_janitor *janitor, bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, LATE_ROWS);
    jm_pg_call calls[] = {{.sql = &jm_tx_begin},
                          {.sql = &jm_sql_janitor_late, .args = &args, .binary = true}};
    int rc = jm_pg_run(janitor->pg, calls, 2, err);
    int n = rc ? 0 : PQntuples(calls[1].res);
    if (n)
        rc = expire_batch(janitor, calls[1].res, err);
    if (rc || !n)
        jm_tx_rollback(janitor->pg);
    *more = !rc && n == LATE_ROWS;
    jm_pg_calls_clear(calls, 2);
    return rc ? rc : jm_dependencies_settle(&janitor->dependencies, janitor->pg, err);
}

/* Ends waiting jobs whose cancellation was asked for in the table alone. */
static int cancel(jm_janitor *janitor, bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, LATE_ROWS);
    jm_pg_call call = {.sql = &jm_sql_janitor_cancel, .args = &args, .binary = true};
    int rc = jm_pg_run(janitor->pg, &call, 1, err);
    *more = !rc && PQntuples(call.res) == LATE_ROWS;
    if (!rc)
        jm_dependents_add_rows(&janitor->dependencies.dependents, call.res, 1);
    jm_pg_calls_clear(&call, 1);
    return rc ? rc : jm_dependencies_settle(&janitor->dependencies, janitor->pg, err);
}

static int parent_wait_s(const jm_janitor *janitor)
{
    return (int)jm_config_int(janitor->config, "relay.parent_wait_s");
}

static int missing(jm_janitor *janitor, bool *more, jm_err *err)
{
    return jm_dependencies_look(&janitor->dependencies, janitor->pg, parent_wait_s(janitor), more,
                                err);
}

static int depends(jm_janitor *janitor, bool *more, jm_err *err)
{
    return jm_dependencies_walk(&janitor->dependencies, janitor->pg, parent_wait_s(janitor), more,
                                err);
}

static int sweep(jm_janitor *janitor, bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, (int)jm_config_int(janitor->config, "relay.sweep_after_s"));
    jm_pg_arg_i32(&args, (int)jm_config_int(janitor->config, "worker.max_waiting"));
    PGresult *res = NULL;
    int rc = jm_pg_query(janitor->pg, &jm_sql_janitor_sweep, &args, &res, err);
    int n = rc ? 0 : PQntuples(res);
    for (int row = 0; row < n; row++) {
        char payload[80];
        const char *queue = PQgetvalue(res, row, 0);
        if (row && !strcmp(queue, PQgetvalue(res, row - 1, 0)))
            continue;
        snprintf(payload, sizeof payload, "ready %s", queue);
        if (janitor->wakeup)
            jm_wakeup_send(janitor->wakeup, payload);
    }
    if (n)
        jm_logf(JM_WARNING, "janitor",
                "%d published jobs that no worker has claimed start from the database instead", n);
    atomic_fetch_add(&janitor->swept, (uint64_t)n);
    *more = n >= SWEEP_ROWS;
    PQclear(res);
    return rc;
}

static void tell_queues(jm_janitor *janitor, const PGresult *res)
{
    char payload[80];
    for (int row = 0; janitor->wakeup && row < PQntuples(res); row++) {
        snprintf(payload, sizeof payload, "ready %s", PQgetvalue(res, row, 0));
        jm_wakeup_send(janitor->wakeup, payload);
    }
}

static int locks(jm_janitor *janitor, bool *more, jm_err *err)
{
    (void)more;
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, LOCK_ROWS);
    PGresult *res = NULL;
    int rc = jm_pg_query(janitor->pg, &jm_sql_janitor_locks, &args, &res, err);
    if (!rc)
        tell_queues(janitor, res);
    PQclear(res);
    return rc;
}

static int fold(jm_janitor *janitor, bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_uuid oldest = jm_uuid7_floor(jm_db_clock_us(janitor->clock) / 1000 - 8 * INT64_C(86400000));
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, FOLD_ROWS);
    jm_pg_arg_uuid(&args, &oldest);
    jm_pg_call call = {.sql = &jm_sql_janitor_fold, .args = &args, .binary = true};
    int rc = jm_pg_run(janitor->pg, &call, 1, err);
    *more = !rc && first_number(call.res) == FOLD_ROWS;
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static int forget(jm_janitor *janitor, bool *more, jm_err *err)
{
    int64_t left = 0;
    int rc = jm_forget_run(janitor->pg, &left, err);
    *more = !rc && left > 0;
    return rc;
}

/* What a statement deletes whose one parameter is how many rows at most. */
static int drop_some(jm_janitor *janitor, const jm_sql *sql, bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, DROP_ROWS);
    PGresult *res = NULL;
    int rc = jm_pg_query(janitor->pg, sql, &args, &res, err);
    *more = !rc && strtol(PQcmdTuples(res), NULL, 10) == DROP_ROWS;
    PQclear(res);
    return rc;
}

static int dedup(jm_janitor *janitor, bool *more, jm_err *err)
{
    return drop_some(janitor, &jm_sql_janitor_dedup, more, err);
}

static int idempotency(jm_janitor *janitor, bool *more, jm_err *err)
{
    bool more_replays = false;
    int rc = drop_some(janitor, &jm_sql_janitor_idempotency, more, err);
    rc = rc ? rc : drop_some(janitor, &jm_sql_janitor_replays, &more_replays, err);
    *more = *more || more_replays;
    return rc;
}

static int workers(jm_janitor *janitor, bool *more, jm_err *err)
{
    (void)more;
    return jm_pg_query(janitor->pg, &jm_sql_janitor_workers, NULL, NULL, err);
}

static int partitions(jm_janitor *janitor, bool *more, jm_err *err)
{
    (void)more;
    jm_pg_call call = {.sql = &jm_sql_janitor_partitions, .binary = true};
    int rc = jm_pg_run(janitor->pg, &call, 1, err);
    if (!rc && first_number(call.res))
        jm_logf(JM_INFO, "janitor", "made %lld partitions", (long long)first_number(call.res));
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static int retention(jm_janitor *janitor, bool *more, jm_err *err)
{
    (void)more;
    int64_t days = jm_config_int(janitor->config, "retention.history_days");
    if (!days)
        return JM_OK;
    int dropped;
    int64_t before_us = jm_db_clock_us(janitor->clock) - days * INT64_C(86400000000);
    int rc = jm_retention_run(janitor->pg, before_us, &dropped, err);
    if (dropped)
        jm_logf(JM_INFO, "janitor", "retention dropped %d partitions", dropped);
    return rc;
}

static int ledger(jm_janitor *janitor, bool *more, jm_err *err)
{
    int64_t days = jm_config_int(janitor->config, "retention.ticks_days"), dropped;
    if (!days)
        return JM_OK;
    int64_t before_us = jm_db_clock_us(janitor->clock) - days * INT64_C(86400000000);
    int rc = jm_ledger_trim_run(&janitor->ledger, janitor->pg, before_us, &dropped, more, err);
    atomic_fetch_add(&janitor->forgotten, (uint64_t)dropped);
    return rc;
}

/* Judges, before and after each chore, whether the database has been within reach all the time. A
 * gap without contact is an interruption whatever its cause: the database was away, or this process
 * was stopped; the workers may not have been able to renew their leases either. */
static void note_contact(jm_janitor *janitor, int rc)
{
    int64_t now = jm_mono_ms();
    bool again = jm_pg_generation(janitor->pg) != janitor->generation;
    janitor->generation = jm_pg_generation(janitor->pg);
    if (rc == JM_ERR_DB_DOWN) {
        janitor->reach_since_ms = 0;
    } else if (again || !janitor->reach_since_ms || now - janitor->reached_ms > JM_RESCUE_GAP_MS) {
        janitor->reach_since_ms = now;
    }
    janitor->reached_ms = now;
    atomic_store(&janitor->reached, rc != JM_ERR_DB_DOWN);
}

/* Stopped and continued since the last contact? Then that contact says nothing about now. */
static void doubt_contact(jm_janitor *janitor)
{
    if (jm_mono_ms() - janitor->reached_ms > JM_RESCUE_GAP_MS)
        janitor->reach_since_ms = 0;
}

static void log_refusal(const char *chore, const jm_err *err)
{
    jm_log_kv(err->retriable ? JM_INFO : JM_WARNING, "janitor", err->msg, "chore", chore, NULL);
}

/* With the producer's own row when that is due, or always with a state. */
static int look(jm_janitor *janitor, const char *state, jm_look *out, jm_err *err)
{
    jm_look_self self = {.id = &janitor->id, .host = janitor->host, .lease_s = LEASE_S};
    bool beats = jm_mono_ms() >= janitor->beat_ms;
    int sweep_after_s = (int)jm_config_int(janitor->config, "relay.sweep_after_s");
    atomic_store(&janitor->asked_ms, jm_mono_ms());
    int rc = jm_look_run(janitor->pg, &self, state ? state : (beats ? "running" : NULL),
                         sweep_after_s, out, err);
    atomic_store(&janitor->asked_ms, 0);
    if (!rc && beats)
        janitor->beat_ms = jm_mono_ms() + BEAT_MS;
    return rc;
}

/* Where the look is refused every chore looks for itself, as often as its interval says. */
static void look_around(jm_janitor *janitor)
{
    jm_look seen;
    jm_err err = {0};
    doubt_contact(janitor);
    int rc = look(janitor, NULL, &seen, &err);
    note_contact(janitor, rc);
    janitor->look_ms = jm_mono_ms() + JM_LOOK_MS;
    if (rc == JM_ERR_DB)
        log_refusal("look", &err);
    for (int i = 0; i < JM_LOOK_CHORES && rc != JM_ERR_DB_DOWN; i++)
        janitor->found[i] = janitor->found[i] || rc || seen.found[i];
    if (rc)
        return;
    jm_db_clock_set(janitor->clock, seen.clock_us, seen.asked_us, seen.got_us);
    jm_clock_skew_note(&janitor->skew, jm_utc_us() - jm_db_clock_us(janitor->clock),
                       seen.got_us - seen.asked_us);
    if (janitor->on_look)
        janitor->on_look(janitor->ctx, &seen);
}

static void run_chore(jm_janitor *janitor, int i)
{
    jm_err err = {0};
    bool more = false;
    doubt_contact(janitor);
    int rc = chores[i].run(janitor, &more, &err);
    note_contact(janitor, rc);
    int64_t interval = chores[i].interval_ms;
    if (rc && interval > FAILED_MS)
        interval = FAILED_MS;
    janitor->next_ms[i] = more ? 0 : jm_mono_ms() + interval;
    if (!rc && !more && chores[i].when != ALWAYS)
        janitor->found[chores[i].when] = false;
    if (rc == JM_ERR_DB)
        log_refusal(chores[i].name, &err);
}

/* When a chore is to run, as far as is known. */
static int64_t chore_ms(const jm_janitor *janitor, int i)
{
    bool wanted = chores[i].when == ALWAYS || janitor->found[chores[i].when];
    return wanted ? janitor->next_ms[i] : INT64_MAX;
}

/* What runs seldom runs now: how long things are kept may have changed. */
static void hurry(jm_janitor *janitor)
{
    for (int i = 0; i < N_CHORES; i++)
        if (chores[i].when == ALWAYS)
            janitor->next_ms[i] = 0;
}

/* Looks and runs what is due; returns the milliseconds until the next. A long chore is not to keep
 * the look waiting longer than it lasts. */
static int one_round(jm_janitor *janitor)
{
    jm_err err = {0};
    if (jm_pg_ensure(janitor->pg, &err)) {
        janitor->reach_since_ms = 0;
        atomic_store(&janitor->reached, false);
        return jm_pg_retry_in_ms(janitor->pg) + 1;
    }
    if (atomic_exchange(&janitor->reloaded, false))
        hurry(janitor);
    for (int i = -1; i < N_CHORES && jm_pg_is_up(janitor->pg); i++) {
        if (jm_mono_ms() >= janitor->look_ms)
            look_around(janitor);
        if (i >= 0 && jm_pg_is_up(janitor->pg) && jm_mono_ms() >= chore_ms(janitor, i))
            run_chore(janitor, i);
    }
    int64_t now = jm_mono_ms(), next = janitor->look_ms;
    for (int i = 0; i < N_CHORES; i++)
        next = chore_ms(janitor, i) < next ? chore_ms(janitor, i) : next;
    return next > now ? (int)(next - now) : 0;
}

static void *run(void *arg)
{
    jm_janitor *janitor = arg;
    pthread_setname_np(pthread_self(), "jm-janitor");
    jm_chain none = {0};
    do
        jm_pulse_beat(janitor->pulse);
    while (jm_queue_pop_all(janitor->queue, &none, one_round(janitor)) != JM_ERR_CLOSED);
    jm_err err;
    jm_look ignored;
    if (jm_pg_is_up(janitor->pg))
        look(janitor, "stopped", &ignored, &err);
    jm_pulse_rest(janitor->pulse);
    return NULL;
}

jm_janitor *jm_janitor_new(const jm_janitor_options *options)
{
    jm_janitor *janitor = jm_calloc(1, sizeof *janitor);
    jm_pg_options pg = {.conninfo = options->conninfo,
                        .schema = options->schema,
                        .name = "jobmill-producer janitor",
                        .batch = true,
                        .pulse = options->pulse,
                        .clock = options->clock};
    janitor->pg = jm_pg_new(&pg);
    janitor->config = options->config;
    janitor->clock = options->clock;
    janitor->wakeup = options->wakeup;
    janitor->events = options->events;
    janitor->on_look = options->on_look;
    janitor->ctx = options->ctx;
    janitor->pulse = options->pulse;
    jm_dependencies_init(&janitor->dependencies, options->wakeup);
    janitor->id = jm_uuid7_new();
    if (gethostname(janitor->host, sizeof janitor->host - 1))
        snprintf(janitor->host, sizeof janitor->host, "unknown");
    janitor->queue = jm_queue_new(0);
    if (pthread_create(&janitor->thread, NULL, run, janitor))
        abort(); /* out of threads before the program has begun to work */
    return janitor;
}

void jm_janitor_free(jm_janitor *janitor)
{
    if (!janitor)
        return;
    jm_queue_close(janitor->queue);
    pthread_join(janitor->thread, NULL);
    jm_pg_free(janitor->pg);
    jm_dependencies_fini(&janitor->dependencies);
    jm_queue_free(janitor->queue);
    free(janitor);
}

void jm_janitor_reload(jm_janitor *janitor)
{
    atomic_store(&janitor->reloaded, true);
    jm_queue_wake(janitor->queue);
}

bool jm_janitor_is_up(const jm_janitor *janitor)
{
    int64_t asked = atomic_load(&janitor->asked_ms);
    return atomic_load(&janitor->reached) && (!asked || jm_mono_ms() - asked < SILENT_MS);
}

void jm_janitor_get_stats(const jm_janitor *janitor, jm_janitor_stats *out)
{
    *out = (jm_janitor_stats){.lost_workers = atomic_load(&janitor->lost_workers),
                              .rescued = atomic_load(&janitor->rescued),
                              .expired = atomic_load(&janitor->expired),
                              .swept = atomic_load(&janitor->swept),
                              .forgotten = atomic_load(&janitor->forgotten),
                              .clock_us = atomic_load(&janitor->skew.us),
                              .clock_off = atomic_load(&janitor->skew.off)};
}
