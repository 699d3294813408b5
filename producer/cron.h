/* A cron expression: text to sets of fields, and the local times that match them. Knows no zone. */
#ifndef JM_CRON_H
#define JM_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define JM_CRON_TEXT_MAX 255

/* Sets of allowed values, bit n for value n. A plain value: copy it freely. */
typedef struct jm_cron {
    uint64_t seconds, minutes;
    uint64_t
        nth_weekdays; /* bit 7 * (k - 1) + weekday: the k-th of the month, k 1..5; 6: the last */
    uint32_t hours, days;  /* days: bits 1..31 */
    uint32_t nearest_days; /* bits 1..31: Monday to Friday nearest to that day */
    uint32_t days_to_last; /* bit n: n days before the last of the month, 0..30 */
    uint16_t months;       /* bits 1..12 */
    uint8_t weekdays;      /* bits 0..6, Sunday is 0 */
    bool last_workday;     /* the last Monday to Friday of the month */
    bool either_day;       /* both day fields restricted: one of them suffices (Vixie cron) */
    bool fixed;            /* neither minute nor hour begins with '*': DST rules differ */
} jm_cron;

/* Reads five fields, six with seconds in front, or an @macro (docs/scheduling.md has the grammar).
 * Errors: JM_ERR_INVALID with field "cron_expression", naming the character at fault and what was
 * expected, also for expressions that can never match (30 February) and for @every. */
int jm_cron_parse(jm_cron *out, const char *text, jm_err *err);

/* "@every 90s" stands for an interval, which callers make of it. Sets *out_s to its seconds, 1 to
 * 100 years, or to 0 when the text is no @every at all. Errors: JM_ERR_INVALID with field
 * "cron_expression" for a duration that is none. */
int jm_cron_every(const char *text, int64_t *out_s, jm_err *err);

/* Local times are counted in seconds since 1970-01-01T00:00:00 on the wall clock. All take
 * microseconds or less a month searched and never loop beyond the bounds. */

/* First match in [from_s, to_s). */
bool jm_cron_next(const jm_cron *cron, int64_t from_s, int64_t to_s, int64_t *out_s);
/* Last match in [from_s, to_s). */
bool jm_cron_previous(const jm_cron *cron, int64_t from_s, int64_t to_s, int64_t *out_s);
/* How many matches are in [from_s, to_s). */
int64_t jm_cron_count(const jm_cron *cron, int64_t from_s, int64_t to_s);

#endif
