/* Jobs run by programs outside: PATCH /jobs/{id}, and what they write about steps and logs. */
#include "common/json_exact.h"
#include "producer/http/job_outside.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "producer/http/job_parts.h"
#include "producer/service/jobs.h"
#include "producer/service/outside.h"

enum { LINES_MAX = 1000 };

/* ---- values ---- */

static const char *const job_statuses[] = {"completed", "failed", "cancelled", "pending", NULL};
static const char *const step_statuses[] = {"pending", "running",   "success", "failed",
                                            "skipped", "cancelled", NULL};

static bool refuse(jm_req *req, const char *name, const char *needs)
{
    char pointer[80];
    snprintf(pointer, sizeof pointer, "/%s", name);
    jm_req_problem(req, 400, "invalid", pointer, "%s needs to be %s", name, needs);
    return false;
}

static bool is_object(jm_req *req, const json_t *body, const char *name)
{
    const json_t *value = json_object_get(body, name);
    return !value || json_is_object(value) || refuse(req, name, "an object");
}

static bool is_word(jm_req *req, const json_t *body, const char *name, const char *const *words)
{
    char needs[120] = "one of";
    const char *text = jm_json_exact_text(json_object_get(body, name));
    if (!json_object_get(body, name))
        return true;
    for (int i = 0; words[i]; i++) {
        size_t used = strlen(needs);
        if (text && !strcmp(text, words[i]))
            return true;
        snprintf(needs + used, sizeof needs - used, "%s %s", i ? "," : "", words[i]);
    }
    return refuse(req, name, needs);
}

/* As handlers may write them. */
static bool is_level(jm_req *req, const json_t *line)
{
    const json_t *value = json_object_get(line, "level");
    const char *text = jm_json_exact_text(value);
    jm_log_level ignored;
    return !value || (text && jm_log_level_parse_job(text, &ignored)) ||
           refuse(req, "level", "DEBUG, INFO, WARNING or ERROR, in any case of letters");
}

/* A whole number in its range, def where there is none. */
static bool get_int(jm_req *req, const json_t *body, const char *name, int64_t def,
                    const int64_t range[2], int64_t *out)
{
    char needs[60];
    const json_t *value = json_object_get(body, name);
    *out = value ? json_integer_value(value) : def;
    if (!value || (json_is_integer(value) && *out >= range[0] && *out <= range[1]))
        return true;
    snprintf(needs, sizeof needs, "a number from %lld to %lld", (long long)range[0],
             (long long)range[1]);
    return refuse(req, name, needs);
}

static bool get_attempt(jm_req *req, const json_t *body, jm_outside_report *report)
{
    int64_t attempt;
    const int64_t range[2] = {1, INT32_MAX};
    if (!json_object_get(body, "attempt"))
        return refuse(req, "attempt", "there: the attempt that this is about");
    if (!get_int(req, body, "attempt", 0, range, &attempt))
        return false;
    report->attempt = (int)attempt;
    report->actor = jm_req_actor(req);
    return true;
}

static bool are_counts(jm_req *req, const json_t *body)
{
    static const char *const names[] = {"items_total", "items_ok", "items_failed"};
    const int64_t range[2] = {0, INT64_MAX};
    int64_t ignored;
    for (int i = 0; i < 3; i++)
        if (!get_int(req, body, names[i], 0, range, &ignored))
            return false;
    return true;
}

static bool is_metadata(jm_req *req, const json_t *body)
{
    const char *name;
    json_t *value;
    jm_err err;
    const json_t *metadata = json_object_get(body, "metadata");
    if (!is_object(req, body, "metadata"))
        return false;
    json_object_foreach((json_t *)(uintptr_t)metadata, name, value)
    {
        if (json_is_object(value) || json_is_array(value))
            return refuse(req, "metadata", "an object of strings, numbers, booleans and nulls");
        const char *digits = jm_json_exact_number(value);
        if (digits && jm_json_exact_check(digits, strlen(digits), &err))
            return refuse(req, "metadata", "of numbers within a double's range (1.8e308)");
    }
    return true;
}

/* ---- PATCH /jobs/{id} ---- */

