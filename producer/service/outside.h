/* Jobs that a program outside runs, instead of a worker: it takes a job, reports about that attempt
 * by its number, and ends it. A job that nothing is heard about for its lease is rescued as that of
 * a lost worker. */
#ifndef JM_SERVICE_OUTSIDE_H
#define JM_SERVICE_OUTSIDE_H

#include <jansson.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/service/change.h"

struct jm_pg;

enum { JM_OUTSIDE_LEASE_S = 60, JM_OUTSIDE_LEASE_MIN_S = 5, JM_OUTSIDE_LEASE_MAX_S = 3600 };

/* The job is running from then on, under its next attempt. Errors: JM_ERR_CONFLICT when it is not
 * one that waits and is due, or needs a lock. */
int jm_outside_claim(struct jm_pg *pg, const jm_uuid *id, const char *actor, int lease_s,
                     jm_err *err);

/* What is said about an attempt; JSON values are borrowed and may be NULL. */
typedef struct jm_outside_report {
    int attempt;
    const char *actor;
    const char *status; /* completed, failed, cancelled, pending (handed back); NULL: goes on */
    const char *error;
    const json_t *result, *metadata, *progress;
    const json_t *items_total, *items_ok, *items_failed;
    const json_t
        *step; /* {"name", "status", "data", "error", "attempts"}: made, or changed by name */
    const json_t *logs; /* [{"level", "message", "step", "details", "ts"}] */
} jm_outside_report;

/* Renews the lease and writes it, in one transaction. Errors: JM_ERR_CONFLICT when that attempt is
 * over or not this actor's. */
int jm_outside_report_write(struct jm_pg *pg, const jm_uuid *id, const jm_outside_report *report,
                            jm_err *err);

/* Merges metadata (an object or NULL) and sets the priority (-1: as it is) of one that waits.
 * Errors: JM_ERR_CONFLICT when a priority comes too late. */
int jm_jobs_patch(struct jm_pg *pg, const jm_uuid *id, const json_t *metadata, int priority,
                  const jm_change *change, json_t **would, jm_err *err);

#endif
