/* What becomes of the instants at which a schedule is due: pure arithmetic on schedule, clock and
 * the number of its unfinished jobs. */
#ifndef JM_TICK_POLICY_H
#define JM_TICK_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "producer/schedule.h"

typedef enum jm_tick_outcome {
    JM_TICK_FIRED,    /* a job is to be made, due at due_us */
    JM_TICK_SKIPPED,  /* an earlier job is unfinished, or the calendar leaves the day out */
    JM_TICK_MISSED,   /* nobody was there in time */
    JM_TICK_COALESCED /* a later instant fires for it */
} jm_tick_outcome;

const char *jm_tick_outcome_text(jm_tick_outcome outcome); /* as in schedule_ticks.outcome */

/* One row of the ledger. */
typedef struct jm_tick {
    int64_t due_us;   /* the instant, or the first of a run with one fate */
    int64_t until_us; /* last instant of the run; 0 when count is 1 */
    int64_t count;
    jm_tick_outcome outcome;
    const char *reason; /* static text: overlap, misfire_grace, catch_up, catch_up_limit,
                         * coalesce_grace, calendar; NULL when it fired */
} jm_tick;

#define JM_TICK_CALENDAR_REASON "calendar" /* of what the calendar leaves out: it is never due */

/* At least as many as one decision may need at once besides the ticks that fire. */
#define JM_TICKS_MIN 8

/* Decides every instant from schedule->next_run_us and next_skip_us to now_us (PostgreSQL's clock),
 * in order of time, each in exactly one tick, and says which instants are next (0: there is none
 * any more). open_jobs is how many jobs of the schedule are unfinished; those that fire here are
 * counted on. ticks has room for cap (>= JM_TICKS_MIN); when the decisions do not fit, the first
 * instant left over is next and still due: call again after the commit. Never walks instants that
 * do not fire one by one. The schedule must have been resolved. */
void jm_tick_policy_decide(const jm_schedule *schedule, int64_t now_us, int open_jobs,
                           jm_tick *ticks, size_t cap, size_t *n, int64_t *next_run_us,
                           int64_t *next_skip_us);

#endif
