/* Statements that change schedules, gathered and sent many at a time: a round trip for each would
 * be most of the time of an import. */
#ifndef JM_SERVICE_SCHEDULE_WRITES_H
#define JM_SERVICE_SCHEDULE_WRITES_H

#include "common/pg.h"
#include "producer/schedule.h"
#include "producer/service/change.h"

typedef struct jm_schedule_writes jm_schedule_writes; /* used by one thread */

jm_schedule_writes *jm_schedule_writes_new(jm_pg *pg, const jm_change *change); /* borrows both */
void jm_schedule_writes_free(jm_schedule_writes *writes);

/* Each gathers one statement. What the schedule points at must live until the next flush. */
void jm_schedule_writes_insert(jm_schedule_writes *writes, const jm_schedule *schedule);
void jm_schedule_writes_update(jm_schedule_writes *writes, const jm_schedule *schedule);
void jm_schedule_writes_delete(jm_schedule_writes *writes, const jm_uuid *id);
/* How many jobs may hold the lock of a schedule at once. */
void jm_schedule_writes_capacity(jm_schedule_writes *writes, const jm_schedule *schedule,
                                 int capacity);
/* By which rules its next instant was computed: producers compute it anew when they change. */
void jm_schedule_writes_zone(jm_schedule_writes *writes, const jm_schedule *schedule,
                             const jm_zone_cache *zones);
/* A version for the audit log; before or after may be NULL. at_us: instants up to it are the old
 * definition's. */
void jm_schedule_writes_audit(jm_schedule_writes *writes, const char *action,
                              const jm_schedule *before, const jm_schedule *after, int version,
                              int64_t at_us);

bool jm_schedule_writes_is_empty(const jm_schedule_writes *writes);
bool jm_schedule_writes_is_full(const jm_schedule_writes *writes); /* worth a round trip */
/* Sends what was gathered, inside the caller's transaction. Errors: JM_ERR_CONFLICT when a schedule
 * of a name that was to be inserted is there; those of the database. */
int jm_schedule_writes_flush(jm_schedule_writes *writes, jm_err *err);

#endif
