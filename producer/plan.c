/* The plan of a schedule: a recurrence and a calendar, stretch by stretch of days alike. */
#include "producer/plan.h"

#define DAY_S      86400
#define SECOND_US  1000000LL
#define HORIZON_US (146097LL * DAY_S * SECOND_US) /* 400 years: days and weekdays repeat */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t day_of(int64_t t_s, const jm_zone_span *span)
{
    return floor_div(t_s + span->offset_s, DAY_S);
}

static int64_t local_day(const jm_plan *plan, int64_t at_us)
{
    int64_t t_s = floor_div(at_us, SECOND_US);
    jm_zone_span span = jm_zone_find(plan->recurrence->zone, t_s);
    return day_of(t_s, &span);
}

bool jm_plan_is_open(const jm_plan *plan, int64_t at_us)
{
    return !plan->calendar || jm_calendar_is_open(plan->calendar, local_day(plan, at_us));
}

/* The first second from t_s on at which clocks show a day from to_day on, or one before from_day:
 * clocks that are put back at midnight show yesterday again. */
static int64_t leaves_days(const jm_zone *zone, int64_t t_s, int64_t from_day, int64_t to_day)
{
    jm_zone_span span = jm_zone_find(zone, t_s);
    while (to_day * DAY_S - span.offset_s >= span.end_s) {
        t_s = span.end_s;
        span = jm_zone_find(zone, t_s);
        int64_t day = day_of(t_s, &span);
        if (day < from_day || day >= to_day)
            return t_s;
    }
    return to_day * DAY_S - span.offset_s;
}

int64_t jm_plan_same_until(const jm_plan *plan, int64_t at_us)
{
    if (!plan->calendar)
        return INT64_MAX;
    int64_t day = local_day(plan, at_us);
    int64_t to_day = jm_calendar_same_until(plan->calendar, day);
    if (to_day == INT64_MAX)
        return INT64_MAX;
    return SECOND_US *
           leaves_days(plan->recurrence->zone, floor_div(at_us, SECOND_US), day, to_day);
}

bool jm_plan_next(const jm_plan *plan, int64_t after_us, int64_t *out_us, unsigned *notes)
{
    int64_t at_us = after_us;
    while (jm_recurrence_next(plan->recurrence, at_us, &at_us, notes)) {
        if (jm_plan_is_open(plan, at_us)) {
            *out_us = at_us;
            return true;
        }
        int64_t until_us = jm_plan_same_until(plan, at_us);
        if (until_us == INT64_MAX || until_us - HORIZON_US > after_us)
            return false;
        at_us = until_us - 1;
    }
    return false;
}

/* Walks the open stretches of (after_us, upto_us]: narrows it to the next one. */
static bool next_stretch(const jm_plan *plan, int64_t *after_us, int64_t upto_us, int64_t *end_us)
{
    int64_t at_us;
    if (!jm_plan_next(plan, *after_us, &at_us, NULL) || at_us > upto_us)
        return false;
    int64_t until_us = jm_plan_same_until(plan, at_us);
    *after_us = at_us - 1;
    *end_us = until_us <= upto_us ? until_us - 1 : upto_us;
    return true;
}

int64_t jm_plan_count(const jm_plan *plan, int64_t after_us, int64_t upto_us)
{
    int64_t n = 0, end_us;
    if (!plan->calendar)
        return jm_recurrence_count(plan->recurrence, after_us, upto_us);
    for (; next_stretch(plan, &after_us, upto_us, &end_us); after_us = end_us)
        n += jm_recurrence_count(plan->recurrence, after_us, end_us);
    return n;
}

bool jm_plan_last(const jm_plan *plan, int64_t after_us, int64_t upto_us, int64_t *out_us)
{
    int64_t end_us;
    bool found = false;
    if (!plan->calendar)
        return jm_recurrence_last(plan->recurrence, after_us, upto_us, out_us);
    for (; next_stretch(plan, &after_us, upto_us, &end_us); after_us = end_us)
        found = jm_recurrence_last(plan->recurrence, after_us, end_us, out_us) || found;
    return found;
}

void jm_plan_begin(const jm_plan *plan, int64_t after_us, int64_t *run_us, int64_t *skip_us)
{
    int64_t first_us;
    *run_us = *skip_us = 0;
    if (!jm_recurrence_next(plan->recurrence, after_us, &first_us, NULL))
        return;
    if (jm_plan_is_open(plan, first_us)) {
        *run_us = first_us;
        return;
    }
    *skip_us = first_us;
    if (!jm_plan_next(plan, first_us, run_us, NULL))
        *run_us = 0;
}
