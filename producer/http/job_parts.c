/* One job and what belongs to it. */
#include "producer/http/job_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rows.h"
#include "producer/http/live.h"
#include "producer/service/jobs.h"

enum { LINES_MAX = 1000 };

typedef int part_reader(struct jm_pg *pg, const jm_uuid *id, const jm_page *page, json_t **items,
                        char **next, jm_err *err);

static void answer_part(jm_req *req, part_reader *read)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *items;
    char *next;
    jm_page page;
    jm_err err;
    if (!jm_req_get_page(req, &page) || !jm_job_find(req, &pg, &id, NULL))
        return;
    if (read(pg, &id, &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else
        jm_req_list(req, items, next);
    free(next);
}

void jm_job_steps(jm_req *req)
{
    answer_part(req, jm_jobs_steps);
}

void jm_job_attempts(jm_req *req)
{
    answer_part(req, jm_jobs_attempts);
}

static void answer_logs(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *items;
    char *next;
    jm_page page;
    jm_err err;
    if (!jm_req_get_page(req, &page) || !jm_job_find(req, &pg, &id, NULL))
        return;
    if (!jm_req_query(req, "limit"))
        page.limit = LINES_MAX;
    if (jm_jobs_logs(pg, &id, jm_req_query(req, "level"), &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else
        jm_req_list(req, items, next);
    free(next);
}

void jm_job_logs(jm_req *req)
{
    bool follow;
    if (!jm_req_query_bool(req, "follow", false, &follow))
        return;
    if (follow)
        jm_live_follow(req, JM_LIVE_LOGS);
    else
        answer_logs(req);
}

void jm_job_result(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *job;
    if (!jm_job_find(req, &pg, &id, &job))
        return;
    jm_req_ok(req,
              json_pack("{s:O, s:O, s:O, s:O}", "id", json_object_get(job, "id"), "status",
                        json_object_get(job, "status"), "result", json_object_get(job, "result"),
                        "error", json_object_get(job, "error")));
    json_decref(job);
}

/* ---- include ---- */

static int read_logs(struct jm_pg *pg, const jm_uuid *id, const jm_page *page, json_t **items,
                     char **next, jm_err *err)
{
    return jm_jobs_logs(pg, id, NULL, page, items, next, err);
}

static const struct part {
    const char *name;
    part_reader *read; /* NULL: it is in the row */
} parts[] = {{"steps", jm_jobs_steps},
             {"logs", read_logs},
             {"attempts", jm_jobs_attempts},
             {"result", NULL},
             {NULL, NULL}};

/* The first page of a part, with the cursor of the second beside it. */
static int add_page(struct jm_pg *pg, const jm_uuid *id, json_t *job, const struct part *part,
                    jm_err *err)
{
    const jm_page page = {.limit = LINES_MAX};
    json_t *items;
    char *next, name[40];
    int rc = part->read(pg, id, &page, &items, &next, err);
    if (rc)
        return rc;
    snprintf(name, sizeof name, "%s_next", part->name);
    json_object_set_new(job, part->name, items);
    json_object_set_new(job, name, next ? json_string(next) : json_null());
    free(next);
    return JM_OK;
}

/* Takes the next word off the list; NULL: answered. */
static const struct part *next_part(jm_req *req, const char **list)
{
    size_t len = strcspn(*list, ",");
    for (const struct part *part = parts; part->name; part++) {
        if (strlen(part->name) != len || memcmp(part->name, *list, len) != 0)
            continue;
        *list += len + ((*list)[len] == ',');
        return part;
    }
    jm_req_problem(req, 400, "invalid", "?include",
                   "include is a list of steps, logs, result and attempts, not \"%.60s\"", *list);
    return NULL;
}

void jm_job_show_parts(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *job;
    jm_err err;
    const char *list = jm_req_query(req, "include");
    for (const char *at = list; at && *at;)
        if (!next_part(req, &at))
            return;
    if (!jm_job_find(req, &pg, &id, &job))
        return;
    while (list && *list) {
        const struct part *part = next_part(req, &list);
        if (part->read && add_page(pg, &id, job, part, &err)) {
            jm_req_fail(req, &err);
            json_decref(job);
            return;
        }
    }
    jm_req_ok(req, job);
}
