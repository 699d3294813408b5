/* Schedules as JSON documents: what people write, keep in files and compare. The members are the
 * columns of table schedules that define one. */
#ifndef JM_SCHEDULE_JSON_H
#define JM_SCHEDULE_JSON_H

#include <jansson.h>

#include "producer/schedule.h"

/* Changes a schedule by the members of an object (loaded by jm_json_exact_load); null stands for
 * the column's default. Strings are copied into the arena. One of cron_expression,
 * interval_seconds and run_at also says the kind, and takes the others away; a cron_expression
 * "@every 90s" is an interval. Nothing but types and spellings is judged: see jm_schedule_resolve.
 * Errors: JM_ERR_INVALID with err->field naming the member. */
int jm_schedule_apply(jm_schedule *schedule, const json_t *changes, jm_arena *arena, jm_err *err);

/* Takes out what a schedule that was read has besides its definition: ids, times, counts. */
void jm_schedule_drop_kept(json_t *object);

/* What jm_schedule_resolve does not look at: params and metadata are objects that a message and the
 * database take, texts are UTF-8. Errors as above. */
int jm_schedule_check_contents(const jm_schedule *schedule, jm_err *err);

/* The whole definition, nulls and what is as the defaults have it left out; jm_schedule_apply on a
 * new schedule makes it again. The caller drops the reference. */
json_t *jm_schedule_to_json(const jm_schedule *schedule);

#endif
