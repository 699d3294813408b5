/* Projects: adding, listing, changing, deleting. */
#include "producer/service/projects.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json_scan.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/service/change_audit.h"
#include "producer/tx.h"

static int there_is_none(const char *name, jm_err *err)
{
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project %.100s", name);
}

static int note(jm_pg *pg, const char *name, const char *action, const json_t *before,
                const json_t *after, const jm_change *change, jm_err *err)
{
    jm_audit_entry entry = {
        .object = "project", .object_id = name, .project = name, .action = action};
    return jm_change_audit_values(pg, change, &entry, before, after, err);
}

/* The end of every change: *value stays only when it was made. */
static int end(jm_pg *pg, int rc, const jm_change *change, json_t **value, jm_err *err)
{
    rc = jm_tx_end(pg, rc, !change->dry_run, err);
    if (rc) {
        json_decref(*value);
        *value = NULL;
    }
    return rc;
}

static int check_name(const char *name, jm_err *err)
{
    size_t len = strlen(name);
    bool ok = len >= 1 && len <= 100 && !strchr("._-", name[0]) &&
              strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
    return ok ? JM_OK : jm_err_field(err, "name", "[a-z0-9][a-z0-9._-]{0,99} expected");
}

static int check(const jm_projects_entry *entry, jm_err *err)
{
    const char *text = entry->description;
    if (text && !jm_utf8_is_valid(text, strlen(text), NULL))
        return jm_err_field(err, "description", "it is not valid UTF-8");
    if (entry->min_interval_s < 0 || entry->min_interval_s > INT32_MAX)
        return jm_err_field(err, "min_interval_s", "seconds from 1 to %d expected", INT32_MAX);
    return JM_OK;
}

int jm_projects_add(jm_pg *pg, const jm_projects_entry *entry, const jm_change *change,
                    json_t **project, jm_err *err)
{
    jm_pg_args args;
    *project = NULL;
    int rc = check_name(entry->name, err);
    rc = rc ? rc : check(entry, err);
    if (rc || (rc = jm_pg_exec(pg, "BEGIN", NULL, err)))
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, entry->name);
    jm_pg_arg_text(&args, entry->description);
    jm_pg_arg_i32(&args, entry->min_interval_s ? (int)entry->min_interval_s : 1);
    rc = jm_rows_one(pg, &jm_sql_project_insert, &args, project, err);
    if (rc == JM_ERR_NOT_FOUND)
        rc = jm_err_set(err, JM_ERR_CONFLICT, "there is a project %.100s already", entry->name);
    if (!rc)
        rc = note(pg, entry->name, "create", NULL, *project, change, err);
    return end(pg, rc, change, project, err);
}

/* ---- looking ---- */

/* "time name" of the last row of a page, which is the order of the list. */
static int read_cursor(const char *cursor, int64_t *at_us, const char **name, jm_err *err)
{
    const char *space = cursor ? strchr(cursor, ' ') : NULL;
    jm_err ignored;
    *at_us = 0;
    *name = NULL;
    if (!cursor)
        return JM_OK;
    if (space && !jm_rfc3339_parse(cursor, (size_t)(space - cursor), at_us, &ignored)) {
        *name = space + 1;
        return JM_OK;
    }
    return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                        cursor);
}

static char *cut(json_t *items, int64_t limit)
{
    jm_buf cursor = {0};
    const json_t *last = jm_rows_cut(items, limit);
    if (!last)
        return NULL;
    jm_buf_addf(&cursor, "%s %s", json_string_value(json_object_get(last, "created_at")),
                json_string_value(json_object_get(last, "name")));
    return jm_buf_take(&cursor);
}

int jm_projects_list(jm_pg *pg, const char *only, const jm_page *page, json_t **items, char **next,
                     jm_err *err)
{
    static const jm_rows_place place = {.limit = 4, .offset = 5, .cursor = {2, 3}};
    jm_pg_args args;
    int64_t at_us;
    const char *name;
    *items = NULL;
    *next = NULL;
    int rc = read_cursor(page->cursor, &at_us, &name, err);
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, only);
    jm_pg_arg_ts(&args, at_us);
    jm_pg_arg_text(&args, name);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    rc = jm_rows_page(pg, &jm_sql_project_list, &args, &place, page->total, items, err);
    if (!rc)
        *next = cut(*items, page->limit);
    return rc;
}

