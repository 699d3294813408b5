/* Schedules: adding, finding, listing, previewing. The rules and queries behind the command line
 * and the API. Values have the columns of table schedules as members; the caller owns them. */
#ifndef JM_SERVICE_SCHEDULES_H
#define JM_SERVICE_SCHEDULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/schedule.h"

struct jm_pg;

/* Adds a schedule that is due from PostgreSQL's clock on, and wakes schedulers once that has
 * committed. Start from jm_schedule_init; id, version, next_run_us and recurrence are not looked
 * at; an interval without anchor has PostgreSQL's clock as its anchor. Errors: JM_ERR_INVALID and
 * JM_ERR_UNSUPPORTED with err->field, JM_ERR_NOT_FOUND (project), JM_ERR_CONFLICT (the project has
 * a schedule of that name), and those of the database. */
int jm_schedules_add(struct jm_pg *pg, const jm_schedule *schedule, jm_uuid *id, jm_err *err);

typedef struct jm_schedules_filter {
    const char *project, *type; /* NULL: any */
    const char *enabled;        /* "true", "false", or NULL: both */
    int64_t limit, offset;
} jm_schedules_filter;

/* Newest first. */
int jm_schedules_list(struct jm_pg *pg, const jm_schedules_filter *filter, json_t **items,
                      jm_err *err);

/* The schedule of that id, or of that name; project (may be NULL) is needed where several have the
 * name. Errors: JM_ERR_NOT_FOUND; JM_ERR_INVALID with field "project" when the name is not unique.
 */
int jm_schedules_show(struct jm_pg *pg, const char *id_or_name, const char *project,
                      json_t **schedule, jm_err *err);
/* The same, for its coming instants: as jm_schedule_preview from from_us, or PostgreSQL's clock
 * where that is 0. Whether it is enabled or paused is not looked at. */
int jm_schedules_preview(struct jm_pg *pg, const char *id_or_name, const char *project,
                         int64_t from_us, int64_t count, json_t **items, jm_err *err);

/* The first count instants strictly after from_us, without a database: [{"at": UTC, "local": in the
 * zone, "note": "dst gap", "dst fold" or ""}]. */
int jm_schedule_preview(const jm_recurrence_spec *when, int64_t from_us, int64_t count,
                        json_t **items, jm_err *err);

/* What the definition of a calendar has become: schedules of the project that use it are computed
 * anew. Inside the caller's transaction, after the calendar's row is written. */
int jm_schedules_calendar_changed(struct jm_pg *pg, const char *project, const char *name,
                                  jm_err *err);

#endif
