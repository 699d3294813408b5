/* Projects. A key that is bound to one sees it, and changes none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "producer/http/routes.h"
#include "producer/service/projects.h"

static bool may_change(jm_req *req)
{
    if (!jm_req_project(req))
        return true;
    jm_req_problem(req, 403, "forbidden", NULL,
                   "this needs a key for all projects; this one is bound to %s",
                   jm_req_project(req));
    return false;
}

static bool refuse(jm_req *req, const char *pointer, const char *needs)
{
    jm_req_problem(req, 400, "invalid", pointer, "%s must be %s", pointer + 1, needs);
    return false;
}

/* description and min_interval_s; null takes the description away. */
static bool read_members(jm_req *req, const json_t *body, jm_projects_entry *entry)
{
    const json_t *description = json_object_get(body, "description");
    const json_t *interval = json_object_get(body, "min_interval_s");
    if (description && !json_is_null(description) && !jm_json_exact_text(description))
        return refuse(req, "/description", "text or null");
    if (interval && (!json_is_integer(interval) || json_integer_value(interval) < 1 ||
                     json_integer_value(interval) > INT32_MAX))
        return refuse(req, "/min_interval_s", "a whole number from 1 to 2147483647");
    entry->description = jm_json_exact_text(description);
    entry->without_description = json_is_null(description);
    entry->min_interval_s = json_integer_value(interval);
    return true;
}

static void create(jm_req *req)
{
    static const char *const members[] = {"name", "description", "min_interval_s", NULL};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    const json_t *name = json_object_get(body, "name");
    jm_projects_entry entry = {0};
    jm_change change;
    json_t *project;
    jm_err err;
    char location[140];
    if (!body || !may_change(req) || !jm_req_body_members(req, body, members) ||
        !read_members(req, body, &entry))
        return;
    if (!jm_json_exact_text(name)) {
        refuse(req, "/name", "text");
        return;
    }
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    entry.name = jm_json_exact_text(name);
    jm_req_change(req, &change);
    if (jm_projects_add(pg, &entry, &change, &project, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    snprintf(location, sizeof location, "/api/v1/projects/%s", entry.name);
    if (change.dry_run)
        jm_req_ok(req, project);
    else
        jm_req_created(req, location, project);
}

static void list(jm_req *req)
{
    jm_page page;
    json_t *items;
    char *next;
    jm_err err;
    if (!jm_req_get_page(req, &page))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_projects_list(pg, jm_req_project(req), &page, &items, &next, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    jm_req_list(req, items, next);
    free(next);
}

/* Its name, where the key may see it; NULL: answered. */
static const char *name_of(jm_req *req)
{
    const char *name = jm_req_path(req, "name");
    return jm_req_sees(req, name, "project", name) ? name : NULL;
}

static void show(jm_req *req)
{
    const char *name = name_of(req);
    json_t *project;
    jm_err err;
    struct jm_pg *pg = name ? jm_req_pg(req) : NULL;
    if (!pg)
        return;
    if (jm_projects_show(pg, name, &project, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, project);
}

/* PUT and PATCH: what is left out stays. */
static void update(jm_req *req)
{
    static const char *const members[] = {"description", "min_interval_s", NULL};
    const char *name = name_of(req);
    const json_t *body = name && may_change(req) ? jm_req_body(req, JSON_OBJECT) : NULL;
    jm_projects_entry entry = {.name = name};
    jm_change change;
    json_t *project;
    jm_err err;
    if (!body || !jm_req_body_members(req, body, members) || !read_members(req, body, &entry))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_projects_update(pg, &entry, &change, &project, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, project);
}

static void delete_project(jm_req *req)
{
    const char *name = name_of(req);
    jm_change change;
    json_t *gone;
    jm_err err;
    struct jm_pg *pg = name && may_change(req) ? jm_req_pg(req) : NULL;
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_projects_delete(pg, name, &change, &gone, &err)) {
        jm_req_fail(req, &err);
    } else if (change.dry_run) {
        jm_req_ok(req, gone);
    } else {
        json_decref(gone);
        jm_req_no_content(req);
    }
}

const jm_api_route jm_routes_projects[] = {
    {"GET", "/projects", JM_SCOPE_READ, list, "limit offset cursor total"},
    {"POST", "/projects", JM_SCOPE_ADMIN, create, "dry_run"},
    {"GET", "/projects/{name}", JM_SCOPE_READ, show, NULL},
    {"PUT", "/projects/{name}", JM_SCOPE_ADMIN, update, "dry_run"},
    {"PATCH", "/projects/{name}", JM_SCOPE_ADMIN, update, "dry_run"},
    {"DELETE", "/projects/{name}", JM_SCOPE_ADMIN, delete_project, "dry_run"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
