/* Jobs: submitted, found, counted, acted on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "producer/http/job_outside.h"
#include "producer/http/job_parts.h"
#include "producer/http/job_submit.h"
#include "producer/http/routes.h"
#include "producer/service/job_actions.h"
#include "producer/service/job_search.h"
#include "producer/service/jobs.h"

#define FILTERS                                                                                    \
    "status type project queue schedule callbacks created_from created_to started_from "           \
    "started_to completed_from completed_to limit offset cursor total metadata.*"

#define PAGE "limit offset cursor total"

/* ---- finding one ---- */

bool jm_job_find(jm_req *req, struct jm_pg **pg, jm_uuid *id, json_t **job)
{
    const char *name = jm_req_path(req, "id");
    json_t *row = NULL;
    jm_err err;
    *pg = jm_req_pg(req);
    if (!*pg)
        return false;
    if (jm_jobs_resolve(*pg, name, jm_req_project(req), id, &err) ||
        jm_jobs_show(*pg, id, &row, &err)) {
        if (err.code == JM_ERR_NOT_FOUND) /* in the words of one that belongs to others */
            jm_req_problem(req, 404, "not_found", NULL, "there is no job %.200s", name);
        else
            jm_req_fail(req, &err);
        return false;
    }
    bool seen = jm_req_sees(req, jm_json_exact_text(json_object_get(row, "project")), "job", name);
    if (seen && job)
        *job = row;
    else
        json_decref(row);
    return seen;
}

/* ---- lists ---- */

typedef struct range {
    const char *from, *to;
} range;

static bool read_range(jm_req *req, range names, int64_t *from, int64_t *to)
{
    return jm_req_query_time(req, names.from, from) && jm_req_query_time(req, names.to, to);
}

static bool read_filter(jm_req *req, jm_jobs_filter *filter, jm_page *page)
{
    *filter = (jm_jobs_filter){.status = jm_req_query(req, "status"),
                               .type = jm_req_query(req, "type"),
                               .queue = jm_req_query(req, "queue"),
                               .schedule = jm_req_query(req, "schedule")};
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &filter->project) ||
        !jm_req_query_bool(req, "callbacks", false, &filter->callbacks) ||
        !read_range(req, (range){"created_from", "created_to"}, &filter->created.from,
                    &filter->created.to) ||
        !read_range(req, (range){"started_from", "started_to"}, &filter->started.from,
                    &filter->started.to) ||
        !read_range(req, (range){"completed_from", "completed_to"}, &filter->completed.from,
                    &filter->completed.to) ||
        !jm_req_get_page(req, page))
        return false;
    filter->limit = page->limit;
    filter->offset = page->offset;
    filter->cursor = page->cursor;
    filter->total = page->total;
    filter->metadata = jm_req_query_group(req, "metadata.");
    return true;
}

static void answer_page(jm_req *req, int rc, json_t *items, char *next, const jm_err *err)
{
    if (rc)
        jm_req_fail(req, err);
    else
        jm_req_list(req, items, next);
    free(next);
}

static void list_jobs(jm_req *req)
{
    jm_jobs_filter filter;
    jm_page page;
    json_t *items = NULL;
    char *next = NULL;
    jm_err err;
    struct jm_pg *pg;
    if (!read_filter(req, &filter, &page))
        return;
    if ((pg = jm_req_pg(req))) {
        int rc = jm_jobs_list(pg, &filter, &items, &next, &err);
        answer_page(req, rc, items, next, &err);
    }
    json_decref((json_t *)(uintptr_t)filter.metadata);
}

static void search_jobs(jm_req *req)
{
    jm_jobs_filter filter;
    jm_page page;
    json_t *items = NULL;
    char *next = NULL;
    jm_err err;
    struct jm_pg *pg;
    const char *match = jm_req_query(req, "match");
    jm_search search = {.key = jm_req_query(req, "key"), .value = jm_req_query(req, "value")};
    if (match && !jm_match_parse(match, &search.match)) {
        jm_req_problem(req, 400, "invalid", "?match",
                       "match is \"%.60s\", needs exact, prefix or part", match);
        return;
    }
    if ((!search.key || !search.value) && (search.key || search.value || match)) {
        jm_req_problem(req, 400, "invalid", search.key ? "?value" : "?key",
                       "key and value go together: the key of the metadata, and what to look for");
        return;
    }
    if (!read_filter(req, &filter, &page))
        return;
    if ((pg = jm_req_pg(req))) {
        int rc = search.key ? jm_jobs_search(pg, &filter, &search, &items, &next, &err)
                            : jm_jobs_list(pg, &filter, &items, &next, &err);
        answer_page(req, rc, items, next, &err);
    }
    json_decref((json_t *)(uintptr_t)filter.metadata);
}

