/* Why a schedule ran, or did not run, at a moment: one answer out of its definition then, the
 * ledger, the zone's clock changes and the job. */
#ifndef JM_SERVICE_SCHEDULE_WHY_H
#define JM_SERVICE_SCHEDULE_WHY_H

#include <jansson.h>

#include "common/err.h"
#include "common/uuid7.h"

struct jm_pg;

/* at: RFC 3339, or a local time of the schedule's zone ("2026-03-29T02:30"). *answer: {"at": UTC or
 * null, "local", "answer": sentences, "tick": row of the ledger or null, "version": number or
 * null}. Errors: JM_ERR_INVALID with field "at"; JM_ERR_NOT_FOUND. */
int jm_schedules_why(struct jm_pg *pg, const jm_uuid *id, const char *at, json_t **answer,
                     jm_err *err);

#endif
