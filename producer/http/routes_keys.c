/* Keys of the API. A key that is bound to a project gives and ends only keys of that project. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/clock.h"
#include "producer/http/api.h"
#include "producer/http/auth.h"
#include "producer/http/routes.h"
#include "producer/service/keys.h"

/* Text, or null, which is the same as none; false: answered. */
static bool read_text(jm_req *req, const json_t *body, const char *name, const char **text)
{
    *text = NULL;
    return json_is_null(json_object_get(body, name)) ||
           jm_req_body_string(req, body, name, false, text);
}

static bool read_time(jm_req *req, const char *text, int64_t *us)
{
    jm_err err;
    *us = 0;
    if (!text || !jm_rfc3339_parse(text, strlen(text), us, &err))
        return true;
    jm_req_problem(req, 400, "invalid", "/expires_at", "expires_at: %s", err.msg);
    return false;
}

static bool read_entry(jm_req *req, jm_keys_entry *entry)
{
    static const char *const members[] = {"name", "scope", "project", "expires_at", NULL};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    const char *project, *expires;
    *entry = (jm_keys_entry){0};
    return body && jm_req_body_members(req, body, members) &&
           read_text(req, body, "name", &entry->name) &&
           read_text(req, body, "scope", &entry->scope) &&
           read_text(req, body, "project", &project) &&
           read_text(req, body, "expires_at", &expires) &&
           read_time(req, expires, &entry->expires_us) &&
           jm_req_narrow(req, project, &entry->project);
}

static void create(jm_req *req)
{
    jm_keys_entry entry;
    jm_change change;
    jm_key key;
    json_t *made;
    jm_err err;
    char location[80];
    struct jm_pg *pg = read_entry(req, &entry) ? jm_req_pg(req) : NULL;
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_keys_create(pg, &entry, &change, &key, &made, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    if (change.dry_run) { /* of no key */
        jm_req_ok(req, made);
        return;
    }
    json_object_set_new(made, "key", json_string(key.text));
    snprintf(location, sizeof location, "/api/v1/keys/%s",
             jm_json_exact_text(json_object_get(made, "id")));
    jm_req_set_header(req, "Cache-Control", "no-store");
    jm_req_created(req, location, made);
}

static void list(jm_req *req)
{
    jm_page page;
    bool all;
    const char *project;
    json_t *items;
    char *next;
    jm_err err;
    if (!jm_req_get_page(req, &page) || !jm_req_query_bool(req, "all", false, &all) ||
        !jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_keys_list(pg, all, project, &page, &items, &next, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    jm_req_list(req, items, next);
    free(next);
}

static void show(jm_req *req)
{
    json_t *key;
    jm_err err;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_keys_show(pg, jm_req_path(req, "id"), jm_req_project(req), &key, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, key);
}

static void revoke_key(jm_req *req)
{
    jm_change change;
    json_t *key;
    jm_err err;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_keys_revoke(pg, jm_req_path(req, "id"), jm_req_project(req), &change, &key, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    if (!change.dry_run)
        jm_auth_forget(jm_api_auth(jm_req_api(req)),
                       jm_json_exact_text(json_object_get(key, "id")));
    json_decref(key);
    jm_req_no_content(req);
}

const jm_api_route jm_routes_keys[] = {
    {"GET", "/keys", JM_SCOPE_ADMIN, list, "limit offset cursor total all project"},
    {"POST", "/keys", JM_SCOPE_ADMIN, create, "dry_run"},
    {"GET", "/keys/{id}", JM_SCOPE_ADMIN, show, NULL},
    {"DELETE", "/keys/{id}", JM_SCOPE_ADMIN, revoke_key, "dry_run"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
