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

struct jm_scheduler {
    pthread_t thread;
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
    jm_firing_get_stats(scheduler->firing, out);
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

static int fire(jm_scheduler *scheduler)
{
    jm_chain items = {0};
    jm_err err = {0};
    int taken;
    int rc = jm_firing_run(scheduler->firing, scheduler->wakeup, &items, &taken, &err);
    scheduler->due_us = 0;
    if (rc) {
        jm_log_kv(JM_WARNING, "scheduler", err.msg, "sqlstate", *err.sqlstate ? err.sqlstate : NULL,
                  NULL);
        return rc == JM_ERR_DB ? REFUSED_MS : 0;
    }
    jm_relay_hand_over(scheduler->relay, &items);
    return taken ? 0 : BUSY_MS;
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
    jm_firing_free(scheduler->firing);
    jm_queue_free(scheduler->queue);
    free(scheduler);
}
