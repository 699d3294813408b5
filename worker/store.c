/* The thread between Kafka and PostgreSQL: accept and start in turn. */
#include "worker/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/wakeup.h"
#include "worker/store_priv.h"

enum {
    BATCHES_QUEUED = 2, /* one being parsed, one waiting: more would only be latency */
    GAUGE_MS = 10000,   /* gauges of what waits are looked up this often */
    GATHER_US = 2000,   /* from one look for ready jobs to the next, while few slots are free */
    POLL_MS = 1000,     /* ready jobs are looked for at least this often */
    STOP_MS = 3000,     /* for a statement in flight, at the end */
    FINISH_MS = 1000    /* to end a session that was given up */
};

jm_store *jm_store_new(const jm_store_options *options)
{
    jm_store *store = jm_calloc(1, sizeof *store);
    store->options = *options;
    store->batches = jm_queue_new(BATCHES_QUEUED);
    store->pg = jm_pg_new(&(jm_pg_options){.conninfo = options->conninfo,
                                           .schema = options->schema,
                                           .name = "jobmill-worker store",
                                           .batch = true,
                                           .pulse = options->pulse,
                                           .clock = options->clock});
    while (options->queues[store->n_queues])
        store->n_queues++;
    store->paused = jm_calloc((size_t)store->n_queues, sizeof *store->paused);
    for (int c = 0; c < JM_SLOT_CLASSES; c++)
        store->shares[c] = jm_shares_new(options->weights, store->n_queues);
    atomic_store(&store->next_ready_us, INT64_MAX);
    store->maybe_ready = JM_ALL_CLASSES;
    store->gauged_ms = jm_mono_ms() - GAUGE_MS;
    return store;
}

void jm_store_set_registered(jm_store *store)
{
    atomic_store(&store->registered, true);
    jm_queue_wake(store->batches);
}

/* The intake: called by the consumer. */

static bool wants(void *ctx)
{
    return !jm_queue_is_full(((jm_store *)ctx)->batches);
}

static bool is_idle(void *ctx)
{
    return !jm_queue_len(((jm_store *)ctx)->batches);
}

static int push(void *ctx, jm_batch *batch)
{
    jm_chain chain = {0};
    jm_chain_add(&chain, &batch->node);
    return jm_queue_push(((jm_store *)ctx)->batches, &chain);
}

/* More than max_waiting jobs of the queue wait. */
static bool is_paused(void *ctx, int queue)
{
    return atomic_load_explicit(&((jm_store *)ctx)->paused[queue], memory_order_relaxed);
}

jm_intake jm_store_intake(jm_store *store)
{
    return (jm_intake){store, wants, is_idle, push, is_paused};
}

static void wake(jm_store *store, unsigned classes)
{
    if (!atomic_fetch_or(&store->woken, classes))
        jm_queue_wake(store->batches);
}

void jm_store_wake(jm_store *store)
{
    wake(store, JM_ALL_CLASSES);
}

void jm_store_slots_freed(jm_store *store, jm_slot_class slot_class)
{
    unsigned bit = 1u << slot_class;
    if (atomic_load_explicit(&store->starved, memory_order_acquire) & bit)
        wake(store, bit);
}

void jm_store_ready_at(jm_store *store, int64_t db_us)
{
    int64_t known = atomic_load(&store->next_ready_us);
    while (db_us < known && !atomic_compare_exchange_weak(&store->next_ready_us, &known, db_us))
        ;
    if (db_us < known)
        jm_queue_wake(store->batches);
}

bool jm_store_is_up(jm_store *store)
{
    return atomic_load(&store->up);
}

const jm_store_counts *jm_store_get_counts(const jm_store *store)
{
    return &store->counts;
}

/* ---- the thread ---- */

bool jm_store_wait_ms(jm_store *store, int ms)
{
    int64_t until = jm_mono_ms() + ms;
    while (!atomic_load(&store->stopping)) {
        int64_t left = until - jm_mono_ms();
        if (left <= 0)
            return true;
        jm_pulse_beat(store->options.pulse);
        /* Wakes are noticed but batches stay where they are. */
        struct timespec ts = {.tv_nsec = (left < 20 ? left : 20) * 1000000L};
        nanosleep(&ts, NULL);
    }
    return false;
}