int jm_projects_show(jm_pg *pg, const char *name, json_t **project, jm_err *err)
{
    json_t *items;
    char *next;
    *project = NULL;
    int rc = jm_projects_list(pg, name, &(jm_page){.limit = 1}, &items, &next, err);
    if (rc)
        return rc;
    *project = json_incref(json_array_get(items, 0));
    json_decref(items);
    free(next);
    return *project ? JM_OK : there_is_none(name, err);
}

/* ---- changing ---- */

/* As it is now; others wait until this transaction has ended. */
static int lock(jm_pg *pg, const char *name, json_t **project, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, name);
    int rc = jm_rows_one(pg, &jm_sql_project_lock, &args, project, err);
    return rc == JM_ERR_NOT_FOUND ? there_is_none(name, err) : rc;
}

static int write_change(jm_pg *pg, const jm_projects_entry *entry, const json_t *was,
                        json_t **project, jm_err *err)
{
    jm_pg_args args;
    const char *description = entry->description;
    int64_t interval = entry->min_interval_s;
    if (!description && !entry->without_description)
        description = json_string_value(json_object_get(was, "description"));
    if (!interval)
        interval = json_integer_value(json_object_get(was, "min_interval_s"));
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, entry->name);
    jm_pg_arg_text(&args, description);
    jm_pg_arg_i32(&args, (int)interval);
    return jm_rows_one(pg, &jm_sql_project_update, &args, project, err);
}

int jm_projects_update(jm_pg *pg, const jm_projects_entry *entry, const jm_change *change,
                       json_t **project, jm_err *err)
{
    json_t *was = NULL;
    *project = NULL;
    int rc = check(entry, err);
    if (rc || (rc = jm_pg_exec(pg, "BEGIN", NULL, err)))
        return rc;
    rc = lock(pg, entry->name, &was, err);
    if (!rc)
        rc = write_change(pg, entry, was, project, err);
    if (!rc)
        rc = note(pg, entry->name, "update", was, *project, change, err);
    json_decref(was);
    return end(pg, rc, change, project, err);
}

/* ---- deleting ---- */

static int refuse_unfinished(jm_pg *pg, const char *name, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, name);
    int rc = jm_pg_query(pg, &jm_sql_project_unfinished, &args, &res, err);
    long n = rc ? 0 : strtol(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    if (!n)
        return rc;
    return jm_err_set(err, JM_ERR_CONFLICT,
                      "project %.100s has %s%ld job%s that %s not ended: wait for them, or cancel "
                      "them (jobmill job cancel)",
                      name, n >= 1000 ? "at least " : "", n, n == 1 ? "" : "s",
                      n == 1 ? "has" : "have");
}

static int delete_all(jm_pg *pg, const char *name, const jm_change *change, json_t *gone,
                      jm_err *err)
{
    static const char *const members[] = {"schedules", "calendars", "keys"};
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, name);
    jm_pg_arg_text(&args, change->actor);
    jm_pg_arg_text(&args, change->source);
    jm_pg_arg_text(&args, change->reason);
    jm_pg_arg_text(&args, change->address);
    jm_pg_arg_text(&args, change->request_id);
    int rc = jm_pg_query(pg, &jm_sql_project_delete, &args, &res, err);
    for (int i = 0; !rc && i < 3; i++)
        json_object_set_new(gone, members[i],
                            json_integer(strtoll(PQgetvalue(res, 0, i), NULL, 10)));
    PQclear(res);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, name);
    return rc ? rc : jm_pg_query(pg, &jm_sql_project_drop, &args, NULL, err);
}

int jm_projects_delete(jm_pg *pg, const char *name, const jm_change *change, json_t **gone,
                       jm_err *err)
{
    *gone = NULL;
    if (!strcmp(name, "default"))
        return jm_err_set(err, JM_ERR_CONFLICT,
                          "project default stays: jobs go there that name no project");
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (rc)
        return rc;
    rc = lock(pg, name, gone, err);
    if (!rc)
        rc = refuse_unfinished(pg, name, err);
    if (!rc)
        rc = delete_all(pg, name, change, *gone, err);
    if (!rc)
        rc = note(pg, name, "delete", *gone, NULL, change, err);
    return end(pg, rc, change, gone, err);
}
