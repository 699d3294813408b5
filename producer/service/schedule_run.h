/* Running schedules on purpose: once, at once; or over a range of time that has passed. */
#ifndef JM_SERVICE_SCHEDULE_RUN_H
#define JM_SERVICE_SCHEDULE_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/service/change.h"

struct jm_pg;

/* Fires it at once, whether it is enabled or not, beside its calendar: the instant is in the ledger
 * as manual. Its policy for overlaps does not hold a run by hand back; under queue and
 * cancel_running its job waits for the others. */
int jm_schedules_run(struct jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_uuid *job_id,
                     json_t **would, jm_err *err);

typedef struct jm_backfill {
    int64_t from_us, to_us; /* instants in [from, to), not later than PostgreSQL's clock */
    double rate;            /* jobs that may start a second, 0.001 to 100000 */
    bool missed_only;       /* leave out what fired by the calendar */
    bool dry_run;           /* count only */
    void (*progress)(void *ctx, int64_t done, int64_t of); /* or NULL */
    void *ctx;
} jm_backfill;

typedef struct jm_backfilled {
    int64_t instants; /* in the range, on open days */
    int64_t fired;    /* jobs made, or that a dry run would make */
    int64_t already;  /* had been run by a backfill before */
    int64_t left_out; /* had fired by the calendar (missed_only) */
    int64_t first_us, last_us;
    double seconds; /* until the last job may start */
} jm_backfilled;

enum { JM_BACKFILL_MAX = 1000000 /* instants at once */ };

/* Makes a job for each instant of a past range, at the rate asked for: job after job may start,
 * which is kept by the database and needs no program that waits. Its jobs run one after the other
 * (at most max_instances at once) unless overlap is allow, and do not count as overlap for the
 * calendar. What was made stays when it fails halfway; called again it goes on. Errors:
 * JM_ERR_INVALID with fields from, to, rate. */
int jm_schedules_backfill(struct jm_pg *pg, const jm_uuid *id, const jm_backfill *backfill,
                          const jm_change *change, jm_backfilled *done, jm_err *err);

#endif
