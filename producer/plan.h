/* The plan of a schedule: the instants of its recurrence, and which of them its calendar leaves
 * out. Days of a calendar are days of the schedule's time zone. Instants are microseconds since
 * 1970 UTC. */
#ifndef JM_PLAN_H
#define JM_PLAN_H

#include "producer/calendar.h"
#include "producer/recurrence.h"

/* A plain value; borrows both. */
typedef struct jm_plan {
    const jm_recurrence *recurrence;
    const jm_calendar *calendar; /* NULL: every day is open */
} jm_plan;

/* Whether an instant lies on an open day. */
bool jm_plan_is_open(const jm_plan *plan, int64_t at_us);
/* The first moment behind at_us at which that may be otherwise; INT64_MAX: never. */
int64_t jm_plan_same_until(const jm_plan *plan, int64_t at_us);

/* As the functions of recurrence.h, of instants on open days only. jm_plan_next looks no further
 * than 400 years. */
bool jm_plan_next(const jm_plan *plan, int64_t after_us, int64_t *out_us, unsigned *notes);
int64_t jm_plan_count(const jm_plan *plan, int64_t after_us, int64_t upto_us);
bool jm_plan_last(const jm_plan *plan, int64_t after_us, int64_t upto_us, int64_t *out_us);

/* The first instants strictly after after_us: on an open day, and on a closed one where that comes
 * before it; 0: none. */
void jm_plan_begin(const jm_plan *plan, int64_t after_us, int64_t *run_us, int64_t *skip_us);

#endif
