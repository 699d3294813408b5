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
    uint32_t hours, days; /* days: bits 1..31 */
    uint16_t months;      /* bits 1..12 */
    uint8_t weekdays;     /* bits 0..6, Sunday is 0 */
    bool either_day;      /* both day fields restricted: one of them suffices (Vixie cron) */
    bool fixed;           /* neither minute nor hour begins with '*': DST rules differ */
} jm_cron;

/* Reads five fields or an @macro (docs/scheduling.md has the grammar). Errors: JM_ERR_INVALID with
 * field "cron_expression", naming the character at fault and what was expected, also for
 * expressions that can never match (30 February); JM_ERR_UNSUPPORTED for L, W, # and a field of
 * seconds. */
int jm_cron_parse(jm_cron *out, const char *text, jm_err *err);

/* Local times are counted in seconds since 1970-01-01T00:00:00 on the wall clock. Both take
 * microseconds or less a month searched and never loop beyond to_s. */

/* First match in [from_s, to_s). */
bool jm_cron_next(const jm_cron *cron, int64_t from_s, int64_t to_s, int64_t *out_s);
/* How many matches are in [from_s, to_s). */
int64_t jm_cron_count(const jm_cron *cron, int64_t from_s, int64_t to_s);

#endif
