/* What is done to jobs that are there: cancelling, retrying, deleting. The rules and queries behind
 * the command line and the API. Each stands in the audit log, in the transaction that does it.
 *
 * *would (would may be NULL; the caller owns it): in a dry run the job as it would be, else NULL.
 */
#ifndef JM_SERVICE_JOB_ACTIONS_H
#define JM_SERVICE_JOB_ACTIONS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/service/change.h"

struct jm_pg;

/* A job that has not started ends at once; of one that runs, *running is set and its worker stops
 * it within a second. The reason is kept with the job. What depends on it is looked after. Errors:
 * JM_ERR_NOT_FOUND, JM_ERR_CONFLICT when it has ended. */
int jm_jobs_cancel(struct jm_pg *pg, const jm_uuid *id, const jm_change *change, bool *running,
                   json_t **would, jm_err *err);

/* Submits an ended job again, as a new one with retry_of. A connection that breaks meanwhile is
 * made again. Errors: JM_ERR_NOT_FOUND, JM_ERR_CONFLICT when it has not ended. */
int jm_jobs_retry(struct jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_uuid *again,
                  json_t **would, jm_err *err);

/* Deletes an ended job with its steps, logs and attempts. Errors: JM_ERR_NOT_FOUND,
 * JM_ERR_CONFLICT when it has not ended. */
int jm_jobs_delete(struct jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_err *err);

/* Jobs that wait for one that has ended outside a worker: what cannot be done now the janitor does.
 */
void jm_jobs_look_after_dependents(struct jm_pg *pg, const jm_uuid *id);

#endif
