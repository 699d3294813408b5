/* Routes of locks: the same that jobs take. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/locks.h"
#include "producer/http/api.h"
#include "producer/http/lock_waits.h"
#include "producer/http/routes.h"
#include "producer/service/lock_changes.h"

enum { CAPACITY_MAX = 100000, TTL_MAX_S = 31 * 86400, TTL_S = 60, WAIT_MAX_S = 30 };

/* ---- members of bodies; false: answered ---- */

static bool refuse(jm_req *req, const char *name, const char *needs)
{
    char where[40];
    snprintf(where, sizeof where, "/%s", name);
    jm_req_problem(req, 400, "invalid", where, "%s must be %s", name, needs);
    return false;
}

static bool body_seconds(jm_req *req, const json_t *body, const char *name, double def, double min,
                         double max, double *out)
{
    const json_t *value = json_object_get(body, name);
    const char *exact = jm_json_exact_number(value); /* 0.5 */
    char needs[80];
    *out = !value                   ? def
           : exact                  ? strtod(exact, NULL)
           : json_is_integer(value) ? (double)json_integer_value(value)
                                    : NAN;
    snprintf(needs, sizeof needs, "seconds from %.10g to %.10g", min, max);
    return (*out >= min && *out <= max) || refuse(req, name, needs);
}

static bool body_int(jm_req *req, const json_t *body, const char *name, int64_t max, int64_t *out)
{
    const json_t *value = json_object_get(body, name);
    char needs[80];
    *out = json_is_integer(value) ? json_integer_value(value) : 0;
    snprintf(needs, sizeof needs, "a whole number from 1 to %lld", (long long)max);
    return (*out >= 1 && *out <= max) || refuse(req, name, needs);
}

/* The project in which a lock is named. */
static bool find_project(jm_req *req, const char **project)
{
    if (!jm_req_narrow(req, jm_req_query(req, "project"), project))
        return false;
    if (!*project)
        *project = "default";
    return true;
}

/* ---- handlers ---- */

static void list(jm_req *req)
{
    jm_page page;
    const char *project;
    json_t *items;
    char *next = NULL;
    jm_err err;
    if (!jm_req_get_page(req, &page) || !jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_locks_list(pg, project, jm_req_query(req, "name"), &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_list(req, items, next);
    free(next);
}

/* As it is; would: with these members, which a dry run would have given it. Takes the reference. */
static void answer_with(jm_req *req, struct jm_pg *pg, const char *project, json_t *would)
{
    json_t *lock;
    jm_err err;
    if (jm_locks_show(pg, project, jm_req_path(req, "name"), &lock, &err)) {
        jm_req_fail(req, &err);
    } else {
        json_object_update(lock, would);
        jm_req_ok(req, lock);
    }
    json_decref(would);
}

static void show(jm_req *req)
{
    const char *project;
    if (!find_project(req, &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg)
        answer_with(req, pg, project, NULL);
}

static void set(jm_req *req)
{
    static const char *const members[] = {"capacity", NULL};
    const char *project;
    int64_t capacity;
    jm_change change;
    jm_err err;
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !jm_req_body_members(req, body, members) ||
        !body_int(req, body, "capacity", CAPACITY_MAX, &capacity) || !find_project(req, &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    jm_req_change(req, &change);
    if (pg && jm_lock_changes_set(pg, project, jm_req_path(req, "name"), capacity, &change, &err))
        jm_req_fail(req, &err);
    else if (pg)
        answer_with(req, pg, project,
                    change.dry_run ? json_pack("{s:I}", "capacity", (json_int_t)capacity) : NULL);
}

/* Tries at once; who may wait does so without a thread and a connection. */
static void take(jm_req *req, const jm_lock_wish *wish)
{
    json_t *lock;
    jm_err err;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    int rc =
        jm_locks_acquire(pg, wish->project, wish->name, wish->owner, wish->ttl_s, 0, &lock, &err);
    if (!rc)
        jm_req_ok(req, lock);
    else if (rc == JM_ERR_CONFLICT && wish->wait_s > 0)
        jm_lock_waits_add(jm_api_lock_waits(jm_req_api(req)), req, wish);
    else
        jm_req_fail(req, &err);
}

static void acquire(jm_req *req)
{
    static const char *const members[] = {"owner", "ttl_s", "wait_s", NULL};
    jm_lock_wish wish = {.name = jm_req_path(req, "name")};
    const json_t *body = jm_req_body_or_empty(req);
    if (body && jm_req_body_members(req, body, members) &&
        jm_req_body_string(req, body, "owner", false, &wish.owner) &&
        body_seconds(req, body, "ttl_s", TTL_S, 0.1, TTL_MAX_S, &wish.ttl_s) &&
        body_seconds(req, body, "wait_s", 0, 0, WAIT_MAX_S, &wish.wait_s) &&
        find_project(req, &wish.project)) {
        if (!wish.owner)
            wish.owner = jm_req_actor(req);
        take(req, &wish);
    }
}

static void extend(jm_req *req)
{
    static const char *const members[] = {"token", "ttl_s", NULL};
    const char *project;
    int64_t token;
    double ttl_s;
    json_t *lock;
    jm_err err;
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !jm_req_body_members(req, body, members) ||
        !body_int(req, body, "token", INT64_MAX, &token) ||
        !body_seconds(req, body, "ttl_s", TTL_S, 0.1, TTL_MAX_S, &ttl_s) ||
        !find_project(req, &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_locks_extend(pg, project, jm_req_path(req, "name"), token, ttl_s, &lock, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_ok(req, lock);
}

/* By its token; or by force, for those that may do anything. */
static void release(jm_req *req)
{
    static const char *const members[] = {"token", "force", NULL};
    const char *project, *name = jm_req_path(req, "name");
    int64_t token = 0;
    jm_change change;
    jm_err err;
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !jm_req_body_members(req, body, members) || !find_project(req, &project))
        return;
    bool force = json_is_true(json_object_get(body, "force"));
    if (force && !jm_req_may(req, JM_SCOPE_ADMIN)) {
        jm_req_problem(req, 403, "forbidden", "/force", "force needs a key with scope admin");
        return;
    }
    jm_req_change(req, &change);
    if (change.dry_run && !force) {
        jm_req_problem(req, 400, "bad_parameter", "?dry_run", "dry_run goes with force");
        return;
    }
    if (!force && !body_int(req, body, "token", INT64_MAX, &token))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    int rc = force ? jm_lock_changes_force(pg, project, name, &change, &err)
                   : jm_locks_release(pg, project, name, token, &err);
    if (rc)
        jm_req_fail(req, &err);
    else
        answer_with(req, pg, project,
                    change.dry_run ? json_pack("{s:[], s:n}", "holders", "blocked_by") : NULL);
}

const jm_api_route jm_routes_locks[] = {
    {"GET", "/locks", JM_SCOPE_READ, list, "limit offset cursor total project name"},
    {"GET", "/locks/{name}", JM_SCOPE_READ, show, "project"},
    {"PUT", "/locks/{name}", JM_SCOPE_ADMIN, set, "project dry_run"},
    {"POST", "/locks/{name}/acquire", JM_SCOPE_SUBMIT, acquire, "project"},
    {"POST", "/locks/{name}/extend", JM_SCOPE_SUBMIT, extend, "project"},
    {"POST", "/locks/{name}/release", JM_SCOPE_SUBMIT, release, "project dry_run"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
