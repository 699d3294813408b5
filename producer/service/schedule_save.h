/* Saving schedules: adding, editing, deleting, rolling back. Every change is a version in the audit
 * log; what is due by the old definition is settled before, and the new one holds strictly after.
 */
#ifndef JM_SERVICE_SCHEDULE_SAVE_H
#define JM_SERVICE_SCHEDULE_SAVE_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/service/change.h"

struct jm_pg;

/* Adds a schedule that is due from PostgreSQL's clock on, and wakes schedulers once that has
 * committed. definition: members as for jm_schedule_apply; an interval without anchor has
 * PostgreSQL's clock as its anchor. owner: the column source; NULL: user. Errors: JM_ERR_INVALID
 * with err->field, JM_ERR_NOT_FOUND (project), JM_ERR_CONFLICT (the project has a schedule of that
 * name), and those of the database. */
int jm_schedules_add(struct jm_pg *pg, const json_t *definition, const char *owner,
                     const jm_change *change, jm_uuid *id, jm_err *err);

typedef enum jm_edit_mode {
    JM_EDIT_CHANGE, /* what is not named stays */
    JM_EDIT_REPLACE /* what is not named is as the defaults; name, project and anchor stay */
} jm_edit_mode;

typedef struct jm_edit {
    jm_edit_mode mode;
    const json_t *definition; /* members as for jm_schedule_apply */
    const char *action;       /* update, enable, disable, pause, resume, rollback */
    int if_version;           /* edit only this version; 0: whatever it is */
    const char *owner;        /* becomes the column source; NULL: stays */
} jm_edit;

typedef struct jm_edited {
    int version;
    bool changed; /* false: it was like that already, and nothing was written */
} jm_edited;

/* Edits a schedule. Errors as jm_schedules_add; JM_ERR_NOT_FOUND; JM_ERR_CONFLICT: it has another
 * version. */
int jm_schedules_edit(struct jm_pg *pg, const jm_uuid *id, const jm_edit *edit,
                      const jm_change *change, jm_edited *edited, jm_err *err);

/* Back to what that version made of it, as a new version. Errors: JM_ERR_NOT_FOUND. */
int jm_schedules_rollback(struct jm_pg *pg, const jm_uuid *id, int version, const jm_change *change,
                          jm_edited *edited, jm_err *err);

/* Deletes it; its jobs stay, without schedule_id. */
int jm_schedules_delete(struct jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_err *err);

#endif
