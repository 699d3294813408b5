/* Routes of calendars. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "producer/calendar_ical.h"
#include "producer/http/routes.h"
#include "producer/service/calendars.h"

#define DAY_US (86400 * INT64_C(1000000))

enum { DAYS = 31, YEARS = 5 };

/* The project in which a calendar is named: asked for, or the key's, or default. false: answered.
 */
static bool find_project(jm_req *req, const char *asked, const char **project)
{
    if (!jm_req_narrow(req, asked, project))
        return false;
    if (!*project)
        *project = "default";
    return true;
}

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
    if (pg && jm_calendars_list(pg, project, &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_list(req, items, next);
    free(next);
}

static void show(jm_req *req)
{
    const char *project;
    json_t *calendar;
    jm_err err;
    if (!find_project(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_calendars_show(pg, project, jm_req_path(req, "name"), &calendar, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_ok(req, calendar);
}

/* "2026-12-25" of ?from as days since 1970; by default today. false: answered. */
static bool read_day(jm_req *req, int64_t *day)
{
    const char *text = jm_req_query(req, "from");
    char at[40];
    int64_t us = jm_utc_us();
    jm_err err;
    snprintf(at, sizeof at, "%.20sT00:00:00Z", text ? text : "");
    if (text && (strlen(text) != 10 || jm_rfc3339_parse(at, strlen(at), &us, &err))) {
        jm_req_problem(req, 400, "bad_parameter", "?from",
                       "from is \"%.40s\", needs a date such as 2026-12-25", text);
        return false;
    }
    *day = us / DAY_US - (us % DAY_US < 0);
    return true;
}

static void days(jm_req *req)
{
    const char *project;
    int64_t day, count;
    json_t *items;
    jm_err err;
    if (!read_day(req, &day) || !jm_req_query_int(req, "count", DAYS, 1, 1000, &count) ||
        !find_project(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_calendars_days(pg, project, jm_req_path(req, "name"), day, count, &items, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_list(req, items, NULL);
}

/* ---- saving ---- */

/* Made, or with replace given another definition. */
static void save(jm_req *req, const jm_calendars_entry *entry, bool replace)
{
    json_t *calendar;
    jm_change change;
    jm_err err;
    char location[300];
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (jm_calendars_save(pg, entry, replace, &change, &calendar, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    bool made = json_integer_value(json_object_get(calendar, "version")) == 1 && !change.dry_run;
    snprintf(location, sizeof location, "/api/v1/calendars/%s?project=%s", entry->name,
             entry->project);
    if (made)
        jm_req_created(req, location, calendar);
    else
        jm_req_ok(req, calendar);
}

/* definition and description of a body. */
static void save_body(jm_req *req, const json_t *body, jm_calendars_entry *entry, bool replace)
{
    const json_t *definition = json_object_get(body, "definition");
    if (!json_is_object(definition)) {
        jm_req_problem(req, 400, "invalid", "/definition",
                       "definition must be an object with exclude, include or both");
        return;
    }
    char *text = jm_json_exact_dump(definition, JSON_COMPACT);
    entry->definition = text;
    entry->description = jm_json_exact_text(json_object_get(body, "description"));
    save(req, entry, replace);
    free(text);
}

static void add(jm_req *req)
{
    static const char *const members[] = {"project", "name", "definition", "description", NULL};
    jm_calendars_entry entry = {0};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (!body || !jm_req_body_members(req, body, members) ||
        !jm_req_body_string(req, body, "name", true, NULL) ||
        !jm_req_body_string(req, body, "project", false, NULL) ||
        !jm_req_body_string(req, body, "description", false, NULL) ||
        !find_project(req, jm_json_exact_text(json_object_get(body, "project")), &entry.project))
        return;
    entry.name = jm_json_exact_text(json_object_get(body, "name"));
    save_body(req, body, &entry, false);
}

static void put(jm_req *req)
{
    static const char *const members[] = {"definition", "description", NULL};
    jm_calendars_entry entry = {.name = jm_req_path(req, "name")};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    if (body && jm_req_body_members(req, body, members) &&
        jm_req_body_string(req, body, "description", false, NULL) &&
        find_project(req, jm_req_query(req, "project"), &entry.project))
        save_body(req, body, &entry, true);
}

static int this_year(void)
{
    int64_t year;
    int month, mday;
    jm_civil_from_days(jm_utc_us() / DAY_US, &year, &month, &mday);
    return (int)year;
}

/* The definition that an iCalendar body makes; NULL: answered. */
static json_t *read_ical(jm_req *req)
{
    int64_t from, to;
    size_t len;
    json_t *definition;
    jm_err err;
    const char *type = jm_req_header(req, "Content-Type");
    const char *text = jm_req_body_text(req, &len);
    if (!jm_req_body_is_plain(req))
        return NULL;
    if (!type || strncasecmp(type, "text/calendar", 13) != 0) {
        jm_req_problem(req, 415, "unsupported_media_type", NULL,
                       "the body must be iCalendar, with Content-Type: text/calendar");
        return NULL;
    }
    if (!jm_req_query_int(req, "from_year", this_year(), JM_CALENDAR_ICAL_YEAR_MIN,
                          JM_CALENDAR_ICAL_YEAR_MAX, &from) ||
        !jm_req_query_int(req, "to_year", from + YEARS - 1, from, JM_CALENDAR_ICAL_YEAR_MAX, &to))
        return NULL;
    if (!jm_calendar_from_ical(text, len, (int)from, (int)to, &definition, &err))
        return definition;
    jm_req_fail(req, &err);
    return NULL;
}

static void import(jm_req *req)
{
    jm_calendars_entry entry = {.name = jm_req_path(req, "name"),
                                .description = jm_req_query(req, "description")};
    bool replace;
    if (!jm_req_query_bool(req, "replace", false, &replace) ||
        !find_project(req, jm_req_query(req, "project"), &entry.project))
        return;
    json_t *definition = read_ical(req);
    if (!definition)
        return;
    char *text = json_dumps(definition, JSON_COMPACT);
    entry.definition = text;
    save(req, &entry, replace);
    free(text);
    json_decref(definition);
}

static void delete_it(jm_req *req)
{
    const char *project;
    jm_change change;
    jm_err err;
    if (!find_project(req, jm_req_query(req, "project"), &project))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    jm_req_change(req, &change);
    if (pg && jm_calendars_delete(pg, project, jm_req_path(req, "name"), &change, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_no_content(req);
}

const jm_api_route jm_routes_calendars[] = {
    {"GET", "/calendars", JM_SCOPE_READ, list, "limit offset cursor total project"},
    {"POST", "/calendars", JM_SCOPE_ADMIN, add, "dry_run"},
    {"GET", "/calendars/{name}", JM_SCOPE_READ, show, "project"},
    {"PUT", "/calendars/{name}", JM_SCOPE_ADMIN, put, "project dry_run"},
    {"DELETE", "/calendars/{name}", JM_SCOPE_ADMIN, delete_it, "project dry_run"},
    {"GET", "/calendars/{name}/days", JM_SCOPE_READ, days, "project from count"},
    {"POST", "/calendars/{name}/import", JM_SCOPE_ADMIN, import,
     "project from_year to_year replace description dry_run"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
