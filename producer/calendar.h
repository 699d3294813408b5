/* Named calendars: which days are open, by rules that name days to leave out and days to keep to.
 * Days are local dates without a zone, counted since 1970-01-01: whoever asks says which zone's.
 * No I/O, no database. */
#ifndef JM_CALENDAR_H
#define JM_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum { JM_CALENDAR_RULES_MAX = 20000 /* of one list */ };

typedef struct jm_calendar jm_calendar; /* immutable once parsed: any thread may ask it */

/* Reads a definition, a JSON object: {"exclude": [RULE...], "include": [RULE...]}, each list
 * optional; the rules are those of calendar_rule.h. *out is NULL after an error: JM_ERR_INVALID
 * with field "definition" and a message that names list, position and text. Borrows json only for
 * the call. */
int jm_calendar_parse(jm_calendar **out, const char *json, size_t len, jm_err *err);
void jm_calendar_free(jm_calendar *calendar);

/* Open when include is empty or one of its rules names the day, and no rule of exclude does. Days
 * outside the years 1 to 9999 are closed. Some tens of ns. */
bool jm_calendar_is_open(const jm_calendar *calendar, int64_t day);
/* The first day after day whose verdict differs; INT64_MAX when there is none up to the year 9999.
 * Goes month by month, a few ns a day, and no further than 400 years behind day and all dates of
 * the rules: then everything has come once. */
int64_t jm_calendar_same_until(const jm_calendar *calendar, int64_t day);
/* Whether from_day or any day after it is open. */
bool jm_calendar_is_ever_open(const jm_calendar *calendar, int64_t from_day);

#endif
