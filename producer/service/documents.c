/* Documents: setting, rolling back, looking, deleting. */
#include "producer/service/documents.h"

#include <stdlib.h>
#include <string.h>

#include "common/document_name.h"
#include "common/json_exact.h"
#include "common/json_scan.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/service/change_audit.h"
#include "producer/service/json_changes.h"
#include "producer/tx.h"

enum { ID_SIZE = 256, DESCRIPTION_MAX = 10000, TRIES = 5 };

/* What document_lock, _insert and _update tell. */
enum { LOCK_VERSION, LOCK_SAME, LOCK_BEFORE };

static void start_args(jm_pg_args *args, const char *project, const char *name)
{
    jm_pg_args_init(args);
    jm_pg_arg_text(args, project);
    jm_pg_arg_text(args, name);
}

static int no_document(const char *project, const char *name, jm_err *err)
{
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no document \"%.100s\" in project %.100s",
                      name, project);
}

/* Under which its versions are. Both are short, or there are none. */
static void version_id(const char *project, const char *name, char id[ID_SIZE])
{
    snprintf(id, ID_SIZE, "%.100s/%.100s", project, name);
}

/* ---- setting ---- */

static int check_body(const char *body, jm_err *err)
{
    size_t len = strlen(body);
    jm_json json;
    json_t *value = NULL;
    if (len > JM_DOCUMENT_BYTES_MAX)
        return jm_err_field(err, "body", "the body has %zu bytes, and at most %d are kept", len,
                            JM_DOCUMENT_BYTES_MAX);
    int rc = jm_json_scan(&json, body, len, JM_JSON_DEPTH_MAX, err);
    jm_json_fini(&json);
    if (!rc) /* duplicate keys, U+0000 */
        rc = jm_json_exact_load(body, len, &value, err);
    json_decref(value);
    if (rc) {
        char why[sizeof err->msg];
        memcpy(why, err->msg, sizeof why);
        return jm_err_field(err, "body", "the body is no JSON that can be kept: %.400s", why);
    }
    return JM_OK;
}

static int check(const jm_document_entry *entry, jm_err *err)
{
    const char *text = entry->description;
    if (!jm_document_name_ok(entry->name))
        return jm_err_field(err, "name", "\"%.100s\": %s", entry->name, JM_DOCUMENT_NAME_RULE);
    if (text && !jm_utf8_is_valid(text, strlen(text), NULL))
        return jm_err_field(err, "description", "the description is not valid UTF-8");
    if (text && strlen(text) > DESCRIPTION_MAX)
        return jm_err_field(err, "description", "a description has at most %d bytes",
                            DESCRIPTION_MAX);
    return check_body(entry->body, err);
}

/* version 0: there is none. */
static int check_version(int64_t if_version, int64_t version, const char *name, jm_err *err)
{
    if (if_version == JM_DOCUMENT_ANY || if_version == version ||
        (if_version == JM_DOCUMENT_NEW && !version))
        return JM_OK;
    if (!version)
        jm_err_field(err, "version", "there is no document \"%.100s\" any more", name);
    else if (if_version == JM_DOCUMENT_NEW)
        jm_err_field(err, "version", "there is a document \"%.100s\" already", name);
    else
        jm_err_field(err, "version",
                     "document \"%.100s\" is at version %lld, not %lld: look at what has changed "
                     "and try again with that",
                     name, (long long)version, (long long)if_version);
    return err->code = JM_ERR_CONFLICT;
}

static int audit(jm_pg *pg, const jm_document_entry *entry, const jm_change *change,
                 const char *action, const char *before, const PGresult *row, jm_err *err)
{
    char id[ID_SIZE];
    version_id(entry->project, entry->name, id);
    jm_audit_entry audited = {.object = "document",
                              .object_id = id,
                              .project = entry->project,
                              .action = entry->action ? entry->action : action,
                              .version = (int)strtol(PQgetvalue(row, 0, 0), NULL, 10),
                              .before = before,
                              .after = PQgetvalue(row, 0, 1)};
    return jm_change_audit(pg, change, &audited, err);
}

