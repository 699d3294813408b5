/* Backup: what there is, read at one moment. */
#include "producer/service/backup.h"

#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/service/schedule_export.h"
#include "producer/tx.h"

static void start_args(jm_pg_args *args, const char *project)
{
    jm_pg_args_init(args);
    jm_pg_arg_text(args, project);
}

static int read_projects(jm_pg *pg, const char *project, json_t *out, jm_err *err)
{
    jm_pg_args args;
    json_t *items = NULL;
    start_args(&args, project);
    int rc = jm_rows_list(pg, &jm_sql_backup_projects, &args, &items, err);
    if (!rc && project && !json_array_size(items))
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", project);
    if (rc)
        json_decref(items);
    else
        json_object_set_new(out, "projects", items);
    return rc;
}

/* Bodies digit for digit. */
static int add_document(json_t *items, const PGresult *res, int row, jm_err *err)
{
    json_t *body;
    int rc =
        jm_json_exact_load(PQgetvalue(res, row, 3), (size_t)PQgetlength(res, row, 3), &body, err);
    if (!rc)
        json_array_append_new(items,
                              json_pack("{s:s, s:s, s:s?, s:o}", "project", PQgetvalue(res, row, 0),
                                        "name", PQgetvalue(res, row, 1), "description",
                                        PQgetisnull(res, row, 2) ? NULL : PQgetvalue(res, row, 2),
                                        "body", body));
    return rc;
}

static int read_documents(jm_pg *pg, const char *project, json_t *out, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    json_t *items = json_array();
    start_args(&args, project);
    int rc = jm_pg_query(pg, &jm_sql_backup_documents, &args, &res, err);
    for (int i = 0; !rc && i < PQntuples(res); i++)
        rc = add_document(items, res, i, err);
    PQclear(res);
    json_object_set_new(out, "documents", items);
    return rc;
}

static const char *project_of(const json_t *schedule)
{
    const char *project = json_string_value(json_object_get(schedule, "project"));
    return project ? project : "default";
}

static bool is_synced(const PGresult *synced, const json_t *schedule)
{
    const char *name = json_string_value(json_object_get(schedule, "name"));
    for (int i = 0; i < PQntuples(synced); i++)
        if (!strcmp(PQgetvalue(synced, i, 1), name) &&
            !strcmp(PQgetvalue(synced, i, 0), project_of(schedule)))
            return true;
    return false;
}

/* A sync brings back its own, and would take them for somebody else's. */
static int leave_out_synced(jm_pg *pg, json_t *schedules, jm_err *err)
{
    PGresult *synced = NULL;
    int rc = jm_pg_query(pg, &jm_sql_backup_synced, NULL, &synced, err);
    for (size_t i = rc ? 0 : json_array_size(schedules); i > 0; i--)
        if (is_synced(synced, json_array_get(schedules, i - 1)))
            json_array_remove(schedules, i - 1);
    PQclear(synced);
    return rc;
}

static int read_schedules(jm_pg *pg, const char *project, json_t *out, jm_err *err)
{
    json_t *document = NULL;
    int rc = jm_schedule_export(pg, project, &document, err);
    if (!rc)
        rc = leave_out_synced(pg, json_object_get(document, "schedules"), err);
    if (!rc)
        json_object_update(out, document);
    json_decref(document);
    return rc;
}

int jm_backup(jm_pg *pg, const char *project, json_t **backup, jm_err *err)
{
    char at[JM_RFC3339_TEXT];
    jm_rfc3339_format(jm_utc_us(), at);
    *backup = NULL;
    int rc = jm_pg_exec(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, err);
    if (rc)
        return rc;
    json_t *out = json_pack("{s:i, s:s, s:s}", "jobmill_backup", (int)JM_BACKUP_VERSION, "program",
                            JM_VERSION, "at", at);
    rc = read_projects(pg, project, out, err);
    rc = rc ? rc : read_documents(pg, project, out, err);
    rc = rc ? rc : read_schedules(pg, project, out, err);
    rc = rc ? rc : jm_pg_exec(pg, "COMMIT", NULL, err);
    if (rc) {
        jm_tx_rollback(pg);
        json_decref(out);
        return rc;
    }
    *backup = out;
    return JM_OK;
}