bool jm_store_wait_db(jm_store *store)
{
    atomic_store(&store->up, jm_pg_is_up(store->pg));
    bool up = jm_pg_wait(store->pg, &store->stopping);
    atomic_store(&store->up, up);
    return up;
}

/* Counts what waits, to pause queues that have enough, and learns when the next job becomes ready.
 */
static int look_at_waiting(jm_store *store, jm_err *err)
{
    int rc = JM_OK, bound = store->options.max_waiting;
    for (int q = 0; q < store->n_queues && !rc; q++) {
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_text(&args, store->options.queues[q]);
        jm_pg_arg_i32(&args, bound + 1);
        jm_pg_call call = {.sql = &jm_sql_start_waiting, .args = &args, .binary = true};
        rc = jm_pg_run(store->pg, &call, 1, err);
        if (rc)
            break;
        int64_t waiting = jm_pg_get_i64(call.res, 0, 0);
        if (store->options.meters)
            jm_series_set(jm_metric_get(store->options.meters->queue,
                                        (const char *[]){store->options.queues[q], "pending"}),
                          waiting);
        if (!PQgetisnull(call.res, 0, 1))
            jm_store_ready_at(store, jm_pg_get_ts(call.res, 0, 1));
        PQclear(call.res);
        bool paused = atomic_load(&store->paused[q]);
        bool pause = paused ? waiting > bound - bound / 5 : waiting > bound;
        if (pause != paused)
            jm_log_kv(JM_INFO, "store",
                      pause ? "queue paused: more than max_waiting jobs wait" : "queue resumed",
                      "queue", store->options.queues[q], NULL);
        atomic_store(&store->paused[q], pause);
        store->maybe_ready |= waiting ? JM_ALL_CLASSES : 0;
    }
    return rc;
}

/* Gauges of the whole database and of our queues. A failure is the next turn's to notice. */
static void gauge_pending(jm_store *store)
{
    jm_meters *meters = store->options.meters;
    jm_col queues;
    jm_col_init(&queues, JM_COL_TEXT);
    for (int q = 0; q < store->n_queues; q++)
        jm_col_add_str(&queues, store->options.queues[q]);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &queues);
    jm_pg_call call = {.sql = &jm_sql_start_gauges, .args = &args, .binary = true};
    jm_err ignored;
    if (meters && !jm_pg_run(store->pg, &call, 1, &ignored)) {
        for (int row = 0; row < PQntuples(call.res); row++) {
            const char *name = jm_pg_get_text(call.res, row, 1, NULL);
            jm_metric *metric = jm_pg_get_bool(call.res, row, 0) ? meters->pending : meters->oldest;
            jm_series_set(jm_metric_get(metric, &name), jm_pg_get_i64(call.res, row, 2));
        }
        PQclear(call.res);
    }
    jm_col_fini(&queues);
}

/* Whether it is time to look for waiting jobs. */
static bool is_start_due(jm_store *store)
{
    return store->maybe_ready || atomic_load(&store->woken) ||
           jm_mono_ms() - store->polled_ms >= POLL_MS ||
           jm_db_clock_us(store->options.clock) >= atomic_load(&store->next_ready_us);
}

/* While only few slots are free, a moment after jobs were last started: more come free meanwhile,
 * and a transaction of one job costs PostgreSQL as much as one of many. Not with several queues:
 * all that is free at one time goes to one of them, so that their shares would be coarse. */
static void gather_slots(const jm_store *store, unsigned classes)
{
    int64_t wait_us = store->started_us + GATHER_US - jm_mono_us();
    if (wait_us <= 0 || store->n_queues > 1)
        return;
    for (int c = 0; c < JM_SLOT_CLASSES; c++)
        if ((classes & 1u << c) && jm_slots_half_free(store->options.slots, (jm_slot_class)c))
            return;
    nanosleep(&(struct timespec){.tv_nsec = wait_us * 1000}, NULL);
}