/* What of a body only PostgreSQL refuses: numbers that are too large for it. */
static int judge(int rc, jm_err *err)
{
    if (rc == JM_ERR_DB && !strncmp(err->sqlstate, "22", 2))
        return jm_err_field(err, "body", "PostgreSQL cannot keep it: a number in it is too large");
    return rc;
}

/* Inserts or updates, with the audit log. *row: version and it. No row: somebody else was first. */
static int write_row(jm_pg *pg, const jm_document_entry *entry, const jm_sql *sql, PGresult **row,
                     jm_err *err)
{
    jm_pg_args args;
    start_args(&args, entry->project, entry->name);
    jm_pg_arg_text(&args, entry->body);
    jm_pg_arg_text(&args, entry->description);
    int rc = jm_pg_query(pg, sql, &args, row, err);
    if (rc == JM_ERR_DB && !strcmp(err->sqlstate, "23503"))
        return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", entry->project);
    return judge(rc, err);
}

static int lock_row(jm_pg *pg, const jm_document_entry *entry, PGresult **row, jm_err *err)
{
    jm_pg_args args;
    start_args(&args, entry->project, entry->name);
    jm_pg_arg_text(&args, entry->body);
    jm_pg_arg_text(&args, entry->description);
    return judge(jm_pg_query(pg, &jm_sql_document_lock, &args, row, err), err);
}

/* One try. *again: another one was made meanwhile, and is seen now. */
static int try_put(jm_pg *pg, const jm_document_entry *entry, const jm_change *change,
                   jm_document_fate *fate, bool *again, jm_err *err)
{
    PGresult *was = NULL, *is = NULL;
    *again = false;
    int rc = lock_row(pg, entry, &was, err);
    bool found = !rc && PQntuples(was);
    if (!rc)
        rc = check_version(entry->if_version,
                           found ? strtoll(PQgetvalue(was, 0, LOCK_VERSION), NULL, 10) : 0,
                           entry->name, err);
    bool same = !rc && found && *PQgetvalue(was, 0, LOCK_SAME) == 't';
    *fate = same ? JM_DOCUMENT_UNCHANGED : found ? JM_DOCUMENT_CHANGED : JM_DOCUMENT_CREATED;
    if (!rc && !same)
        rc = write_row(pg, entry, found ? &jm_sql_document_update : &jm_sql_document_insert, &is,
                       err);
    *again = !rc && !same && !PQntuples(is);
    if (!rc && !same && !*again)
        rc = audit(pg, entry, change, found ? "update" : "create",
                   found ? PQgetvalue(was, 0, LOCK_BEFORE) : NULL, is, err);
    PQclear(was);
    PQclear(is);
    return rc;
}

int jm_documents_put(jm_pg *pg, const jm_document_entry *entry, const jm_change *change,
                     jm_document_fate *fate, jm_err *err)
{
    bool again = true;
    int rc = check(entry, err);
    for (int i = 0; !rc && again && i < TRIES; i++)
        rc = try_put(pg, entry, change, fate, &again, err);
    if (!rc && again)
        rc = jm_err_set(err, JM_ERR_CONFLICT, "others make and delete document \"%.100s\" too",
                        entry->name);
    return rc;
}

/* Ends a transaction as rc and the change say. */
static int end(jm_pg *pg, int rc, const jm_change *change, jm_err *err)
{
    if (!rc && !change->dry_run)
        rc = jm_pg_exec(pg, "COMMIT", NULL, err);
    if (rc || change->dry_run)
        jm_tx_rollback(pg);
    return rc;
}

int jm_documents_set(jm_pg *pg, const jm_document_entry *entry, const jm_change *change,
                     json_t **document, jm_document_fate *fate, jm_err *err)
{
    *document = NULL;
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (rc)
        return rc;
    rc = jm_documents_put(pg, entry, change, fate, err);
    if (!rc)
        rc = jm_documents_show(pg, entry->project, entry->name, document, err);
    rc = end(pg, rc, change, err);
    if (rc) {
        json_decref(*document);
        *document = NULL;
    }
    return rc;
}

