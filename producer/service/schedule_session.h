/* Changes of schedules: as many as are wanted in one transaction, all of them or none. Each is a
 * version in the audit log; what is due by an old definition is settled before, and the new one
 * holds strictly after. */
#ifndef JM_SERVICE_SCHEDULE_SESSION_H
#define JM_SERVICE_SCHEDULE_SESSION_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/schedule.h"
#include "producer/service/change.h"

struct jm_pg;

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
    bool changed;  /* false: it was like that already, and nothing was written */
    json_t *would; /* after a dry run: the definition it would have; the caller drops it */
} jm_edited;

typedef struct jm_schedule_session jm_schedule_session; /* used by one thread */

/* Borrows pg and what change points at. */
jm_schedule_session *jm_schedule_session_new(struct jm_pg *pg, const jm_change *change);
void jm_schedule_session_free(jm_schedule_session *session);

/* Begins the transaction. */
int jm_schedule_session_begin(jm_schedule_session *session, jm_err *err);
/* In its place: the changes are part of a transaction that the caller has begun and ends, whether
 * it is a dry run or not; the caller wakes schedulers after the commit. No deletions. */
void jm_schedule_session_join(jm_schedule_session *session);
/* Ends it: commits when code is 0 and the change is no dry run, and then wakes whom it concerns;
 * otherwise takes everything back. Returns code, or what went wrong here: statements are sent many
 * at a time, the last of them now. Errors as below; JM_ERR_DB_DOWN: whether it was committed is
 * unknown. */
int jm_schedule_session_end(jm_schedule_session *session, int code, jm_err *err);

/* The changes; rows are locked as they come, so several go in the order of their ids. An error that
 * is none of the database's (JM_ERR_INVALID with err->field, JM_ERR_NOT_FOUND, JM_ERR_CONFLICT) has
 * written nothing, and the transaction can go on. */
int jm_schedule_session_add(jm_schedule_session *session, const json_t *definition,
                            const char *owner, jm_uuid *id, jm_err *err);
int jm_schedule_session_edit(jm_schedule_session *session, const jm_uuid *id, const jm_edit *edit,
                             jm_edited *edited, jm_err *err);
int jm_schedule_session_delete(jm_schedule_session *session, const jm_uuid *id, int if_version,
                               jm_err *err);

/* To be called between changes: sends what they have gathered, once it is worth it. An error (also
 * JM_ERR_CONFLICT: somebody has added a schedule of that name) may concern any of them, and the
 * transaction can only be ended. */
int jm_schedule_session_send(jm_schedule_session *session, jm_err *err);

/* Judges a change as the above would, without locking or writing anything and without a
 * transaction: of a row that was read, or an addition (row NULL). *out is what it would be,
 * resolved where *changed, and is borrowed until the next call; *clock_us the moment from which on
 * it would hold, or 0. */
int jm_schedule_session_judge(jm_schedule_session *session, const jm_schedule *row,
                              const jm_edit *edit, const jm_schedule **out, bool *changed,
                              int64_t *clock_us, jm_err *err);
/* From now on the session takes this for the calendar of that name, whatever the database has. Its
 * definition is borrowed for the call. */
void jm_schedule_session_put_calendar(jm_schedule_session *session, const char *project,
                                      const char *name, const char *definition);

#endif
