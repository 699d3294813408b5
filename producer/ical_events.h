/* The events of an iCalendar text (RFC 5545) as it is written: where each stands, and where its
 * properties do. Checks how the text is built; what a property means is for others. */
#ifndef JM_ICAL_EVENTS_H
#define JM_ICAL_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* A slice of the text, from BEGIN:VEVENT to END:VEVENT. */
typedef struct jm_ical_event {
    const char *at;
    size_t len;
    int line; /* of its BEGIN, from 1 */
} jm_ical_event;

/* Embedded; jm_ical_events_fini after every scan, also a failed one. */
typedef struct jm_ical_events {
    jm_ical_event *items;
    size_t n, cap;
    char **zones; /* the TZID of every VTIMEZONE */
    size_t n_zones, cap_zones;
} jm_ical_events;

/* Finds the events that stand directly in a calendar. Borrows the text. Errors: JM_ERR_INVALID with
 * the line, for what is no iCalendar text: not UTF-8, lines without a name, BEGIN and END that do
 * not match. */
int jm_ical_events_scan(jm_ical_events *events, const char *text, size_t len, jm_err *err);
void jm_ical_events_fini(jm_ical_events *events);

/* Whether a VTIMEZONE of the text has that TZID; looks at each. */
bool jm_ical_events_has_zone(const jm_ical_events *events, const char *tzid);

/* How many properties of that name the event has itself, not what is inside it; at_line (may be
 * NULL) is that of the one with number nth, from 0, and else left alone. A value of a list that
 * commas separate counts as one of its own. */
int jm_ical_event_count(const jm_ical_event *event, const char *name, int nth, int *at_line);

#endif