int jm_documents_rollback(jm_pg *pg, const char *project, const char *name, int64_t version,
                          int64_t if_version, const jm_change *change, json_t **document,
                          jm_err *err)
{
    json_t *old;
    jm_document_fate fate;
    *document = NULL;
    int rc = jm_documents_version(pg, project, name, version, &old, err);
    if (rc)
        return rc;
    char *body = jm_json_exact_dump(json_object_get(old, "body"), JSON_COMPACT | JSON_ENCODE_ANY);
    const char *description = json_string_value(json_object_get(old, "description"));
    jm_document_entry entry = {.project = project,
                               .name = name,
                               .body = body,
                               .description = description ? description : "",
                               .if_version = if_version,
                               .action = "rollback"};
    if (!strcmp(json_string_value(json_object_get(old, "action")), "delete"))
        rc = jm_err_field(err, "version", "version %lld deleted the document", (long long)version);
    else
        rc = jm_documents_set(pg, &entry, change, document, &fate, err);
    free(body);
    json_decref(old);
    return rc;
}

/* ---- deleting ---- */

static int delete_row(jm_pg *pg, const char *project, const char *name, int64_t if_version,
                      const jm_change *change, jm_err *err)
{
    jm_document_entry entry = {.project = project, .name = name, .body = "null"};
    PGresult *was = NULL;
    jm_pg_args args;
    char id[ID_SIZE];
    int rc = lock_row(pg, &entry, &was, err);
    int version =
        !rc && PQntuples(was) ? (int)strtol(PQgetvalue(was, 0, LOCK_VERSION), NULL, 10) : 0;
    if (!rc && !version)
        rc = no_document(project, name, err);
    if (!rc)
        rc = check_version(if_version, version, name, err);
    start_args(&args, project, name);
    if (!rc)
        rc = jm_pg_query(pg, &jm_sql_document_delete, &args, NULL, err);
    if (!rc) {
        version_id(project, name, id);
        jm_audit_entry audited = {.object = "document",
                                  .object_id = id,
                                  .project = project,
                                  .action = "delete",
                                  .version = version + 1,
                                  .before = PQgetvalue(was, 0, LOCK_BEFORE)};
        rc = jm_change_audit(pg, change, &audited, err);
    }
    PQclear(was);
    return rc;
}

int jm_documents_delete(jm_pg *pg, const char *project, const char *name, int64_t if_version,
                        const jm_change *change, jm_err *err)
{
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (rc)
        return rc;
    return end(pg, delete_row(pg, project, name, if_version, change, err), change, err);
}

/* ---- looking ---- */

/* "project/name", as below. */
static int read_cursor(const char *cursor, char project[ID_SIZE], const char **name, jm_err *err)
{
    const char *slash = cursor ? strchr(cursor, '/') : NULL;
    if (cursor && (!slash || slash - cursor >= ID_SIZE || !jm_document_name_ok(slash + 1)))
        return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                            cursor);
    *name = slash ? slash + 1 : NULL;
    snprintf(project, ID_SIZE, "%.*s", slash ? (int)(slash - cursor) : 0, cursor ? cursor : "");
    return JM_OK;
}

static char *next_of(const json_t *items, int64_t limit)
{
    size_t n = json_array_size(items);
    const json_t *last = n ? json_array_get(items, n - 1) : NULL;
    char id[ID_SIZE];
    if ((int64_t)n < limit)
        return NULL;
    version_id(json_string_value(json_object_get(last, "project")),
               json_string_value(json_object_get(last, "name")), id);
    return jm_strdup(id);
}

int jm_documents_list(jm_pg *pg, const jm_documents_page *page, json_t **items, char **next,
                      jm_err *err)
{
    char project[ID_SIZE];
    const char *name = NULL;
    jm_pg_args args;
    *items = NULL;
    if (read_cursor(page->cursor, project, &name, err))
        return err->code;
    start_args(&args, page->project, page->prefix);
    jm_pg_arg_i64(&args, page->limit);
    jm_pg_arg_i64(&args, page->offset);
    jm_pg_arg_text(&args, name ? project : NULL);
    jm_pg_arg_text(&args, name);
    static const jm_rows_place place = {.limit = 3, .offset = 4, .cursor = {5, 6}};
    int rc = jm_rows_page(pg, &jm_sql_document_list, &args, &place, page->total, items, err);
    *next = rc ? NULL : next_of(*items, page->limit);
    return rc;
}

