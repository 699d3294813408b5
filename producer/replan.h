/* Next instants computed anew for many schedules at once: their calendar or their time zone has
 * changed. */
#ifndef JM_REPLAN_H
#define JM_REPLAN_H

#include "common/pg.h"
#include "producer/zone.h"

/* A calendar changes, inside a transaction of the caller's: call the first before it is written, so
 * that what is due is settled by the old one, and the second after that, which adds to ended the
 * ids of schedules that had a next instant and have none now. The schedules stay locked until the
 * end of the transaction. */
int jm_replan_before_calendar(jm_pg *pg, const char *project, const char *name, jm_err *err);
int jm_replan_after_calendar(jm_pg *pg, const char *project, const char *name, jm_col *ended,
                             jm_err *err);

/* Computes what has not fired yet anew by the rules that zones has now, for every schedule in that
 * time zone; transactions of its own. *n: how many schedules. */
int jm_replan_zone(jm_pg *pg, const char *timezone, jm_zone_cache *zones, int64_t *n, jm_err *err);

#endif
