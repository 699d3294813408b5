/* Routes of schedules. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "producer/http/routes.h"
#include "producer/schedule_json.h"
#include "producer/service/jobs.h"
#include "producer/service/schedule_run.h"
#include "producer/service/schedule_save.h"
#include "producer/service/schedule_why.h"
#include "producer/service/schedules.h"

/* ---- which one ---- */

/* Who names a schedule that several projects have is to name the project. */
static void fail_to_find(jm_req *req, const jm_err *err)
{
    if (err->code == JM_ERR_INVALID && !strcmp(err->field, "project"))
        jm_req_problem(req, 400, "ambiguous", "?project", "%s", err->msg);
    else
        jm_req_fail(req, err);
}

typedef int find_fn(struct jm_pg *pg, const char *id_or_name, const char *project, jm_uuid *id,
                    jm_err *err);

/* The schedule of the path, of those that the key sees. false: answered. */
static bool find_by(jm_req *req, find_fn *fn, struct jm_pg **pg, jm_uuid *id)
{
    const char *project;
    jm_err err;
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return false;
    *pg = jm_req_pg(req);
    if (*pg && fn(*pg, jm_req_path(req, "id"), project, id, &err)) {
        fail_to_find(req, &err);
        return false;
    }
    return *pg != NULL;
}

static bool find(jm_req *req, struct jm_pg **pg, jm_uuid *id)
{
    return find_by(req, jm_schedules_find, pg, id);
}

/* Also one that is gone, whose project nobody knows any more: for keys that see all. */
static bool find_gone(jm_req *req, struct jm_pg **pg, jm_uuid *id)
{
    return find_by(req, jm_req_project(req) ? jm_schedules_find : jm_schedules_find_gone, pg, id);
}

/* As it is now. created: it has just been made. */
static void answer_with(jm_req *req, struct jm_pg *pg, const jm_uuid *id, bool created)
{
    char text[JM_UUID_TEXT], location[80];
    json_t *schedule;
    jm_err err;
    jm_uuid_format(id, text);
    if (jm_schedules_show(pg, text, NULL, &schedule, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    jm_req_etag(req, json_integer_value(json_object_get(schedule, "version")));
    snprintf(location, sizeof location, "/api/v1/schedules/%s", text);
    if (created)
        jm_req_created(req, location, schedule);
    else
        jm_req_ok(req, schedule);
}

/* ---- many ---- */

/* A cursor or a filter that is none stands in the query, not in the body. */
static void fail_to_list(jm_req *req, const jm_err *err)
{
    char where[sizeof err->field + 1], words[JM_REQ_WORDS];
    snprintf(where, sizeof where, "?%s", err->field);
    if (err->code == JM_ERR_INVALID && jm_req_query(req, err->field))
        jm_req_problem(req, 400, "bad_parameter", where, "%s", jm_req_words(err, words));
    else
        jm_req_fail(req, err);
}

static void list_page(jm_req *req, struct jm_pg *pg, const jm_schedules_filter *filter)
{
    char next[JM_UUID_TEXT];
    json_t *items;
    jm_err err;
    if (jm_schedules_list(pg, filter, &items, next, &err)) {
        fail_to_list(req, &err);
        return;
    }
    jm_req_list(req, items, *next ? next : NULL);
}

/* "true" or "false" as it was asked for, NULL where it was not. false: answered. */
static bool read_flag(jm_req *req, const char *name, const char **flag)
{
    bool value;
    if (!jm_req_query_bool(req, name, false, &value))
        return false;
    *flag = !jm_req_query(req, name) ? NULL : value ? "true" : "false";
    return true;
}

static void list(jm_req *req)
{
    jm_schedules_filter filter = {.type = jm_req_query(req, "type"),
                                  .external_id = jm_req_query(req, "external_id")};
    jm_page page;
    if (!jm_req_get_page(req, &page) || !read_flag(req, "enabled", &filter.enabled) ||
        !read_flag(req, "paused", &filter.paused) ||
        !jm_req_narrow(req, jm_req_query(req, "project"), &filter.project))
        return;
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.cursor = page.cursor;
    filter.total = page.total;
    json_t *metadata = jm_req_query_object(req, "metadata.");
    filter.metadata = metadata;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg)
        list_page(req, pg, &filter);
    json_decref(metadata);
}

/* The body, with the project that the key is bound to where it names none; the caller drops it.
 * NULL: answered. */
static json_t *read_definition(jm_req *req)
{
    const char *project, *asked;
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body)
        return NULL;
    asked = jm_json_exact_text(json_object_get(body, "project"));
    if (!jm_req_narrow(req, asked, &project))
        return NULL;
    json_t *definition = json_copy((json_t *)(uintptr_t)body);
    if (project && !asked)
        json_object_set_new(definition, "project", json_string(project));
    return definition;
}