/* One row of what it is as JSON and its body as text. */
static int read_one(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, json_t **out, jm_err *err)
{
    PGresult *res = NULL;
    json_t *body = NULL;
    *out = NULL;
    int rc = jm_pg_query(pg, sql, args, &res, err);
    if (!rc && !PQntuples(res))
        rc = JM_ERR_NOT_FOUND;
    if (!rc)
        rc = jm_json_exact_load(PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0), out, err);
    if (!rc && !PQgetisnull(res, 0, 1))
        rc = jm_json_exact_load(PQgetvalue(res, 0, 1), (size_t)PQgetlength(res, 0, 1), &body, err);
    if (!rc)
        json_object_set_new(*out, "body", body ? body : json_null());
    PQclear(res);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int jm_documents_show(jm_pg *pg, const char *project, const char *name, json_t **document,
                      jm_err *err)
{
    jm_pg_args args;
    start_args(&args, project, name);
    int rc = read_one(pg, &jm_sql_document_show, &args, document, err);
    return rc == JM_ERR_NOT_FOUND ? no_document(project, name, err) : rc;
}

int jm_documents_versions(jm_pg *pg, const char *project, const char *name, const jm_page *page,
                          json_t **items, char **next, jm_err *err)
{
    static const jm_rows_place place = {.limit = 2, .offset = 3, .cursor = {4}};
    jm_pg_args args;
    char id[ID_SIZE], *end = NULL;
    int64_t below = page->cursor ? strtoll(page->cursor, &end, 10) : 0;
    *items = NULL;
    *next = NULL;
    if (page->cursor && (*end || below < 1))
        return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                            page->cursor);
    version_id(project, name, id);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, id);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    if (below)
        jm_pg_arg_i64(&args, below);
    else
        jm_pg_arg_text(&args, NULL);
    int rc = jm_rows_page(pg, &jm_sql_document_versions, &args, &place, page->total, items, err);
    if (!rc && !page->offset && !below && !json_array_size(*items)) {
        json_decref(*items);
        *items = NULL;
        rc = no_document(project, name, err);
    }
    const json_t *last = rc ? NULL : jm_rows_cut(*items, page->limit);
    if (last) {
        jm_buf text = {0};
        jm_buf_addf(&text, "%lld", (long long)json_integer_value(json_object_get(last, "version")));
        *next = jm_buf_take(&text);
    }
    return rc;
}

/* version 0: the newest that has a body. */
static int read_version(jm_pg *pg, const char *project, const char *name, int64_t version,
                        json_t **document, jm_err *err)
{
    jm_pg_args args;
    char id[ID_SIZE];
    version_id(project, name, id);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, id);
    if (version)
        jm_pg_arg_i32(&args, (int32_t)version);
    else
        jm_pg_arg_text(&args, NULL);
    int rc = read_one(pg, &jm_sql_document_version, &args, document, err);
    if (rc == JM_ERR_NOT_FOUND && version)
        return jm_err_set(err, rc, "document \"%.100s\" of project %.100s has no version %lld",
                          name, project, (long long)version);
    return rc == JM_ERR_NOT_FOUND ? no_document(project, name, err) : rc;
}

int jm_documents_version(jm_pg *pg, const char *project, const char *name, int64_t version,
                         json_t **document, jm_err *err)
{
    int rc = read_version(pg, project, name, version, document, err);
    if (!rc) {
        json_object_set_new(*document, "project", json_string(project));
        json_object_set_new(*document, "name", json_string(name));
    }
    return rc;
}

int jm_documents_diff(jm_pg *pg, const char *project, const char *name, int64_t from, int64_t to,
                      json_t **diff, jm_err *err)
{
    json_t *was = NULL, *is = NULL;
    *diff = NULL;
    int rc = read_version(pg, project, name, to, &is, err);
    to = rc ? 0 : json_integer_value(json_object_get(is, "version"));
    from = from ? from : to - 1;
    if (!rc && from) /* before the first version there was nothing */
        rc = read_version(pg, project, name, from, &was, err);
    if (!rc)
        *diff =
            json_pack("{s:I, s:I, s:o}", "from", (json_int_t)from, "to", (json_int_t)to, "changes",
                      jm_json_changes(json_object_get(was, "body"), json_object_get(is, "body")));
    json_decref(was);
    json_decref(is);
    return rc;
}
