/* Restore: the database becomes what a backup says, in one transaction. */
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/pg.h"
#include "producer/service/backup.h"
#include "producer/service/documents.h"
#include "producer/service/schedule_import.h"
#include "producer/tx.h"

enum { NAME_SIZE = 400 };

typedef struct work {
    jm_pg *pg;
    const char *file;
    const jm_change *change;
    const json_t *backup;
    json_t *restored;
    jm_findings *findings;
} work;

/* ---- what became of each ---- */

static json_t *kind_of(work *w, const char *kind)
{
    json_t *it = json_object_get(w->restored, kind);
    if (!it) {
        it = json_pack("{s:[], s:[], s:i}", "created", "changed", "unchanged", 0);
        json_object_set_new(w->restored, kind, it);
    }
    return it;
}

static void add_name(work *w, const char *kind, const char *fate, const char *project,
                     const char *name)
{
    char text[NAME_SIZE];
    snprintf(text, sizeof text, "%s%s%s", project ? project : "", project ? "/" : "", name);
    json_array_append_new(json_object_get(kind_of(w, kind), fate), json_string(text));
}

static void add_unchanged(work *w, const char *kind, size_t n)
{
    json_t *it = kind_of(w, kind);
    json_int_t had = json_integer_value(json_object_get(it, "unchanged"));
    json_object_set_new(it, "unchanged", json_integer(had + (json_int_t)n));
}

/* ---- reading what is given ---- */

static int wrong(const work *w, jm_err *err, const char *field, const char *what)
{
    return jm_err_field(err, field, "%.200s: %s: %s", w->file, field, what);
}

static int check_backup(work *w, jm_err *err)
{
    static const char *const lists[] = {"projects", "documents", "calendars", "schedules"};
    const char *key;
    json_t *value;
    const json_t *version = json_object_get(w->backup, "jobmill_backup");
    if (!json_is_integer(version))
        return wrong(w, err, "jobmill_backup", "it is no backup (jobmill backup makes one)");
    if (json_integer_value(version) != JM_BACKUP_VERSION)
        return wrong(w, err, "jobmill_backup",
                     "it is of another version than 1, which is what this program knows");
    json_object_foreach((json_t *)(uintptr_t)w->backup, key, value)
    {
        bool known =
            !strcmp(key, "jobmill_backup") || !strcmp(key, "program") || !strcmp(key, "at");
        for (int i = 0; i < JM_COUNT(lists) && !known; i++) {
            if (strcmp(key, lists[i]) != 0)
                continue;
            if (!json_is_array(value))
                return wrong(w, err, key, "a list expected");
            known = true;
        }
        if (!known)
            return wrong(w, err, key, "a backup has no such member");
    }
    return JM_OK;
}

/* A member that is a string, or absent or null where it may be. */
static int get_text(const work *w, const json_t *object, const char *list, size_t i,
                    const char *member, bool needed, const char **out, jm_err *err)
{
    char place[80];
    const json_t *value = json_object_get(object, member);
    *out = jm_json_exact_text(value);
    if (*out || (!needed && (!value || json_is_null(value))))
        return JM_OK;
    snprintf(place, sizeof place, "%s/%zu/%s", list, i, member);
    return wrong(w, err, place, "a string expected");
}

/* ---- projects ---- */

static int add_project(const work *w, const json_t *project, size_t i, jm_cols *cols, jm_err *err)
{
    char place[80];
    const char *name, *description;
    const json_t *interval = json_object_get(project, "min_interval_s");
    if (get_text(w, project, "projects", i, "name", true, &name, err) ||
        get_text(w, project, "projects", i, "description", false, &description, err))
        return err->code;
    snprintf(place, sizeof place, "projects/%zu/min_interval_s", i);
    json_int_t seconds = interval ? json_integer_value(interval) : 1;
    if (seconds < 1 || seconds > INT32_MAX)
        return wrong(w, err, place, "a whole number from 1 expected");
    jm_col_add_str(&cols->col[0], name);
    jm_col_add_str(&cols->col[1], description);
    jm_col_add_i32(&cols->col[2], (int32_t)seconds);
    return JM_OK;
}

static int write_projects(work *w, jm_cols *cols, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, cols);
    jm_pg_arg_text(&args, w->change->actor);
    jm_pg_arg_text(&args, w->change->source);
    jm_pg_arg_text(&args, w->change->reason);
    jm_pg_arg_text(&args, w->change->address);
    jm_pg_arg_text(&args, w->change->request_id);
    int rc = jm_pg_query(w->pg, &jm_sql_restore_projects, &args, &res, err);
    for (int i = 0; !rc && i < PQntuples(res); i++) {
        bool is_new = *PQgetvalue(res, i, 1) == 't', written = *PQgetvalue(res, i, 2) == 't';
        if (written)
            add_name(w, "projects", is_new ? "created" : "changed", NULL, PQgetvalue(res, i, 0));
        else
            add_unchanged(w, "projects", 1);
    }
    PQclear(res);
    if (rc == JM_ERR_DB && !strcmp(err->sqlstate, "23514"))
        return wrong(w, err, "projects", "a name is [a-z0-9][a-z0-9._-]{0,99}");
    if (rc == JM_ERR_DB && !strcmp(err->sqlstate, "21000"))
        return wrong(w, err, "projects", "one is there twice");
    return rc;
}

static int restore_projects(work *w, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_TEXT, JM_COL_TEXT, JM_COL_I32};
    size_t i;
    json_t *project;
    jm_cols cols;
    int rc = JM_OK;
    kind_of(w, "projects");
    jm_cols_init(&cols, types, 3);
    json_array_foreach(json_object_get(w->backup, "projects"), i, project)
    {
        if ((rc = add_project(w, project, i, &cols, err)))
            break;
    }
    if (!rc && i)
        rc = write_projects(w, &cols, err);
    jm_cols_fini(&cols);
    return rc;
}

