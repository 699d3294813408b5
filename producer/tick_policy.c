/* What becomes of due instants: misfire grace, catching up, coalescing, overlap. */
#include "producer/tick_policy.h"

#include <assert.h>

/* One decision in the making. cur_us is the first instant that is not decided; 0 when none is left.
 */
typedef struct decision {
    const jm_schedule *schedule;
    int64_t cur_us;
    int64_t open_jobs;
    jm_tick *ticks;
    size_t n, cap;
} decision;

const char *jm_tick_outcome_text(jm_tick_outcome outcome)
{
    static const char *const texts[] = {[JM_TICK_FIRED] = "fired",
                                        [JM_TICK_SKIPPED] = "skipped",
                                        [JM_TICK_MISSED] = "missed",
                                        [JM_TICK_COALESCED] = "coalesced"};
    return texts[outcome];
}

/* Whether an undecided instant is at or before upto_us, and there is room for its tick. */
static bool goes_on(const decision *d, int64_t upto_us)
{
    return d->cur_us && d->cur_us <= upto_us && d->n < d->cap;
}

/* The last undecided instant at or before upto_us; there is at least cur_us. The stored instant
 * counts even if it is none any more (time zone data may have changed since it was stored). */
static int64_t last_until(const decision *d, int64_t upto_us)
{
    int64_t last_us;
    return jm_recurrence_last(&d->schedule->recurrence, d->cur_us, upto_us, &last_us) ? last_us
                                                                                      : d->cur_us;
}

static int64_t count_until(const decision *d, int64_t upto_us)
{
    return 1 + jm_recurrence_count(&d->schedule->recurrence, d->cur_us, upto_us);
}

/* All undecided instants up to upto_us have one fate. */
static void decide_run(decision *d, int64_t upto_us, jm_tick_outcome outcome, const char *reason)
{
    if (!goes_on(d, upto_us))
        return;
    int64_t last_us = last_until(d, upto_us);
    d->ticks[d->n++] = (jm_tick){.due_us = d->cur_us,
                                 .until_us = last_us > d->cur_us ? last_us : 0,
                                 .count = count_until(d, last_us),
                                 .outcome = outcome,
                                 .reason = reason};
    if (!jm_recurrence_next(&d->schedule->recurrence, last_us, &d->cur_us, NULL))
        d->cur_us = 0;
}

static bool is_saturated(const decision *d)
{
    return d->schedule->overlap != JM_OVERLAP_ALLOW && d->open_jobs >= d->schedule->max_instances;
}

/* Every undecided instant up to upto_us fires, unless earlier jobs stand in the way. */
static void fire_until(decision *d, int64_t upto_us)
{
    while (goes_on(d, upto_us) && !is_saturated(d)) {
        decide_run(d, d->cur_us, JM_TICK_FIRED, NULL);
        d->open_jobs++;
    }
    decide_run(d, upto_us, JM_TICK_SKIPPED, "overlap");
}

/* The last undecided instant up to upto_us fires for all of them. */
static void fire_one(decision *d, int64_t upto_us, const char *reason)
{
    if (!goes_on(d, upto_us))
        return;
    decide_run(d, last_until(d, upto_us) - 1, JM_TICK_COALESCED, reason);
    fire_until(d, upto_us);
}

/* The last catch_up_limit instants up to upto_us fire; those before are missed. */
static void fire_limited(decision *d, int64_t upto_us)
{
    if (!goes_on(d, upto_us))
        return;
    const jm_schedule *s = d->schedule;
    if (count_until(d, upto_us) > s->catch_up_limit) {
        /* The smallest time with no more than the limit after it is the last instant to be missed.
         */
        int64_t low_us = d->cur_us, high_us = upto_us;
        while (low_us < high_us) {
            int64_t mid_us = low_us + (high_us - low_us) / 2;
            if (jm_recurrence_count(&s->recurrence, mid_us, upto_us) <= s->catch_up_limit)
                high_us = mid_us;
            else
                low_us = mid_us + 1;
        }
        decide_run(d, low_us, JM_TICK_MISSED, "catch_up_limit");
    }
    fire_until(d, upto_us);
}

/* Whether older instants and those inside the grace become one. */
static bool is_one_group(const decision *d)
{
    const jm_schedule *s = d->schedule;
    return s->catch_up == JM_CATCH_UP_ONE && s->coalesce_grace;
}

static void decide_older(decision *d, int64_t upto_us)
{
    switch (d->schedule->catch_up) {
    case JM_CATCH_UP_SKIP:
        decide_run(d, upto_us, JM_TICK_MISSED, "misfire_grace");
        break;
    case JM_CATCH_UP_ONE:
        fire_one(d, upto_us, "catch_up");
        break;
    case JM_CATCH_UP_ALL:
        fire_limited(d, upto_us);
        break;
    }
}

void jm_tick_policy_decide(const jm_schedule *schedule, int64_t now_us, int open_jobs,
                           jm_tick *ticks, size_t cap, size_t *n, int64_t *next_run_us)
{
    assert(cap >= JM_TICKS_MIN);
    decision d = {.schedule = schedule,
                  .cur_us = schedule->next_run_us,
                  .open_jobs = open_jobs,
                  .ticks = ticks,
                  .cap = cap};
    int64_t older_us = now_us - (int64_t)schedule->misfire_grace_s * 1000000 - 1;
    if (!is_one_group(&d))
        decide_older(&d, older_us);
    /* What is left of the older ones when the room ran out waits for the next call. */
    if (d.cur_us > older_us || is_one_group(&d)) {
        if (schedule->coalesce_grace)
            fire_one(&d, now_us, "coalesce_grace");
        else
            fire_until(&d, now_us);
    }
    *n = d.n;
    *next_run_us = d.cur_us;
}
