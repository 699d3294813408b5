/* Cleaning up: what is older than somebody wants to keep is removed, and said. */
#ifndef JM_SERVICE_CLEANUP_H
#define JM_SERVICE_CLEANUP_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/service/change.h"

struct jm_pg;

/* Strings are borrowed. */
typedef struct jm_cleanup {
    int64_t older_than_us; /* jobs by when they were made; 0 is an error */
    const char *project;   /* NULL: all */
    const char *statuses;  /* of ended jobs, separated by commas; NULL: all of these */
    bool jobs_only;        /* neither ledger nor dead letters */
    bool open_dead;        /* also dead letters that were not sent again */
    int64_t within_ms;     /* no further batch is begun after so long; 0: no bound */
    /* Is told what has been removed, after each batch; may be NULL. */
    void (*progress)(void *ctx, const json_t *removed);
    /* Whether to stop before the next batch; may be NULL. */
    bool (*is_stopped)(void *ctx);
    void *ctx;
} jm_cleanup;

/* Removes ended jobs with all that belongs to them, rows of the ledger (not with statuses), and
 * dead letters (with neither statuses nor project): whole weeks as tables where nothing else is
 * asked for and this role owns them, the rest by batches. A job that has not ended stays, and so
 * does its row of the ledger. The audit log, statistics and schedules stay. *removed, also after an
 * error:
 * {"before", "jobs", "steps", "logs", "attempts", "metadata", "ticks", "dead_letters",
 * "partitions", "more": whether within_ms or is_stopped left some, "dry_run"}. Errors:
 * JM_ERR_INVALID with field "older_than" or "status"; JM_ERR_CLOSED when it was stopped; those of
 * the database. */
int jm_cleanup_run(struct jm_pg *pg, const jm_cleanup *cleanup, const jm_change *change,
                   json_t **removed, jm_err *err);

#endif
