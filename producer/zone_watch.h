/* Watches time zone data: when its rules have changed, what had not fired yet is computed anew. */
#ifndef JM_ZONE_WATCH_H
#define JM_ZONE_WATCH_H

#include "common/pg.h"
#include "producer/zone.h"

typedef struct jm_zone_watch jm_zone_watch; /* used by the thread that owns the zones */

/* zones is borrowed. */
jm_zone_watch *jm_zone_watch_new(jm_zone_cache *zones);
void jm_zone_watch_free(jm_zone_watch *watch);

/* Looks once a minute whether files have changed. Then, at first and once an hour it compares the
 * rules of the zones that schedules use with those that their next instants were computed by (table
 * timezones); where they differ and are not older, computes anew, and notes it. In between it does
 * nothing. */
void jm_zone_watch_turn(jm_zone_watch *watch, jm_pg *pg);
/* Schedules have been saved, maybe in zones that were not looked at before: compares once more with
 * the next look at the files. */
void jm_zone_watch_soon(jm_zone_watch *watch);
/* The next turn looks at the files. */
void jm_zone_watch_now(jm_zone_watch *watch);

#endif
