/* The scheduler: sleeps until a schedule is due by PostgreSQL's clock, and fires it. */
#include "producer/scheduler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "producer/look.h"

enum {
    TURN_MS = 1000, /* longest sleep: PostgreSQL's clock may be set */
    BUSY_MS = 5,    /* what is due is locked: by an edit, or by another producer that fires it */
    REFUSED_MS = 200
};

/* Fires beside the scheduler, on a connection of its own, while more is due than fits into one
 * transaction: PostgreSQL then works on one batch while the next is prepared. */
typedef struct jm_helper {
    jm_scheduler *scheduler;
    pthread_t thread;
    jm_queue *queue; /* as the scheduler's */
    _Atomic bool stop;
    jm_firing *firing;
} jm_helper;

struct jm_scheduler {
    pthread_t thread;
    jm_helper helper;
    jm_queue *queue; /* carries nothing: its wake and its close are all there is to hear */
    _Atomic bool edited, look_at_zones;
    _Atomic int64_t told_us;  /* what the look has seen since the database was asked */
    _Atomic int64_t heard_ms; /* monotonic; when there was a look, or an answer */
    /* the thread's own */
    jm_firing *firing;
    jm_db_clock *clock;
    jm_relay *relay;
    jm_wakeup *wakeup;
    jm_pulse *pulse;
    _Atomic int64_t due_us; /* when the next schedule is due; 0: to be asked. Others read it */
    bool started;           /* has been in touch with the database */
};

void jm_scheduler_wake(jm_scheduler *scheduler)
{
    atomic_store(&scheduler->edited, true);
    jm_queue_wake(scheduler->queue);
}

/* Only what is sooner than known matters: what has moved on is noticed when it is found not due. */
void jm_scheduler_tell(jm_scheduler *scheduler, int64_t next_us)
{
    atomic_store(&scheduler->heard_ms, jm_mono_ms());
    atomic_store(&scheduler->told_us, next_us);
    if (next_us < atomic_load(&scheduler->due_us))
        jm_queue_wake(scheduler->queue);
}

void jm_scheduler_look_at_zones(jm_scheduler *scheduler)
{
    atomic_store(&scheduler->look_at_zones, true);
    jm_queue_wake(scheduler->queue);
}

void jm_scheduler_get_stats(const jm_scheduler *scheduler, jm_firing_stats *out)
{
    jm_firing_stats more;
    jm_firing_get_stats(scheduler->firing, out);
    jm_firing_get_stats(scheduler->helper.firing, &more);
    out->fired += more.fired;
    out->skipped += more.skipped;
    out->missed += more.missed;
    out->coalesced += more.coalesced;
}

static void say_started(jm_scheduler *scheduler)
{
    int64_t n;
    jm_err err;
    if (scheduler->started || jm_firing_active(scheduler->firing, &n, &err))
        return;
    scheduler->started = true;
    jm_logf(JM_INFO, "scheduler", "Scheduler started with %lld active schedules", (long long)n);
}

/* One batch, and its jobs to the relay. */
static int fire_batch(jm_scheduler *scheduler, jm_firing *firing, int *taken)
{
    jm_chain items = {0};
    jm_err err = {0};
    int rc = jm_firing_run(firing, scheduler->wakeup, &items, taken, &err);
    if (rc)
        jm_log_kv(JM_WARNING, "scheduler", err.msg, "sqlstate", *err.sqlstate ? err.sqlstate : NULL,
                  NULL);
    else
        jm_relay_hand_over(scheduler->relay, &items);
    return rc;
}

static int fire(jm_scheduler *scheduler)
{
    int taken;
    int rc = fire_batch(scheduler, scheduler->firing, &taken);
    scheduler->due_us = 0;
    if (rc)
        return rc == JM_ERR_DB ? REFUSED_MS : 0;
    if (taken >= JM_FIRING_MANY)
        jm_queue_wake(scheduler->helper.queue);
    return taken ? 0 : BUSY_MS;
}

static void help(jm_helper *helper)
{
    jm_err err;
    int taken = JM_FIRING_MANY;
    if (jm_firing_ensure(helper->firing, &err))
        return;
    jm_firing_watch_zones(helper->firing, false);
    while (taken >= JM_FIRING_MANY && !atomic_load(&helper->stop) &&
           !fire_batch(helper->scheduler, helper->firing, &taken))
        ;
}

