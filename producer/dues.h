/* Due schedules: locked rows of one transaction, what is decided about their instants, and the
 * writing of it. Firing and editing both settle what is due by it. */
#ifndef JM_DUES_H
#define JM_DUES_H

#include "common/pg.h"
#include "common/queue.h"
#include "producer/calendar_cache.h"
#include "producer/ledger.h"

/* A schedule of the batch, and what was decided. */
typedef struct jm_due {
    jm_schedule schedule;
    jm_uuid last_job_id;
    bool has_last_job, last_is_open; /* the latter where open_jobs were counted */
    int64_t now_us;                  /* PostgreSQL's clock, read while the row was locked */
    int64_t decided_until_us; /* where it was asked for: the end of the ledger, which lies ahead of
                                 a clock that was put back */
    int open_jobs;
    size_t first_entry, n_entries; /* in the ledger */
    int64_t next_run_us, next_skip_us;
} jm_due;

typedef struct jm_dues jm_dues; /* used by one thread, reused after reset */

jm_dues *jm_dues_new(void);
void jm_dues_free(jm_dues *dues);
void jm_dues_reset(jm_dues *dues);

/* Is told of a schedule that is left out, since it cannot be understood. */
typedef void jm_dues_refused(void *ctx, const jm_schedule *schedule, const jm_err *err);

/* Reads rows: the columns of schedules, clock, and decided_until where that is there. The zones
 * must outlive the batch. */
void jm_dues_read(jm_dues *dues, const PGresult *res, jm_zone_cache *zones,
                  jm_dues_refused *refused, void *ctx);
/* Reads the calendars that they name. */
int jm_dues_read_calendars(jm_dues *dues, jm_pg *pg, jm_dues_refused *refused, void *ctx,
                           jm_err *err);
size_t jm_dues_count(const jm_dues *dues);
jm_due *jm_dues_at(jm_dues *dues, size_t i);

/* Decides every instant that is due, as many as fit in one transaction, and writes the ledger. */
int jm_dues_decide(jm_dues *dues, jm_pg *pg, jm_err *err);
/* Writes the jobs, cancels what they take the place of, and moves the schedules on; commits where
 * commit is true. Jobs for Kafka are appended to items (may be NULL: the relay reads them). */
int jm_dues_write(jm_dues *dues, jm_pg *pg, bool commit, jm_chain *items, jm_err *err);

/* After the commit: instants by what became of them, the schedule of each job made, and whom to
 * give a hint ("ready <queue>", "cancel <job id>"). */
void jm_dues_tally(const jm_dues *dues, uint64_t counts[JM_TICK_COALESCED + 1]);
void jm_dues_each_job(const jm_dues *dues, void (*each)(void *ctx, const jm_schedule *schedule),
                      void *ctx);
void jm_dues_tell(const jm_dues *dues, void (*tell)(void *ctx, const char *payload), void *ctx);

#endif
