/* What keeps the database as somebody wants it: cleaning up, backup and restore. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "producer/http/routes.h"
#include "producer/service/backup.h"
#include "producer/service/cleanup.h"
#include "producer/service/findings.h"

enum { WITHIN_MS = 20000 /* then it answers, with "more" */ };

static bool wrong(jm_req *req, const char *pointer, const char *needs)
{
    jm_req_problem(req, 400, "invalid", pointer, "%s must be %s", pointer + 1, needs);
    return false;
}

static bool read_cleanup(jm_req *req, const json_t *body, jm_cleanup *how)
{
    static const char *const members[] = {"older_than", "project",      "status",
                                          "jobs_only",  "dead_letters", NULL};
    const json_t *age = json_object_get(body, "older_than");
    const json_t *project = json_object_get(body, "project");
    const json_t *status = json_object_get(body, "status");
    const json_t *only = json_object_get(body, "jobs_only");
    const json_t *dead = json_object_get(body, "dead_letters");
    jm_err err;
    if (!jm_req_body_members(req, body, members))
        return false;
    if (!jm_json_exact_text(age) ||
        jm_duration_parse(jm_json_exact_text(age), &how->older_than_us, &err))
        return wrong(req, "/older_than", "a duration such as 30d");
    if (project && !jm_json_exact_text(project))
        return wrong(req, "/project", "the name of a project");
    if (status && !jm_json_exact_text(status))
        return wrong(req, "/status", "statuses of ended jobs, separated by commas");
    if ((only && !json_is_boolean(only)) || (dead && !json_is_boolean(dead)))
        return wrong(req, only && !json_is_boolean(only) ? "/jobs_only" : "/dead_letters",
                     "true or false");
    how->statuses = jm_json_exact_text(status);
    how->jobs_only = json_is_true(only);
    how->open_dead = json_is_true(dead);
    return jm_req_narrow(req, jm_json_exact_text(project), &how->project);
}

static void cleanup(jm_req *req)
{
    jm_cleanup how = {.within_ms = WITHIN_MS};
    jm_change change;
    json_t *removed;
    jm_err err;
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !read_cleanup(req, body, &how))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (!jm_cleanup_run(pg, &how, &change, &removed, &err)) {
        jm_req_ok(req, removed);
        return;
    }
    json_decref(removed); /* what went is in the audit log */
    jm_req_fail(req, &err);
}

static void backup(jm_req *req)
{
    const char *project;
    json_t *made;
    jm_err err;
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_backup(pg, project, &made, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, made);
}

static void refuse(jm_req *req, const jm_findings *findings)
{
    jm_req_problems(req, 400, "invalid", jm_findings_json(findings),
                    "nothing is changed: errors has what is wrong with the backup");
}

static void restore_text(jm_req *req, const char *text)
{
    jm_change change;
    json_t *restored;
    jm_findings findings = {0};
    jm_err err = {0};
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    int rc = jm_restore(pg, "backup", text, strlen(text), &change, &restored, &findings, &err);
    if (!rc)
        jm_req_ok(req, restored);
    else if (findings.total)
        refuse(req, &findings);
    else
        jm_req_fail(req, &err);
    jm_findings_fini(&findings);
}

static void restore(jm_req *req)
{
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body)
        return;
    if (jm_req_project(req)) {
        jm_req_problem(req, 403, "forbidden", NULL,
                       "this needs a key for all projects; this one is bound to %s",
                       jm_req_project(req));
        return;
    }
    char *text = jm_json_exact_dump(body, JSON_COMPACT);
    restore_text(req, text);
    free(text);
}

const jm_api_route jm_routes_cleanup[] = {{"POST", "/cleanup", JM_SCOPE_ADMIN, cleanup, "dry_run"},
                                          {"GET", "/backup", JM_SCOPE_ADMIN, backup, "project"},
                                          {"POST", "/restore", JM_SCOPE_ADMIN, restore, "dry_run"},
                                          {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