/* What a dry run would have made: its definition. */
static void answer_dry(jm_req *req, const jm_edited *edited, json_t *definition)
{
    jm_req_ok(req, json_pack("{s:b, s:b, s:i, s:o?}", "dry_run", 1, "changed", edited->changed,
                             "version", edited->version, "definition", definition));
}

static void add(jm_req *req)
{
    jm_uuid id;
    jm_change change;
    jm_err err;
    json_t *definition = read_definition(req);
    struct jm_pg *pg = definition ? jm_req_pg(req) : NULL;
    jm_req_change(req, &change);
    if (!pg)
        ; /* answered */
    else if (jm_schedules_add(pg, definition, NULL, &change, &id, &err))
        jm_req_fail(req, &err);
    else if (change.dry_run)
        answer_dry(req, &(jm_edited){.version = 1, .changed = true}, json_incref(definition));
    else
        answer_with(req, pg, &id, true);
    json_decref(definition);
}

/* ---- one ---- */

static void show(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    if (find(req, &pg, &id))
        answer_with(req, pg, &id, false);
}

/* Answers with what the schedule is after an edit, or would be. */
static void answer_edited(jm_req *req, struct jm_pg *pg, const jm_uuid *id, jm_edited *edited,
                          const jm_change *change)
{
    if (change->dry_run)
        answer_dry(req, edited, edited->would);
    else
        answer_with(req, pg, id, false);
}

/* The version that If-Match asks for. false: answered. */
static bool read_if_version(jm_req *req, int *if_version)
{
    int64_t version;
    bool read = jm_req_if_match(req, &version);
    *if_version = version > INT32_MAX ? INT32_MAX : (int)version;
    return read;
}

/* A body with the id is the schedule as it was read and changed: what it has besides a definition
 * is left out of account. false: answered. */
static bool take_as_read(jm_req *req, json_t *definition, const jm_uuid *id)
{
    const char *given = jm_json_exact_text(json_object_get(definition, "id"));
    char text[JM_UUID_TEXT];
    jm_uuid_format(id, text);
    bool same = !given || !strcmp(given, text);
    if (!same)
        jm_req_problem(req, 400, "invalid", "/id", "this is schedule %s: an id never changes",
                       text);
    else if (given)
        jm_schedule_drop_kept(definition);
    return same;
}

static void edit(jm_req *req, json_t *definition, const char *action)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_change change;
    jm_edited edited;
    jm_edit how = {.definition = definition, .action = action};
    jm_err err;
    if (!read_if_version(req, &how.if_version) || !find(req, &pg, &id) ||
        !take_as_read(req, definition, &id))
        return;
    jm_req_change(req, &change);
    if (jm_schedules_edit(pg, &id, &how, &change, &edited, &err))
        jm_req_fail(req, &err);
    else
        answer_edited(req, pg, &id, &edited, &change);
}

/* PUT and PATCH: what is left out stays. */
static void update(jm_req *req)
{
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    json_t *definition = body ? json_copy((json_t *)(uintptr_t)body) : NULL;
    if (definition)
        edit(req, definition, "update");
    json_decref(definition);
}

static void set_flag(jm_req *req, const char *member, bool value, const char *action)
{
    const json_t *body = jm_req_body_or_empty(req);
    if (!body || !jm_req_body_members(req, body, (const char *const[]){NULL}))
        return;
    json_t *definition = json_pack("{s:b}", member, value);
    edit(req, definition, action);
    json_decref(definition);
}

static void enable(jm_req *req)
{
    set_flag(req, "enabled", true, "enable");
}

static void disable(jm_req *req)
{
    set_flag(req, "enabled", false, "disable");
}

static void pause_it(jm_req *req)
{
    set_flag(req, "paused", true, "pause");
}

static void resume(jm_req *req)
{
    set_flag(req, "paused", false, "resume");
}

static void delete_it(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_change change;
    int if_version;
    jm_err err;
    if (!read_if_version(req, &if_version) || !find(req, &pg, &id))
        return;
    jm_req_change(req, &change);
    if (jm_schedules_delete(pg, &id, if_version, &change, &err))
        jm_req_fail(req, &err);
    else
        jm_req_no_content(req);
}

