/* What becomes of due instants: misfire grace, catching up, coalescing, overlap. */
#include "producer/tick_policy.h"

#include <assert.h>

#include "producer/plan.h"

/* One decision in the making. cur_us is the first instant that is not decided, open or closed; 0
 * when none is left. */
typedef struct decision {
    const jm_schedule *schedule;
    jm_plan plan;
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

/* The last undecided instant on an open day at or before upto_us; 0: none. The stored instant
 * counts even if it is none any more (time zone data may have changed since it was stored). */
static int64_t last_open(const decision *d, int64_t upto_us)
{
    int64_t last_us;
    if (jm_plan_last(&d->plan, d->cur_us, upto_us, &last_us))
        return last_us;
    return jm_plan_is_open(&d->plan, d->cur_us) ? d->cur_us : 0;
}

static int64_t count_open(const decision *d, int64_t upto_us)
{
    return jm_plan_is_open(&d->plan, d->cur_us) + jm_plan_count(&d->plan, d->cur_us, upto_us);
}

/* One row: undecided instants up to upto_us, all on days alike. */
static void decide_stretch(decision *d, int64_t upto_us, jm_tick_outcome outcome,
                           const char *reason)
{
    const jm_recurrence *r = d->plan.recurrence;
    int64_t last_us;
    if (!jm_recurrence_last(r, d->cur_us, upto_us, &last_us))
        last_us = d->cur_us;
    d->ticks[d->n++] = (jm_tick){.due_us = d->cur_us,
                                 .until_us = last_us > d->cur_us ? last_us : 0,
                                 .count = 1 + jm_recurrence_count(r, d->cur_us, last_us),
                                 .outcome = outcome,
                                 .reason = reason};
    if (!jm_recurrence_next(r, last_us, &d->cur_us, NULL))
        d->cur_us = 0;
}

/* The undecided instants up to upto_us that come before the next open day. */
static void pass_closed(decision *d, int64_t upto_us)
{
    while (goes_on(d, upto_us) && !jm_plan_is_open(&d->plan, d->cur_us)) {
        int64_t until_us = jm_plan_same_until(&d->plan, d->cur_us);
        decide_stretch(d, until_us <= upto_us ? until_us - 1 : upto_us, JM_TICK_SKIPPED,
                       JM_TICK_CALENDAR_REASON);
    }
}

/* All undecided instants up to upto_us have one fate, but those that the calendar leaves out. */
static void decide_run(decision *d, int64_t upto_us, jm_tick_outcome outcome, const char *reason)
{
    for (pass_closed(d, upto_us); goes_on(d, upto_us); pass_closed(d, upto_us)) {
        int64_t until_us = jm_plan_same_until(&d->plan, d->cur_us);
        decide_stretch(d, until_us <= upto_us ? until_us - 1 : upto_us, outcome, reason);
    }
}

static bool is_saturated(const decision *d)
{
    return d->schedule->overlap == JM_OVERLAP_SKIP && d->open_jobs >= d->schedule->max_instances;
}

/* Every undecided instant up to upto_us fires, unless earlier jobs stand in the way. */
static void fire_until(decision *d, int64_t upto_us)
{
    for (pass_closed(d, upto_us); goes_on(d, upto_us) && !is_saturated(d);
         pass_closed(d, upto_us)) {
        decide_stretch(d, d->cur_us, JM_TICK_FIRED, NULL);
        d->open_jobs++;
    }
    decide_run(d, upto_us, JM_TICK_SKIPPED, "overlap");
}

/* The last undecided instant up to upto_us fires for all of them. */
static void fire_one(decision *d, int64_t upto_us, const char *reason)
{
    if (!goes_on(d, upto_us))
        return;
    int64_t last_us = last_open(d, upto_us);
    if (last_us)
        decide_run(d, last_us - 1, JM_TICK_COALESCED, reason);
    fire_until(d, upto_us);
}

/* The last catch_up_limit instants up to upto_us fire; those before are missed. */
static void fire_limited(decision *d, int64_t upto_us)
{
    if (!goes_on(d, upto_us))
        return;
    int limit = d->schedule->catch_up_limit;
    if (count_open(d, upto_us) > limit) {
        /* The smallest time with no more than the limit after it is the last instant to be missed.
         */
        int64_t low_us = d->cur_us, high_us = upto_us;
        while (low_us < high_us) {
            int64_t mid_us = low_us + (high_us - low_us) / 2;
            if (jm_plan_count(&d->plan, mid_us, upto_us) <= limit)
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

/* What is left, as the columns say it. */
static void note_next(const decision *d, int64_t *next_run_us, int64_t *next_skip_us)
{
    *next_run_us = *next_skip_us = 0;
    if (d->cur_us)
        jm_plan_begin(&d->plan, d->cur_us - 1, next_run_us, next_skip_us);
}

static int64_t first_of(int64_t a_us, int64_t b_us)
{
    return a_us && (!b_us || a_us < b_us) ? a_us : b_us;
}

void jm_tick_policy_decide(const jm_schedule *schedule, int64_t now_us, int open_jobs,
                           jm_tick *ticks, size_t cap, size_t *n, int64_t *next_run_us,
                           int64_t *next_skip_us)
{
    assert(cap >= JM_TICKS_MIN);
    decision d = {.schedule = schedule,
                  .plan = {&schedule->recurrence, schedule->days},
                  .cur_us = first_of(schedule->next_run_us, schedule->next_skip_us),
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
    note_next(&d, next_run_us, next_skip_us);
}
