/* Routes of schedules that are not there yet: previews of definitions, and documents of many. */
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/clock.h"
#include "producer/http/routes.h"
#include "producer/service/findings.h"
#include "producer/service/schedule_export.h"
#include "producer/service/schedule_import.h"
#include "producer/service/schedules.h"

enum { PREVIEW_COUNT = 10, PREVIEW_MAX = 1000 };

/* ---- previews ---- */

/* false: answered. */
static bool read_range(jm_req *req, int64_t *from_us, int64_t *count)
{
    return jm_req_query_time(req, "from", from_us) &&
           jm_req_query_int(req, "count", PREVIEW_COUNT, 1, PREVIEW_MAX, count);
}

/* Of one that is stored. */
static void preview_stored(jm_req *req)
{
    const char *project;
    int64_t from_us, count;
    json_t *items;
    jm_err err;
    if (!read_range(req, &from_us, &count) ||
        !jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg &&
        jm_schedules_preview(pg, jm_req_path(req, "id"), project, from_us, count, &items, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_list(req, items, NULL);
}

/* Of a definition: nothing is made. */
static void preview(jm_req *req)
{
    const char *project;
    int64_t from_us, count;
    json_t *items;
    jm_err err;
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !read_range(req, &from_us, &count) ||
        !jm_req_narrow(req, jm_json_exact_text(json_object_get(body, "project")), &project))
        return;
    json_t *definition = json_copy((json_t *)(uintptr_t)body);
    if (project)
        json_object_set_new(definition, "project", json_string(project));
    struct jm_pg *pg = json_object_get(definition, "calendar") ? jm_req_pg(req) : NULL;
    bool needed = json_object_get(definition, "calendar") != NULL;
    if ((!needed || pg) && jm_schedule_preview_json(pg, definition, from_us ? from_us : jm_utc_us(),
                                                    count, &items, &err))
        jm_req_fail(req, &err);
    else if (!needed || pg)
        jm_req_list(req, items, NULL);
    json_decref(definition);
}

/* ---- documents ---- */

static void export_all(jm_req *req)
{
    const char *project;
    json_t *document;
    jm_err err;
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_schedule_export(pg, project, &document, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_ok(req, document);
}

/* Whatever is wrong with a document. */
static void refuse(jm_req *req, const jm_findings *findings)
{
    jm_req_problems(req, 400, "invalid", jm_findings_json(findings),
                    "nothing is changed: errors has what is wrong with the document");
}

/* Finds what is to change, does it, and says it. */
static void apply(jm_req *req, struct jm_pg *pg, const jm_schedule_import *import,
                  jm_findings *findings)
{
    jm_schedule_changes *changes;
    jm_change change;
    jm_err err;
    jm_req_change(req, &change);
    int rc = jm_schedule_import_find(pg, import, &changes, findings, &err);
    bool refused = rc && findings->total;
    if (refused)
        refuse(req, findings);
    else if (!rc)
        rc = jm_schedule_import_apply(pg, import, changes, &change, &err);
    if (rc && !refused)
        jm_req_fail(req, &err);
    else if (!rc)
        jm_req_ok(req, jm_schedule_changes_json(changes));
    jm_schedule_changes_free(changes);
}

static void import_all(jm_req *req)
{
    jm_schedule_document *document;
    jm_schedule_import import = {0};
    jm_findings findings = {0};
    size_t len;
    if (!jm_req_query_bool(req, "prune", false, &import.prune) ||
        !jm_req_narrow(req, jm_req_query(req, "project"), &import.project) ||
        !jm_req_body(req, JSON_OBJECT))
        return;
    const char *text = jm_req_body_text(req, &len);
    int rc = jm_schedule_document_parse("body", text, len, &document, &findings);
    bool nothing = rc && !document->n_schedules && !document->n_calendars;
    struct jm_pg *pg = nothing ? NULL : jm_req_pg(req);
    import.document = document;
    if (nothing)
        refuse(req, &findings);
    else if (pg)
        apply(req, pg, &import, &findings);
    jm_schedule_document_free(document);
    jm_findings_fini(&findings);
}

const jm_api_route jm_routes_schedule_documents[] = {
    {"POST", "/schedules/preview", JM_SCOPE_READ, preview, "from count"},
    {"GET", "/schedules/{id}/preview", JM_SCOPE_READ, preview_stored, "project from count"},
    {"GET", "/schedules/export", JM_SCOPE_READ, export_all, "project"},
    {"POST", "/schedules/import", JM_SCOPE_ADMIN, import_all, "project prune dry_run"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
