/* Documents of applications, and their versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "producer/http/routes.h"
#include "producer/service/documents.h"

/* Where a document is: the project asked for, or the key's, or default. false: answered. */
static bool place_of(jm_req *req, const char **project, const char **name)
{
    *name = jm_req_path(req, "name");
    if (!jm_req_narrow(req, jm_req_query(req, "project"), project))
        return false;
    *project = *project ? *project : "default";
    return true;
}

/* It has another version than If-Match says. */
static void fail(jm_req *req, const jm_err *err)
{
    if (err->code == JM_ERR_CONFLICT && jm_req_header(req, "If-Match"))
        jm_req_problem(req, 412, "version_mismatch", NULL, "%s", err->msg);
    else
        jm_req_fail(req, err);
}

static void answer(jm_req *req, json_t *document)
{
    jm_req_etag(req, json_integer_value(json_object_get(document, "version")));
    jm_req_ok(req, document);
}

static void list(jm_req *req)
{
    jm_page page;
    jm_documents_page which = {.prefix = jm_req_query(req, "prefix")};
    json_t *items;
    char *next;
    jm_err err;
    if (!jm_req_get_page(req, &page) ||
        !jm_req_narrow(req, jm_req_query(req, "project"), &which.project))
        return;
    which.cursor = page.cursor;
    which.limit = page.limit;
    which.offset = page.offset;
    which.total = page.total;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_documents_list(pg, &which, &items, &next, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    jm_req_list(req, items, next);
    free(next);
}

/* body and description. *text is the body, which the caller frees. false: answered. */
static bool read_body(jm_req *req, const json_t *body, jm_document_entry *entry, char **text)
{
    const json_t *value = json_object_get(body, "body");
    const json_t *description = json_object_get(body, "description");
    if (!value) {
        jm_req_problem(req, 400, "invalid", "/body", "body is missing: the document, any JSON");
        return false;
    }
    if (description && !json_is_null(description) && !jm_json_exact_text(description)) {
        jm_req_problem(req, 400, "invalid", "/description", "description must be text or null");
        return false;
    }
    *text = jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY);
    entry->body = *text;
    entry->description = json_is_null(description) ? "" : jm_json_exact_text(description);
    return true;
}

static void set(jm_req *req, const jm_document_entry *entry)
{
    jm_change change;
    json_t *document;
    jm_document_fate fate;
    jm_err err;
    char location[400];
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_documents_set(pg, entry, &change, &document, &fate, &err)) {
        fail(req, &err);
        return;
    }
    if (fate != JM_DOCUMENT_CREATED || change.dry_run) {
        answer(req, document);
        return;
    }
    snprintf(location, sizeof location, "/api/v1/documents/%s?project=%s", entry->name,
             entry->project);
    jm_req_etag(req, json_integer_value(json_object_get(document, "version")));
    jm_req_created(req, location, document);
}

/* A new one; one of that name that is there is a conflict. */
static void create(jm_req *req)
{
    static const char *const members[] = {"project", "name", "body", "description", NULL};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    const json_t *name = json_object_get(body, "name"), *project = json_object_get(body, "project");
    jm_document_entry entry = {.if_version = JM_DOCUMENT_NEW};
    char *text = NULL;
    if (!body || !jm_req_body_members(req, body, members))
        return;
    if (!jm_json_exact_text(name) || (project && !jm_json_exact_text(project))) {
        jm_req_problem(req, 400, "invalid", jm_json_exact_text(name) ? "/project" : "/name",
                       "text expected");
        return;
    }
    if (!jm_req_narrow(req, jm_json_exact_text(project), &entry.project) ||
        !read_body(req, body, &entry, &text))
        return;
    entry.name = jm_json_exact_text(name);
    entry.project = entry.project ? entry.project : "default";
    set(req, &entry);
    free(text);
}

/* Made, or a new version of it. */
static void put(jm_req *req)
{
    static const char *const members[] = {"body", "description", NULL};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    jm_document_entry entry = {0};
    char *text = NULL;
    if (!body || !jm_req_body_members(req, body, members) ||
        !place_of(req, &entry.project, &entry.name) || !jm_req_if_match(req, &entry.if_version) ||
        !read_body(req, body, &entry, &text))
        return;
    set(req, &entry);
    free(text);
}