static void rollback(jm_req *req)
{
    static const char *const members[] = {"version", NULL};
    struct jm_pg *pg;
    jm_uuid id;
    jm_change change;
    jm_edited edited;
    int if_version;
    jm_err err;
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !jm_req_body_members(req, body, members))
        return;
    json_int_t version = json_integer_value(json_object_get(body, "version"));
    if (version < 1 || version > INT32_MAX) {
        jm_req_problem(req, 400, "invalid", "/version",
                       "version says which one is to come back: a number from 1 on");
        return;
    }
    if (!read_if_version(req, &if_version) || !find(req, &pg, &id))
        return;
    jm_req_change(req, &change);
    if (jm_schedules_rollback(pg, &id, (int)version, if_version, &change, &edited, &err))
        jm_req_fail(req, &err);
    else
        answer_edited(req, pg, &id, &edited, &change);
}

/* ---- running it ---- */

static void run_it(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id, job_id;
    jm_change change;
    json_t *job;
    char text[JM_UUID_TEXT], location[80];
    jm_err err;
    const json_t *body = jm_req_body_or_empty(req);
    if (!body || !jm_req_body_members(req, body, (const char *const[]){NULL}) ||
        !find(req, &pg, &id))
        return;
    jm_req_change(req, &change);
    if (jm_schedules_run(pg, &id, &change, &job_id, &job, &err) ||
        (!job && jm_jobs_show(pg, &job_id, &job, &err))) {
        jm_req_fail(req, &err);
        return;
    }
    if (change.dry_run) { /* its id is that of no job */
        jm_req_ok(req, job);
        return;
    }
    jm_uuid_format(&job_id, text);
    snprintf(location, sizeof location, "/api/v1/jobs/%s", text);
    jm_req_created(req, location, job);
}

/* A time of the body. false: answered. */
static bool body_time(jm_req *req, const json_t *body, const char *name, int64_t *us)
{
    jm_err err;
    const char *text = jm_json_exact_text(json_object_get(body, name));
    char where[40];
    if (text && !jm_rfc3339_parse(text, strlen(text), us, &err))
        return true;
    snprintf(where, sizeof where, "/%s", name);
    jm_req_problem(req, 400, "invalid", where, "%s must be a time such as 2026-11-22T14:30:00Z",
                   name);
    return false;
}

static bool read_backfill(jm_req *req, jm_backfill *backfill)
{
    static const char *const members[] = {"from", "to", "rate", "missed_only", NULL};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !jm_req_body_members(req, body, members) ||
        !body_time(req, body, "from", &backfill->from_us) ||
        !body_time(req, body, "to", &backfill->to_us))
        return false;
    const json_t *rate = json_object_get(body, "rate");
    const char *exact = jm_json_exact_number(rate); /* 0.5 */
    if (rate)
        backfill->rate = exact ? strtod(exact, NULL) : (double)json_integer_value(rate);
    const json_t *missed = json_object_get(body, "missed_only");
    backfill->missed_only = json_is_true(missed);
    if (missed && !json_is_boolean(missed))
        jm_req_problem(req, 400, "invalid", "/missed_only", "missed_only must be true or false");
    return !missed || json_is_boolean(missed);
}

static json_t *instant(int64_t us)
{
    char text[JM_RFC3339_TEXT];
    jm_rfc3339_format(us, text);
    return us ? json_string(text) : json_null();
}

static void backfill(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_change change;
    jm_backfilled done;
    jm_backfill how = {.rate = 10};
    jm_err err;
    if (!read_backfill(req, &how) || !find(req, &pg, &id))
        return;
    jm_req_change(req, &change);
    how.dry_run = change.dry_run;
    if (jm_schedules_backfill(pg, &id, &how, &change, &done, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    jm_req_ok(req, json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:f}", "instants",
                             (json_int_t)done.instants, "fired", (json_int_t)done.fired, "already",
                             (json_int_t)done.already, "left_out", (json_int_t)done.left_out,
                             "first_at", instant(done.first_us), "last_at", instant(done.last_us),
                             "seconds", done.seconds));
}

/* ---- what became of it ---- */