/* ---- documents ---- */

static int restore_document(work *w, const json_t *document, size_t i, jm_err *err)
{
    char place[80];
    jm_document_entry entry = {0};
    jm_document_fate fate;
    const json_t *value = json_object_get(document, "body");
    if (get_text(w, document, "documents", i, "project", true, &entry.project, err) ||
        get_text(w, document, "documents", i, "name", true, &entry.name, err) ||
        get_text(w, document, "documents", i, "description", false, &entry.description, err))
        return err->code;
    snprintf(place, sizeof place, "documents/%zu", i);
    if (!value)
        return wrong(w, err, place, "it has no body");
    char *body = jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY);
    entry.body = body;
    entry.description = entry.description ? entry.description : "";
    int rc = jm_documents_put(w->pg, &entry, w->change, &fate, err);
    free(body);
    if (rc && rc != JM_ERR_DB_DOWN)
        return jm_err_prefix(err, "%.200s: %s", w->file, place);
    if (!rc && fate == JM_DOCUMENT_UNCHANGED)
        add_unchanged(w, "documents", 1);
    else if (!rc)
        add_name(w, "documents", fate == JM_DOCUMENT_CREATED ? "created" : "changed", entry.project,
                 entry.name);
    return rc;
}

static int restore_documents(work *w, jm_err *err)
{
    size_t i;
    json_t *document;
    kind_of(w, "documents");
    json_array_foreach(json_object_get(w->backup, "documents"), i, document)
    {
        int rc = restore_document(w, document, i, err);
        if (rc)
            return rc;
    }
    return JM_OK;
}

/* ---- calendars and schedules ---- */

static void tell_schedules(work *w, const jm_schedule_document *document,
                           const jm_schedule_changes *changes)
{
    for (size_t i = 0; i < changes->n; i++)
        add_name(w, "schedules", changes->items[i].kind == JM_SCHEDULE_ADD ? "created" : "changed",
                 changes->items[i].project, changes->items[i].name);
    for (size_t i = 0; i < changes->n_calendars; i++)
        add_name(w, "calendars", changes->calendars[i].added ? "created" : "changed",
                 changes->calendars[i].given->project, changes->calendars[i].given->name);
    add_unchanged(w, "schedules", changes->unchanged);
    add_unchanged(w, "calendars", document->n_calendars - changes->n_calendars);
}

static int import(work *w, const jm_schedule_document *document, jm_err *err)
{
    const jm_schedule_import how = {.document = document, .joined = true};
    jm_schedule_changes *changes;
    jm_change change = *w->change;
    change.dry_run = false; /* the transaction is ours */
    int rc = jm_schedule_import_find(w->pg, &how, &changes, w->findings, err);
    if (!rc) {
        tell_schedules(w, document, changes);
        rc = jm_schedule_import_apply(w->pg, &how, changes, &change, err);
    }
    jm_schedule_changes_free(changes);
    return rc;
}

static int restore_schedules(work *w, jm_err *err)
{
    jm_schedule_document *document;
    json_t *calendars = json_object_get(w->backup, "calendars");
    json_t *schedules = json_object_get(w->backup, "schedules");
    json_t *both = json_object();
    json_object_set(both, "calendars", calendars);
    json_object_set(both, "schedules", schedules);
    if (!calendars)
        json_object_set_new(both, "calendars", json_array());
    if (!schedules)
        json_object_set_new(both, "schedules", json_array());
    char *text = jm_json_exact_dump(both, JSON_COMPACT);
    int rc = jm_schedule_document_parse(w->file, text, strlen(text), &document, w->findings);
    if (!rc || rc == JM_ERR_INVALID)
        rc = import(w, document, err);
    if (rc == JM_ERR_INVALID && w->findings->total) /* they say it all */
        jm_err_set(err, rc, "%.200s: calendars or schedules are wrong", w->file);
    jm_schedule_document_free(document);
    free(text);
    json_decref(both);
    return rc;
}

/* ---- the whole ---- */

static int restore_all(work *w, jm_err *err)
{
    int rc = check_backup(w, err);
    rc = rc ? rc : jm_pg_exec(w->pg, "BEGIN", NULL, err);
    if (rc)
        return rc;
    rc = restore_projects(w, err);
    rc = rc ? rc : restore_documents(w, err);
    rc = rc ? rc : restore_schedules(w, err);
    if (!rc && !w->change->dry_run)
        rc = jm_pg_exec(w->pg, "COMMIT", NULL, err);
    if (rc || w->change->dry_run)
        jm_tx_rollback(w->pg);
    jm_err ignored; /* a scheduler that is not woken looks by itself within a second */
    if (!rc && !w->change->dry_run)
        (void)jm_pg_query(w->pg, &jm_sql_schedule_notify, NULL, NULL, &ignored);
    return rc;
}

int jm_restore(jm_pg *pg, const char *name, const char *text, size_t len, const jm_change *change,
               json_t **restored, jm_findings *findings, jm_err *err)
{
    json_t *backup;
    *restored = NULL;
    int rc = jm_json_exact_load(text, len, &backup, err);
    if (rc)
        return jm_err_prefix(err, "%.200s", name);
    work w = {.pg = pg,
              .file = name,
              .change = change,
              .backup = backup,
              .restored = json_pack("{s:b}", "dry_run", (int)change->dry_run),
              .findings = findings};
    rc = restore_all(&w, err);
    json_decref(backup);
    if (rc)
        json_decref(w.restored);
    else
        *restored = w.restored;
    return rc;
}