static void show(jm_req *req)
{
    const char *project, *name;
    json_t *document;
    jm_err err;
    struct jm_pg *pg = place_of(req, &project, &name) ? jm_req_pg(req) : NULL;
    if (!pg)
        return;
    if (jm_documents_show(pg, project, name, &document, &err))
        jm_req_fail(req, &err);
    else
        answer(req, document);
}

static void delete_document(jm_req *req)
{
    const char *project, *name;
    int64_t version;
    jm_change change;
    jm_err err;
    if (!place_of(req, &project, &name) || !jm_req_if_match(req, &version))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_documents_delete(pg, project, name, version, &change, &err))
        fail(req, &err);
    else
        jm_req_no_content(req);
}

static void list_versions(jm_req *req)
{
    const char *project, *name;
    jm_page page;
    json_t *items;
    jm_err err;
    char *next;
    if (!jm_req_get_page(req, &page) || !place_of(req, &project, &name))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_documents_versions(pg, project, name, &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else
        jm_req_list(req, items, next);
    free(next);
}

static void show_version(jm_req *req)
{
    const char *project, *name, *text = jm_req_path(req, "version");
    char *end;
    json_t *document;
    jm_err err;
    long long version = strtoll(text, &end, 10);
    if (*end || end == text || version < 1 || version > INT32_MAX) {
        jm_req_problem(req, 404, "not_found", NULL, "there is no version %.40s", text);
        return;
    }
    struct jm_pg *pg = place_of(req, &project, &name) ? jm_req_pg(req) : NULL;
    if (!pg)
        return;
    if (jm_documents_version(pg, project, name, version, &document, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, document);
}

static void diff(jm_req *req)
{
    const char *project, *name;
    int64_t from, to;
    json_t *differs;
    jm_err err;
    if (!place_of(req, &project, &name) || !jm_req_query_int(req, "from", 0, 1, INT32_MAX, &from) ||
        !jm_req_query_int(req, "to", 0, 1, INT32_MAX, &to))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_documents_diff(pg, project, name, from, to, &differs, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, differs);
}

static void rollback(jm_req *req)
{
    static const char *const members[] = {"version", NULL};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    const json_t *version = json_object_get(body, "version");
    const char *project, *name;
    int64_t if_version;
    jm_change change;
    json_t *document;
    jm_err err;
    if (!body || !jm_req_body_members(req, body, members) || !place_of(req, &project, &name) ||
        !jm_req_if_match(req, &if_version))
        return;
    int64_t n = json_integer_value(version);
    if (!json_is_integer(version) || n < 1 || n > INT32_MAX) {
        jm_req_problem(req, 400, "invalid", "/version", "version must be a whole number from 1");
        return;
    }
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_documents_rollback(pg, project, name, n, if_version, &change, &document, &err))
        fail(req, &err);
    else
        answer(req, document);
}

const jm_api_route jm_routes_documents[] = {
    {"GET", "/documents", JM_SCOPE_READ, list, "project prefix limit offset cursor total"},
    {"POST", "/documents", JM_SCOPE_ADMIN, create, "dry_run"},
    {"GET", "/documents/{name}", JM_SCOPE_READ, show, "project"},
    {"PUT", "/documents/{name}", JM_SCOPE_ADMIN, put, "project dry_run"},
    {"DELETE", "/documents/{name}", JM_SCOPE_ADMIN, delete_document, "project dry_run"},
    {"GET", "/documents/{name}/versions", JM_SCOPE_READ, list_versions,
     "project limit offset cursor total"},
    {"GET", "/documents/{name}/versions/{version}", JM_SCOPE_READ, show_version, "project"},
    {"GET", "/documents/{name}/diff", JM_SCOPE_READ, diff, "project from to"},
    {"POST", "/documents/{name}/rollback", JM_SCOPE_ADMIN, rollback, "project dry_run"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