static void answer_job(jm_req *req, struct jm_pg *pg, const jm_uuid *id, int rc, jm_err *err)
{
    json_t *job;
    if (rc || jm_jobs_show(pg, id, &job, err))
        jm_req_fail(req, err);
    else
        jm_req_ok(req, job);
}

static void fail_report(jm_req *req, const jm_err *err)
{
    if (err->code == JM_ERR_CONFLICT)
        jm_req_problem(req, 409, "attempt_over", "/attempt", "%s", err->msg);
    else
        jm_req_fail(req, err);
}

static void claim_job(jm_req *req, const json_t *body)
{
    static const char *const names[] = {"status", "lease_s", NULL};
    const int64_t range[2] = {JM_OUTSIDE_LEASE_MIN_S, JM_OUTSIDE_LEASE_MAX_S};
    int64_t lease_s;
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    if (jm_req_body_members(req, body, names) &&
        get_int(req, body, "lease_s", JM_OUTSIDE_LEASE_S, range, &lease_s) &&
        jm_job_find(req, &pg, &id, NULL)) {
        int rc = jm_outside_claim(pg, &id, jm_req_actor(req), (int)lease_s, &err);
        answer_job(req, pg, &id, rc, &err);
    }
}

static void report_job(jm_req *req, const json_t *body)
{
    static const char *const names[] = {"attempt",      "status",   "error",       "result",
                                        "metadata",     "progress", "items_total", "items_ok",
                                        "items_failed", NULL};
    jm_outside_report report = {0};
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    if (!jm_req_body_members(req, body, names) || !get_attempt(req, body, &report) ||
        !is_word(req, body, "status", job_statuses) ||
        !jm_req_body_string(req, body, "error", false, NULL) || !is_metadata(req, body) ||
        !is_object(req, body, "progress") || !are_counts(req, body) ||
        !jm_job_find(req, &pg, &id, NULL))
        return;
    report.status = jm_json_exact_text(json_object_get(body, "status"));
    report.error = jm_json_exact_text(json_object_get(body, "error"));
    report.result = json_object_get(body, "result");
    report.metadata = json_object_get(body, "metadata");
    report.progress = json_object_get(body, "progress");
    report.items_total = json_object_get(body, "items_total");
    report.items_ok = json_object_get(body, "items_ok");
    report.items_failed = json_object_get(body, "items_failed");
    if (jm_outside_report_write(pg, &id, &report, &err))
        fail_report(req, &err);
    else
        answer_job(req, pg, &id, JM_OK, &err);
}

static void change_job(jm_req *req, const json_t *body)
{
    static const char *const names[] = {"metadata", "priority", "attempt", "status", NULL};
    const int64_t range[2] = {0, 9};
    int64_t priority;
    struct jm_pg *pg;
    jm_uuid id;
    jm_change change;
    jm_err err;
    if (!jm_req_body_members(req, body, names) || !is_metadata(req, body) ||
        !get_int(req, body, "priority", -1, range, &priority) || !jm_job_find(req, &pg, &id, NULL))
        return;
    jm_req_change(req, &change);
    json_t *would;
    int rc = jm_jobs_patch(pg, &id, json_object_get(body, "metadata"), (int)priority, &change,
                           &would, &err);
    if (would && !rc)
        jm_req_ok(req, would);
    else
        answer_job(req, pg, &id, rc, &err);
}

void jm_job_patch(jm_req *req)
{
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    const char *status = jm_json_exact_text(json_object_get(body, "status"));
    jm_change change;
    if (!body)
        return;
    jm_req_change(req, &change);
    if (change.dry_run && (json_object_get(body, "attempt") || json_object_get(body, "status")))
        jm_req_problem(req, 400, "bad_parameter", "?dry_run",
                       "dry_run goes with metadata and priority: what an attempt does is told, not "
                       "tried");
    else if (json_object_get(body, "attempt"))
        report_job(req, body);
    else if (status && !strcmp(status, "running"))
        claim_job(req, body);
    else if (json_object_get(body, "status"))
        (void)refuse(req, "attempt", "there with a status other than running: the attempt it ends");
    else
        change_job(req, body);
}