static void *run_helper(void *arg)
{
    jm_helper *helper = arg;
    jm_chain none = {0};
    pthread_setname_np(pthread_self(), "jm-firing");
    while (jm_queue_pop_all(helper->queue, &none, -1) != JM_ERR_CLOSED)
        help(helper);
    return NULL;
}

static void start_helper(jm_scheduler *scheduler, const jm_scheduler_options *options)
{
    jm_helper *helper = &scheduler->helper;
    helper->scheduler = scheduler;
    helper->queue = jm_queue_new(0);
    helper->firing = jm_firing_new(options->conninfo, options->schema, options->clock, NULL);
    jm_firing_count(helper->firing, options->submitted);
    if (pthread_create(&helper->thread, NULL, run_helper, helper))
        abort(); /* out of threads before the program has begun to work */
}

static void stop_helper(jm_helper *helper)
{
    atomic_store(&helper->stop, true);
    jm_queue_close(helper->queue);
    pthread_join(helper->thread, NULL);
    jm_firing_free(helper->firing);
    jm_queue_free(helper->queue);
}

/* Asks the database when the next schedule is due; returns how long to wait then, in ms. */
static int ask(jm_scheduler *scheduler)
{
    jm_err err = {0};
    int64_t due_us = 0;
    atomic_store(&scheduler->told_us, INT64_MAX);
    int rc = jm_firing_next(scheduler->firing, &due_us, &err);
    scheduler->due_us = rc ? 0 : due_us;
    atomic_store(&scheduler->heard_ms, jm_mono_ms());
    if (rc == JM_ERR_DB)
        jm_logf(JM_WARNING, "scheduler", "cannot look for due schedules: %s", err.msg);
    return rc == JM_ERR_DB ? TURN_MS : 0;
}

/* One round; returns the milliseconds until the next. */
static int one_round(jm_scheduler *scheduler)
{
    jm_err err = {0};
    if (jm_firing_ensure(scheduler->firing, &err))
        return jm_firing_retry_in_ms(scheduler->firing) + 1;
    say_started(scheduler);
    jm_firing_watch_zones(scheduler->firing, atomic_exchange(&scheduler->look_at_zones, false));
    if (atomic_exchange(&scheduler->edited, false)) {
        jm_firing_forgive(scheduler->firing);
        scheduler->due_us = 0;
    }
    int64_t due_us = scheduler->due_us;
    if (due_us && due_us <= jm_db_clock_us(scheduler->clock))
        return fire(scheduler);
    if (!due_us || atomic_load(&scheduler->told_us) < due_us ||
        jm_mono_ms() - atomic_load(&scheduler->heard_ms) > JM_LOOK_LATE_MS)
        return ask(scheduler);
    int64_t left_us = due_us - jm_db_clock_us(scheduler->clock);
    if (left_us <= 0)
        return 0;
    return left_us < TURN_MS * 1000 ? (int)((left_us + 999) / 1000) : TURN_MS;
}

static void *run(void *arg)
{
    jm_scheduler *scheduler = arg;
    pthread_setname_np(pthread_self(), "jm-scheduler");
    jm_chain none = {0};
    do
        jm_pulse_beat(scheduler->pulse);
    while (jm_queue_pop_all(scheduler->queue, &none, one_round(scheduler)) != JM_ERR_CLOSED);
    jm_pulse_rest(scheduler->pulse);
    return NULL;
}

jm_scheduler *jm_scheduler_new(const jm_scheduler_options *options)
{
    jm_scheduler *scheduler = jm_calloc(1, sizeof *scheduler);
    scheduler->firing =
        jm_firing_new(options->conninfo, options->schema, options->clock, options->pulse);
    jm_firing_count(scheduler->firing, options->submitted);
    scheduler->clock = options->clock;
    scheduler->relay = options->relay;
    scheduler->wakeup = options->wakeup;
    scheduler->pulse = options->pulse;
    scheduler->queue = jm_queue_new(0);
    atomic_store(&scheduler->told_us, INT64_MAX);
    start_helper(scheduler, options);
    if (pthread_create(&scheduler->thread, NULL, run, scheduler))
        abort(); /* out of threads before the program has begun to work */
    return scheduler;
}

void jm_scheduler_free(jm_scheduler *scheduler)
{
    if (!scheduler)
        return;
    jm_queue_close(scheduler->queue);
    pthread_join(scheduler->thread, NULL);
    stop_helper(&scheduler->helper);
    jm_firing_free(scheduler->firing);
    jm_queue_free(scheduler->queue);
    free(scheduler);
}
