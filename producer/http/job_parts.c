/* One job and what belongs to it. */
#include "producer/http/job_parts.h"

#include <string.h>

#include "producer/http/live.h"
#include "producer/service/jobs.h"

typedef int part_reader(struct jm_pg *pg, const jm_uuid *id, json_t **items, jm_err *err);

static void answer_part(jm_req *req, part_reader *read)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *items;
    jm_err err;
    if (!jm_job_find(req, &pg, &id, NULL))
        return;
    if (read(pg, &id, &items, &err))
        jm_req_fail(req, &err);
    else
        jm_req_list(req, items, NULL, -1);
}

void jm_job_steps(jm_req *req)
{
    answer_part(req, jm_jobs_steps);
}

void jm_job_attempts(jm_req *req)
{
    answer_part(req, jm_jobs_attempts);
}

void jm_job_logs(jm_req *req)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *items;
    jm_err err;
    bool follow;
    if (!jm_req_query_bool(req, "follow", false, &follow))
        return;
    if (follow) {
        jm_live_follow(req, JM_LIVE_LOGS);
        return;
    }
    if (!jm_job_find(req, &pg, &id, NULL))
        return;
    if (jm_jobs_logs(pg, &id, jm_req_query(req, "level"), &items, &err)) {
        if (err.code == JM_ERR_INVALID)
            jm_req_problem(req, 400, "invalid", "?level", "%s", err.msg);
        else
            jm_req_fail(req, &err);
        return;
    }
    jm_req_list(req, items, NULL, -1);
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

static int read_logs(struct jm_pg *pg, const jm_uuid *id, json_t **items, jm_err *err)
{
    return jm_jobs_logs(pg, id, NULL, items, err);
}

static const struct part {
    const char *name;
    part_reader *read; /* NULL: it is in the row */
} parts[] = {{"steps", jm_jobs_steps},
             {"logs", read_logs},
             {"attempts", jm_jobs_attempts},
             {"result", NULL},
             {NULL, NULL}};

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
    json_t *job, *items;
    jm_err err;
    const char *list = jm_req_query(req, "include");
    for (const char *at = list; at && *at;)
        if (!next_part(req, &at))
            return;
    if (!jm_job_find(req, &pg, &id, &job))
        return;
    while (list && *list) {
        const struct part *part = next_part(req, &list);
        if (!part->read)
            continue;
        if (part->read(pg, &id, &items, &err)) {
            jm_req_fail(req, &err);
            json_decref(job);
            return;
        }
        json_object_set_new(job, part->name, items);
    }
    jm_req_ok(req, job);
}