/* ---- steps ---- */

void jm_job_write_step(jm_req *req)
{
    static const char *const names[] = {"attempt", "name",     "status", "data",
                                        "error",   "attempts", NULL};
    const int64_t tries[2] = {1, 1000000};
    const json_t *body = jm_req_body(req, JSON_OBJECT);
    jm_outside_report report = {.step = body};
    struct jm_pg *pg;
    jm_uuid id;
    const jm_page page = {.limit = LINES_MAX};
    json_t *items;
    char *next = NULL;
    jm_err err;
    int64_t ignored;
    if (!body || !jm_req_body_members(req, body, names) || !get_attempt(req, body, &report) ||
        !jm_req_body_string(req, body, "name", false, NULL) ||
        !jm_req_body_string(req, body, "error", false, NULL) ||
        !is_word(req, body, "status", step_statuses) ||
        !get_int(req, body, "attempts", 1, tries, &ignored))
        return;
    const char *name = jm_json_exact_text(json_object_get(body, "name"));
    if (!name || !*name || strlen(name) > 400) {
        (void)refuse(req, "name", "there: 1 to 400 bytes");
        return;
    }
    if (!json_object_get(body, "status")) {
        (void)refuse(req, "status", "there");
        return;
    }
    if (!jm_job_find(req, &pg, &id, NULL))
        return;
    if (jm_outside_report_write(pg, &id, &report, &err))
        fail_report(req, &err);
    else if (jm_jobs_steps(pg, &id, &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else
        jm_req_list(req, items, next);
    free(next);
}

/* ---- logs ---- */

/* One line of a list; *attempt 0: the first. false: answered. */
static bool check_line(jm_req *req, const json_t *line, jm_outside_report *report)
{
    static const char *const names[] = {"attempt", "level", "message", "step",
                                        "details", "ts",    NULL};
    const char *ts = jm_json_exact_text(json_object_get(line, "ts"));
    int64_t ignored;
    jm_err err;
    int before = report->attempt;
    if (!json_is_object(line)) {
        jm_req_problem(req, 400, "invalid", "", "a line is an object with attempt and message");
        return false;
    }
    if (!jm_req_body_members(req, line, names) || !get_attempt(req, line, report) ||
        !is_level(req, line) || !jm_req_body_string(req, line, "step", false, NULL) ||
        !jm_req_body_string(req, line, "ts", false, NULL))
        return false;
    if (!jm_req_body_string(req, line, "message", true, NULL))
        return false;
    if (ts && jm_rfc3339_parse(ts, strlen(ts), &ignored, &err))
        return refuse(req, "ts", "a time such as 2026-11-22T14:30:00Z");
    return !before || before == report->attempt || refuse(req, "attempt", "the same in all lines");
}

void jm_job_write_logs(jm_req *req)
{
    size_t len, i;
    json_t *line;
    jm_outside_report report = {0};
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    const char *text = jm_req_body_text(req, &len);
    bool many = len && text[strspn(text, " \t\r\n")] == '[';
    const json_t *body = jm_req_body(req, many ? JSON_ARRAY : JSON_OBJECT);
    if (!body)
        return;
    json_t *lines = many ? json_incref((json_t *)(uintptr_t)body) : json_pack("[O]", body);
    bool fine = json_array_size(lines) >= 1 && json_array_size(lines) <= LINES_MAX;
    if (!fine)
        jm_req_problem(req, 400, "invalid", "", "a list needs 1 to %d lines", LINES_MAX);
    json_array_foreach(lines, i, line)
    {
        jm_req_inside(req, many ? (int)i : -1);
        fine = fine && check_line(req, line, &report);
    }
    jm_req_inside(req, -1);
    report.logs = lines;
    if (fine && jm_job_find(req, &pg, &id, NULL)) {
        if (jm_outside_report_write(pg, &id, &report, &err))
            fail_report(req, &err);
        else
            jm_req_answer(req, 201,
                          json_pack("{s:I}", "written", (json_int_t)json_array_size(lines)));
    }
    json_decref(lines);
}