static void recent_jobs(jm_req *req)
{
    jm_jobs_filter filter = {0};
    json_t *items = NULL;
    jm_err err;
    struct jm_pg *pg;
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &filter.project) ||
        !jm_req_query_int(req, "limit", 10, 1, 1000, &filter.limit) || !(pg = jm_req_pg(req)))
        return;
    int rc = jm_jobs_list(pg, &filter, &items, NULL, &err);
    answer_page(req, rc, items, NULL, &err);
}

static void stats(jm_req *req)
{
    jm_stats_filter filter = {.type = jm_req_query(req, "type"),
                              .schedule = jm_req_query(req, "schedule"),
                              .status = jm_req_query(req, "status"),
                              .sum = jm_req_query(req, "sum")};
    const char *by = jm_req_query(req, "by");
    json_t *found;
    jm_err err;
    struct jm_pg *pg;
    if (by && strcmp(by, "hour") != 0 && strcmp(by, "day") != 0) {
        jm_req_problem(req, 400, "invalid", "?by", "by is \"%.60s\", needs hour or day", by);
        return;
    }
    filter.by_day = by && !strcmp(by, "day");
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &filter.project) ||
        !read_range(req, (range){"from", "to"}, &filter.from, &filter.to) || !(pg = jm_req_pg(req)))
        return;
    if (jm_jobs_stats(pg, &filter, &found, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, found);
}

/* ---- actions ---- */

static void answer_job(jm_req *req, struct jm_pg *pg, const jm_uuid *id)
{
    json_t *job;
    jm_err err;
    if (jm_jobs_show(pg, id, &job, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, job);
}

static void cancel_job(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_change change;
    jm_err err;
    bool running;
    json_t *would;
    if (!jm_job_find(req, &pg, &id, NULL))
        return;
    jm_req_change(req, &change);
    if (jm_jobs_cancel(pg, &id, &change, &running, &would, &err))
        jm_req_fail(req, &err);
    else if (would)
        jm_req_ok(req, would);
    else
        answer_job(req, pg, &id);
}

static void retry_job(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id, again;
    jm_change change;
    json_t *job;
    jm_err err;
    char text[JM_UUID_TEXT], location[80];
    if (!jm_job_find(req, &pg, &id, NULL))
        return;
    jm_req_change(req, &change);
    if (jm_jobs_retry(pg, &id, &change, &again, &job, &err) ||
        (!job && jm_jobs_show(pg, &again, &job, &err))) {
        jm_req_fail(req, &err);
        return;
    }
    if (change.dry_run) { /* its id is that of no job */
        jm_req_ok(req, job);
        return;
    }
    jm_uuid_format(&again, text);
    snprintf(location, sizeof location, "/api/v1/jobs/%s", text);
    jm_req_created(req, location, job);
}

static void delete_job(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_change change;
    jm_err err;
    if (!jm_job_find(req, &pg, &id, NULL))
        return;
    jm_req_change(req, &change);
    if (jm_jobs_delete(pg, &id, &change, &err))
        jm_req_fail(req, &err);
    else
        jm_req_no_content(req);
}

const jm_api_route jm_routes_jobs[] = {
    {"POST", "/jobs", JM_SCOPE_SUBMIT, jm_job_submit, "wait_s dry_run"},
    {"GET", "/jobs", JM_SCOPE_READ, list_jobs, FILTERS},
    {"GET", "/jobs/search", JM_SCOPE_READ, search_jobs, FILTERS " key value match"},
    {"GET", "/jobs/recent", JM_SCOPE_READ, recent_jobs, "project limit"},
    {"GET", "/jobs/stats", JM_SCOPE_READ, stats, "project type schedule status from to by sum"},
    {"GET", "/jobs/{id}", JM_SCOPE_READ, jm_job_show_parts, "include"},
    {"PATCH", "/jobs/{id}", JM_SCOPE_SUBMIT, jm_job_patch, "dry_run"},
    {"DELETE", "/jobs/{id}", JM_SCOPE_ADMIN, delete_job, "dry_run"},
    {"POST", "/jobs/{id}/cancel", JM_SCOPE_SUBMIT, cancel_job, "dry_run"},
    {"POST", "/jobs/{id}/retry", JM_SCOPE_SUBMIT, retry_job, "dry_run"},
    {"GET", "/jobs/{id}/steps", JM_SCOPE_READ, jm_job_steps, PAGE},
    {"POST", "/jobs/{id}/steps", JM_SCOPE_SUBMIT, jm_job_write_step, NULL},
    {"PATCH", "/jobs/{id}/steps", JM_SCOPE_SUBMIT, jm_job_write_step, NULL},
    {"POST", "/jobs/{id}/logs", JM_SCOPE_SUBMIT, jm_job_write_logs, NULL},
    {"GET", "/jobs/{id}/logs", JM_SCOPE_READ, jm_job_logs,
     "level follow limit offset cursor total"},
    {"GET", "/jobs/{id}/attempts", JM_SCOPE_READ, jm_job_attempts, PAGE},
    {"GET", "/jobs/{id}/result", JM_SCOPE_READ, jm_job_result, NULL},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
