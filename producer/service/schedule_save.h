/* Saving a schedule: adding, editing, deleting, rolling back, each in a transaction of its own (see
 * schedule_session.h for several in one). */
#ifndef JM_SERVICE_SCHEDULE_SAVE_H
#define JM_SERVICE_SCHEDULE_SAVE_H

#include "producer/service/schedule_session.h"

/* Adds a schedule that is due from PostgreSQL's clock on, and wakes schedulers once that has
 * committed. definition: members as for jm_schedule_apply; an interval without anchor has
 * PostgreSQL's clock as its anchor. owner: the column source; NULL: user. Errors: JM_ERR_INVALID
 * with err->field, JM_ERR_NOT_FOUND (project), JM_ERR_CONFLICT (the project has a schedule of that
 * name), and those of the database. */
int jm_schedules_add(struct jm_pg *pg, const json_t *definition, const char *owner,
                     const jm_change *change, jm_uuid *id, jm_err *err);

/* Edits a schedule. Errors as jm_schedules_add; JM_ERR_NOT_FOUND; JM_ERR_CONFLICT with field
 * "version": it has another one. */
int jm_schedules_edit(struct jm_pg *pg, const jm_uuid *id, const jm_edit *edit,
                      const jm_change *change, jm_edited *edited, jm_err *err);

/* Back to what that version made of it, as a new version; if_version as in jm_edit. Errors:
 * JM_ERR_NOT_FOUND; those of jm_schedules_edit. */
int jm_schedules_rollback(struct jm_pg *pg, const jm_uuid *id, int version, int if_version,
                          const jm_change *change, jm_edited *edited, jm_err *err);

/* Deletes it, or (if_version not 0) only that version; its jobs stay, without schedule_id. */
int jm_schedules_delete(struct jm_pg *pg, const jm_uuid *id, int if_version,
                        const jm_change *change, jm_err *err);

#endif
