/* Watchdogs of threads. */
#include "common/watchdog.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define RESTS 0

struct jm_pulse {
    const char *name;
    int deadline_ms;
    _Atomic int64_t beat_ms; /* monotonic; RESTS: it waits by design */
    _Atomic int64_t times, late;
    bool was_stuck; /* the checking thread's */
};

struct jm_watchdog {
    jm_pulse pulses[JM_WATCHDOG_MAX];
    int n;
};

jm_watchdog *jm_watchdog_new(void)
{
    return jm_calloc(1, sizeof(jm_watchdog));
}

void jm_watchdog_free(jm_watchdog *watchdog)
{
    free(watchdog);
}

jm_pulse *jm_watchdog_add(jm_watchdog *watchdog, const char *name, int deadline_ms)
{
    assert(watchdog->n < JM_WATCHDOG_MAX);
    jm_pulse *pulse = &watchdog->pulses[watchdog->n++];
    pulse->name = name;
    pulse->deadline_ms = deadline_ms;
    return pulse;
}

void jm_pulse_beat(jm_pulse *pulse)
{
    if (pulse)
        atomic_store_explicit(&pulse->beat_ms, jm_mono_ms(), memory_order_relaxed);
}

void jm_pulse_rest(jm_pulse *pulse)
{
    if (pulse)
        atomic_store_explicit(&pulse->beat_ms, RESTS, memory_order_relaxed);
}

void jm_pulse_late(jm_pulse *pulse)
{
    if (pulse)
        atomic_fetch_add(&pulse->late, 1);
}

int64_t jm_watchdog_late(const jm_watchdog *watchdog, int i)
{
    return atomic_load(&watchdog->pulses[i].late);
}

int jm_watchdog_n(const jm_watchdog *watchdog)
{
    return watchdog->n;
}

const char *jm_watchdog_name(const jm_watchdog *watchdog, int i)
{
    return watchdog->pulses[i].name;
}

int64_t jm_watchdog_silent_ms(const jm_watchdog *watchdog, int i)
{
    int64_t beat = atomic_load_explicit(&watchdog->pulses[i].beat_ms, memory_order_relaxed);
    return beat == RESTS ? 0 : jm_mono_ms() - beat;
}

bool jm_watchdog_is_stuck(const jm_watchdog *watchdog, int i)
{
    return jm_watchdog_silent_ms(watchdog, i) > watchdog->pulses[i].deadline_ms;
}

int64_t jm_watchdog_times(const jm_watchdog *watchdog, int i)
{
    return atomic_load_explicit(&watchdog->pulses[i].times, memory_order_relaxed);
}

void jm_watchdog_list_stuck(const jm_watchdog *watchdog, jm_buf *out)
{
    size_t before = out->len;
    for (int i = 0; i < watchdog->n; i++)
        if (jm_watchdog_is_stuck(watchdog, i))
            jm_buf_addf(out, "%s%s", out->len > before ? ", " : "", watchdog->pulses[i].name);
}

static void say(const jm_pulse *pulse, bool stuck, int64_t silent_ms)
{
    char text[160];
    if (stuck)
        snprintf(text, sizeof text, "the %s thread is stuck: it has not turned for %lld ms",
                 pulse->name, (long long)silent_ms);
    else
        snprintf(text, sizeof text, "the %s thread turns again", pulse->name);
    jm_log_kv(stuck ? JM_ERROR : JM_WARNING, "watchdog", text, "thread", pulse->name, NULL);
}

int jm_watchdog_check(jm_watchdog *watchdog)
{
    int n = 0;
    for (int i = 0; i < watchdog->n; i++) {
        jm_pulse *pulse = &watchdog->pulses[i];
        bool stuck = jm_watchdog_is_stuck(watchdog, i);
        n += stuck;
        if (stuck == pulse->was_stuck)
            continue;
        pulse->was_stuck = stuck;
        if (stuck)
            atomic_fetch_add(&pulse->times, 1);
        say(pulse, stuck, jm_watchdog_silent_ms(watchdog, i));
    }
    return n;
}