static void history(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    char text[JM_UUID_TEXT];
    jm_jobs_filter filter = {.status = jm_req_query(req, "status"), .schedule = text};
    jm_page page;
    json_t *items;
    char *next = NULL;
    jm_err err;
    if (!jm_req_get_page(req, &page) || !find(req, &pg, &id))
        return;
    jm_uuid_format(&id, text);
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.cursor = page.cursor;
    filter.total = page.total;
    if (jm_jobs_list(pg, &filter, &items, &next, &err))
        fail_to_list(req, &err);
    else
        jm_req_list(req, items, next);
    free(next);
}

static void ticks(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_ticks_filter filter = {.outcome = jm_req_query(req, "outcome"),
                              .kind = jm_req_query(req, "kind")};
    jm_page page;
    json_t *items;
    char next[JM_SCHEDULES_NEXT];
    jm_err err;
    if (!jm_req_get_page(req, &page) || !jm_req_query_time(req, "from", &filter.from_us) ||
        !jm_req_query_time(req, "to", &filter.to_us) || !find_gone(req, &pg, &id))
        return;
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.cursor = page.cursor;
    filter.total = page.total;
    if (jm_schedules_ticks(pg, &id, &filter, &items, next, &err))
        fail_to_list(req, &err);
    else
        jm_req_list(req, items, *next ? next : NULL);
}

/* The cursor of versions is a version. false: answered. */
static bool read_before(jm_req *req, const char *cursor, int64_t *before)
{
    *before = 0;
    return !cursor || jm_req_query_int(req, "cursor", 0, 1, INT32_MAX, before);
}

static void versions(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_page page;
    int64_t before, next;
    json_t *items;
    char text[24];
    jm_err err;
    if (!jm_req_get_page(req, &page) || !read_before(req, page.cursor, &before) ||
        !find_gone(req, &pg, &id))
        return;
    const jm_versions_page rows = {before, page.limit, page.offset, page.total};
    if (jm_schedules_versions(pg, &id, &rows, &items, &next, &err)) {
        fail_to_list(req, &err);
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long)next);
    jm_req_list(req, items, next ? text : NULL);
}

/* Why it ran, or did not, at a moment. */
static void why(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *answer;
    const char *at = jm_req_query(req, "at");
    jm_err err;
    if (!at) {
        jm_req_problem(req, 400, "bad_parameter", "?at",
                       "at says which moment: RFC 3339, or a local time of the schedule's zone");
        return;
    }
    if (!find_gone(req, &pg, &id))
        return;
    if (jm_schedules_why(pg, &id, at, &answer, &err))
        fail_to_list(req, &err);
    else
        jm_req_ok(req, answer);
}

#define PAGE "limit offset cursor total "

const jm_api_route jm_routes_schedules[] = {
    {"GET", "/schedules", JM_SCOPE_READ, list,
     PAGE "project enabled paused type external_id metadata.*"},
    {"POST", "/schedules", JM_SCOPE_ADMIN, add, "dry_run"},
    {"GET", "/schedules/{id}", JM_SCOPE_READ, show, "project"},
    {"PUT", "/schedules/{id}", JM_SCOPE_ADMIN, update, "project dry_run"},
    {"PATCH", "/schedules/{id}", JM_SCOPE_ADMIN, update, "project dry_run"},
    {"DELETE", "/schedules/{id}", JM_SCOPE_ADMIN, delete_it, "project dry_run"},
    {"POST", "/schedules/{id}/enable", JM_SCOPE_ADMIN, enable, "project dry_run"},
    {"POST", "/schedules/{id}/disable", JM_SCOPE_ADMIN, disable, "project dry_run"},
    {"POST", "/schedules/{id}/pause", JM_SCOPE_ADMIN, pause_it, "project dry_run"},
    {"POST", "/schedules/{id}/resume", JM_SCOPE_ADMIN, resume, "project dry_run"},
    {"POST", "/schedules/{id}/rollback", JM_SCOPE_ADMIN, rollback, "project dry_run"},
    {"POST", "/schedules/{id}/run", JM_SCOPE_SUBMIT, run_it, "project dry_run"},
    {"POST", "/schedules/{id}/backfill", JM_SCOPE_SUBMIT, backfill, "project dry_run"},
    {"GET", "/schedules/{id}/history", JM_SCOPE_READ, history, PAGE "project status"},
    {"GET", "/schedules/{id}/ticks", JM_SCOPE_READ, ticks, PAGE "project from to outcome kind"},
    {"GET", "/schedules/{id}/versions", JM_SCOPE_READ, versions, PAGE "project"},
    {"GET", "/schedules/{id}/why", JM_SCOPE_READ, why, "project at"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
