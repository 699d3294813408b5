/* Calendars from iCalendar files (RFC 5545): the dates of their events, as a definition. */
#ifndef JM_CALENDAR_ICAL_H
#define JM_CALENDAR_ICAL_H

#include <jansson.h>
#include <stddef.h>

#include "common/err.h"

enum {
    JM_CALENDAR_ICAL_BYTES_MAX = 8 << 20, /* of the text */
    JM_CALENDAR_ICAL_DAYS_MAX = 10000,    /* that an import may name */
    JM_CALENDAR_ICAL_YEAR_MIN = 1900,
    JM_CALENDAR_ICAL_YEAR_MAX = 2500
};

/* The definition {"exclude": [...]} of the days on which an event of the text takes place, from
 * from_year to to_year, as dates and ranges in their order, those that touch joined; the caller
 * owns it. The days of an event are those of its own time zone. Recurrences (RRULE, RDATE, EXDATE,
 * changed occurrences) are expanded; cancelled events left out. Reads time zones of the system
 * where times of an event are in several. Takes seconds at most; no other side effects.
 * Errors: JM_ERR_INVALID, with line and property in the message; JM_ERR_UNSUPPORTED likewise, for
 * what is understood and not expanded. *definition is NULL then. */
int jm_calendar_from_ical(const char *text, size_t len, int from_year, int to_year,
                          json_t **definition, jm_err *err);

#endif