static void start_ready(jm_store *store)
{
    jm_err err = {0};
    unsigned classes = store->maybe_ready | atomic_exchange(&store->woken, 0), more = 0;
    if (jm_db_clock_us(store->options.clock) >= atomic_load(&store->next_ready_us)) {
        atomic_store(&store->next_ready_us, INT64_MAX);
        classes = JM_ALL_CLASSES;
    }
    gather_slots(store, classes);
    store->started_us = jm_mono_us();
    store->maybe_ready = 0;
    int rc = JM_OK;
    if (jm_mono_ms() - store->polled_ms >= POLL_MS) {
        store->polled_ms = jm_mono_ms();
        classes = JM_ALL_CLASSES;
        rc = look_at_waiting(store, &err);
        if (!rc && jm_mono_ms() - store->gauged_ms >= GAUGE_MS) {
            store->gauged_ms = jm_mono_ms();
            gauge_pending(store);
        }
    }
    rc = rc ? rc : jm_start(store, classes, &more, &err);
    store->maybe_ready |= more;
    if (rc && rc != JM_ERR_CLOSED && rc != JM_ERR_DB_DOWN && !err.retriable) {
        jm_log_kv(JM_ERROR, "store", "cannot start waiting jobs", "why", err.msg, NULL);
        jm_store_wait_ms(store, 1000);
    }
}

/* Milliseconds until something may have to be done without being woken. */
static int idle_ms(jm_store *store)
{
    int64_t poll = store->polled_ms + POLL_MS - jm_mono_ms();
    int64_t next = atomic_load(&store->next_ready_us);
    if (next != INT64_MAX) {
        int64_t ready = (next - jm_db_clock_us(store->options.clock)) / 1000 + 1;
        poll = ready < poll ? ready : poll;
    }
    return poll < 0 ? 0 : (int)poll;
}

static void accept_one(jm_store *store, jm_chain *batches)
{
    jm_batch *batch = (jm_batch *)jm_chain_take(batches);
    if (batch)
        jm_accept(store, batch);
}

static bool is_behind(jm_store *store)
{
    return store->options.is_behind(store->options.ctx);
}

static void drop_all(jm_chain *batches)
{
    for (jm_node *node; (node = jm_chain_take(batches));)
        jm_batch_free((jm_batch *)node);
}

static void *store_main(void *arg)
{
    jm_store *store = arg;
    jm_chain batches = {0};
    while (!atomic_load(&store->stopping)) {
        jm_pulse_beat(store->options.pulse);
        if (!jm_store_wait_db(store))
            break;
        if (!atomic_load(&store->registered) || is_behind(store)) {
            jm_store_wait_ms(store, 2);
            continue;
        }
        if (!batches.n)
            jm_queue_pop_all(store->batches, &batches, is_start_due(store) ? 0 : idle_ms(store));
        store->accept_first = !store->accept_first;
        if (store->accept_first)
            accept_one(store, &batches);
        if (!atomic_load(&store->stopping) && is_start_due(store))
            start_ready(store);
        if (!store->accept_first)
            accept_one(store, &batches);
    }
    drop_all(&batches);
    while (jm_queue_pop_all(store->batches, &batches, 0) == JM_OK)
        drop_all(&batches);
    jm_pg_finish(store->pg, FINISH_MS);
    jm_pulse_rest(store->options.pulse);
    atomic_store(&store->done, true);
    return NULL;
}

int jm_store_start(jm_store *store, jm_err *err)
{
    if (pthread_create(&store->thread, NULL, store_main, store))
        return jm_err_errno(err, JM_ERR_IO, "cannot start the store thread");
    pthread_setname_np(store->thread, "store");
    store->started_thread = true;
    return JM_OK;
}

void jm_store_close(jm_store *store, int within_ms)
{
    jm_pg_give_up_at(store->pg, jm_mono_ms() + within_ms);
    atomic_store(&store->stopping, true);
    jm_queue_close(store->batches);
}

bool jm_store_is_done(jm_store *store)
{
    return atomic_load(&store->done) || !store->started_thread;
}

void jm_store_stop(jm_store *store)
{
    if (!atomic_load(&store->stopping))
        jm_store_close(store, STOP_MS);
    if (store->started_thread)
        pthread_join(store->thread, NULL);
    store->started_thread = false;
}

void jm_store_free(jm_store *store)
{
    if (!store)
        return;
    jm_chain batches = {0};
    jm_queue_pop_all(store->batches, &batches, 0);
    drop_all(&batches);
    jm_queue_free(store->batches);
    jm_pg_free(store->pg);
    for (int i = 0; i < store->n_projects; i++)
        free(store->projects[i]);
    free(store->projects);
    free((void *)store->paused);
    for (int c = 0; c < JM_SLOT_CLASSES; c++)
        jm_shares_free(store->shares[c]);
    free(store);
}
