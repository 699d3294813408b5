/* Saving schedules: one transaction each. */
#include "producer/service/schedule_save.h"

#include "common/pg.h"
#include "common/rows.h"

int jm_schedules_add(jm_pg *pg, const json_t *definition, const char *owner,
                     const jm_change *change, jm_uuid *id, jm_err *err)
{
    jm_schedule_session *session = jm_schedule_session_new(pg, change);
    int code = jm_schedule_session_begin(session, err);
    if (!code)
        code = jm_schedule_session_end(
            session, jm_schedule_session_add(session, definition, owner, id, err), err);
    jm_schedule_session_free(session);
    return code;
}

int jm_schedules_edit(jm_pg *pg, const jm_uuid *id, const jm_edit *edit, const jm_change *change,
                      jm_edited *edited, jm_err *err)
{
    jm_schedule_session *session = jm_schedule_session_new(pg, change);
    *edited = (jm_edited){0};
    int code = jm_schedule_session_begin(session, err);
    if (!code)
        code = jm_schedule_session_end(
            session, jm_schedule_session_edit(session, id, edit, edited, err), err);
    jm_schedule_session_free(session);
    if (code) {
        json_decref(edited->would);
        edited->would = NULL;
    }
    return code;
}

int jm_schedules_rollback(jm_pg *pg, const jm_uuid *id, int version, int if_version,
                          const jm_change *change, jm_edited *edited, jm_err *err)
{
    char text[JM_UUID_TEXT];
    json_t *definition = NULL;
    jm_pg_args args;
    jm_uuid_format(id, text);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, "schedule");
    jm_pg_arg_text(&args, text);
    jm_pg_arg_i32(&args, version);
    int code = jm_rows_one(pg, &jm_sql_audit_version, &args, &definition, err);
    if (code == JM_ERR_NOT_FOUND || (!code && !definition))
        return jm_err_set(err, JM_ERR_NOT_FOUND, "it has no version %d", version);
    if (code)
        return code;
    if (!json_object_get(definition, "paused"))
        json_object_set_new(definition, "paused", json_false()); /* as it was then */
    jm_edit how = {.mode = JM_EDIT_REPLACE,
                   .definition = definition,
                   .action = "rollback",
                   .if_version = if_version};
    code = jm_schedules_edit(pg, id, &how, change, edited, err);
    json_decref(definition);
    return code;
}

int jm_schedules_delete(jm_pg *pg, const jm_uuid *id, int if_version, const jm_change *change,
                        jm_err *err)
{
    jm_schedule_session *session = jm_schedule_session_new(pg, change);
    int code = jm_schedule_session_begin(session, err);
    if (!code)
        code = jm_schedule_session_end(
            session, jm_schedule_session_delete(session, id, if_version, err), err);
    jm_schedule_session_free(session);
    return code;
}
