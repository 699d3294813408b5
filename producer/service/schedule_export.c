/* Exporting: the schedules and calendars of the database as a document. */
#include "producer/service/schedule_export.h"

#include <string.h>

#include "common/json_exact.h"
#include "common/pg.h"
#include "producer/schedule_json.h"

static int export_schedules(jm_pg *pg, const jm_pg_args *args, json_t *list, jm_err *err)
{
    jm_schedule_columns columns;
    jm_schedule schedule;
    jm_pg_call call = {.sql = &jm_sql_schedule_rows, .args = args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    if (rc)
        return rc;
    jm_arena *arena = jm_arena_new(0);
    jm_schedule_columns_init(&columns, call.res);
    for (int i = 0; !rc && i < PQntuples(call.res); i++) {
        rc = jm_schedule_from_row(&columns, call.res, i, arena, &schedule, err);
        if (rc)
            jm_err_prefix(err, "schedule \"%.100s\" of project %.100s: %s", schedule.name,
                          schedule.project, err->field);
        else
            json_array_append_new(list, jm_schedule_to_json(&schedule));
    }
    jm_arena_free(arena);
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static json_t *calendar_of(const PGresult *res, int row)
{
    json_t *out = json_object(), *definition = NULL;
    const char *text = PQgetvalue(res, row, 2);
    if (strcmp(PQgetvalue(res, row, 0), "default") != 0)
        json_object_set_new(out, "project", json_string(PQgetvalue(res, row, 0)));
    json_object_set_new(out, "name", json_string(PQgetvalue(res, row, 1)));
    if (!PQgetisnull(res, row, 3))
        json_object_set_new(out, "description", json_string(PQgetvalue(res, row, 3)));
    if (!jm_json_exact_load(text, strlen(text), &definition, NULL))
        json_object_set_new(out, "definition", definition);
    return out;
}

static int export_calendars(jm_pg *pg, const jm_pg_args *args, json_t *list, jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_query(pg, &jm_sql_calendar_rows, args, &res, err);
    for (int i = 0; !rc && i < PQntuples(res); i++)
        json_array_append_new(list, calendar_of(res, i));
    PQclear(res);
    return rc;
}

static int check_project(jm_pg *pg, const char *project, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, project);
    int rc = jm_pg_query(pg, &jm_sql_schedule_project, &args, &res, err);
    if (!rc && !PQntuples(res))
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", project);
    PQclear(res);
    return rc;
}

int jm_schedule_export(jm_pg *pg, const char *project, json_t **document, jm_err *err)
{
    json_t *calendars = json_array(), *schedules = json_array();
    jm_col projects;
    jm_pg_args args, calendar_args;
    jm_col_init(&projects, JM_COL_TEXT);
    jm_pg_args_init(&args);
    jm_pg_args_init(&calendar_args);
    if (project) {
        jm_col_add_str(&projects, project);
        jm_pg_arg_col(&args, &projects);
        jm_pg_arg_col(&calendar_args, &projects);
    } else {
        jm_pg_arg_text(&args, NULL);
        jm_pg_arg_text(&calendar_args, NULL);
    }
    jm_pg_arg_text(&args, NULL);
    int rc = project ? check_project(pg, project, err) : JM_OK;
    if (!rc)
        rc = export_calendars(pg, &calendar_args, calendars, err);
    if (!rc)
        rc = export_schedules(pg, &args, schedules, err);
    *document = json_pack("{s:o, s:o}", "calendars", calendars, "schedules", schedules);
    if (rc) {
        json_decref(*document);
        *document = NULL;
    }
    jm_col_fini(&projects);
    return rc;
}
