/* POST /jobs: one job or a list, checked here and written by the submitter, which answers. */
#include "producer/http/job_submit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/job_message.h"
#include "common/json_exact.h"
#include "common/mem.h"
#include "producer/http/api.h"
#include "producer/http/waiter.h"
#include "producer/service/submission.h"

enum { WAIT_MAX_S = 60 };

/* A request whose jobs are being written. */
typedef struct pending {
    jm_req *req;
    int64_t wait_s;
} pending;

/* ---- what came ---- */

/* A key that is bound to a project sees no other. false: answered. */
static bool place_in_project(jm_req *req, json_t *item, const char *pointer)
{
    char field[120];
    const char *bound = jm_req_project(req);
    const json_t *asked = json_object_get(item, "project");
    snprintf(field, sizeof field, "%s/project", pointer);
    if (!bound || (asked && !jm_json_exact_text(asked)))
        return true; /* the parser says what it is */
    if (!asked)
        return !json_object_set_new(item, "project", json_string(bound));
    if (!strcmp(jm_json_exact_text(asked), bound))
        return true;
    jm_req_problem(req, 404, "not_found", field, "there is no project \"%.100s\"",
                   jm_json_exact_text(asked));
    return false;
}

static bool refuse(jm_req *req, jm_submit_request *request, jm_err *err)
{
    char field[sizeof err->field];
    if (request->list && err->code == JM_ERR_INVALID) {
        snprintf(field, sizeof field, "%zu%s%.50s", request->n, *err->field ? "." : "", err->field);
        memcpy(err->field, field, sizeof field);
    }
    jm_req_fail(req, err);
    return false;
}

/* A job that is too large as a whole: by which of its members. */
static void name_largest(const json_t *item, jm_err *err)
{
    const char *name;
    json_t *value;
    size_t largest = 0;
    char field[sizeof err->field] = "";
    json_object_foreach((json_t *)(uintptr_t)item, name, value)
    {
        char *text = jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (strlen(text) > largest) {
            largest = strlen(text);
            snprintf(field, sizeof field, "%.60s", name);
        }
        free(text);
    }
    jm_err_field(err, field,
                 "a job is too large: it has at most %zu bytes as JSON, and %s alone has %zu",
                 JM_MESSAGE_BYTES_MAX, field, largest);
}

/* One job of the body. false: answered. */
static bool add_job(jm_req *req, jm_submit_request *request, const json_t *given)
{
    char pointer[24] = "";
    jm_err err = {0};
    if (request->list)
        snprintf(pointer, sizeof pointer, "/%zu", request->n);
    if (!json_is_object(given)) {
        jm_err_set(&err, JM_ERR_INVALID, "a job is an object, such as {\"type\": \"noop\"}");
        return refuse(req, request, &err);
    }
    json_t *item = json_copy((json_t *)(uintptr_t)given);
    json_t *queue = json_incref(json_object_get(item, "queue"));
    json_object_del(item, "queue");
    bool fine = place_in_project(req, item, pointer);
    if (fine && queue && !jm_json_exact_text(queue)) {
        jm_err_field(&err, "queue", "queue must be a string");
        fine = refuse(req, request, &err);
    }
    char *text = fine ? jm_json_exact_dump(item, JSON_COMPACT) : NULL;
    if (fine && strlen(text) > JM_MESSAGE_BYTES_MAX) {
        name_largest(item, &err);
        fine = refuse(req, request, &err);
    }
    if (fine && jm_submit_request_add(request, text, strlen(text), jm_json_exact_text(queue), &err))
        fine = refuse(req, request, &err);
    free(text);
    json_decref(queue);
    json_decref(item);
    return fine;
}

/* The body, an object or a list of 1 to 1,000 of them. NULL: answered. */
static const json_t *body_of(jm_req *req)
{
    size_t len;
    const char *text = jm_req_body_text(req, &len);
    while (len && isspace((unsigned char)*text)) {
        text++;
        len--;
    }
    const json_t *body = jm_req_body(req, len && *text == '[' ? JSON_ARRAY : JSON_OBJECT);
    size_t n = json_array_size(body);
    if (!body || json_is_object(body) || (n && n <= JM_SUBMISSION_JOBS))
        return body;
    jm_req_problem(req, 400, "invalid", "", "a list needs 1 to %d jobs, this one has %zu",
                   JM_SUBMISSION_JOBS, n);
    return NULL;
}

/* All jobs of a list under one key are of one project. false: answered. */
static bool take_key(jm_req *req, jm_submit_request *request)
{
    size_t len;
    const char *key;
    const char *body = jm_req_body_text(req, &len);
    if (!jm_req_idempotency_key(req, &key))
        return false;
    if (!key)
        return true;
    for (size_t j = 1; j < request->n; j++) {
        if (!strcmp(request->jobs[j].project, request->jobs[0].project))
            continue;
        jm_req_problem(req, 400, "invalid", NULL,
                       "under an Idempotency-Key all jobs are of one project");
        return false;
    }
    if (!request->dry_run) /* which has no answer to keep */
        jm_submit_request_key(request, key, body, len);
    return true;
}

static jm_submit_request *read_request(jm_req *req)
{
    const json_t *body = body_of(req), *item;
    size_t i, n = json_is_array(body) ? json_array_size(body) : 1;
    if (!body)
        return NULL;
    jm_submit_request *request = jm_submit_request_new(n, jm_req_actor(req), jm_req_id(req));
    jm_change change;
    jm_req_change(req, &change);
    request->list = json_is_array(body);
    request->dry_run = change.dry_run;
    bool fine = request->list || add_job(req, request, body);
    json_array_foreach(body, i, item)
    {
        fine = fine && add_job(req, request, item);
    }
    if (fine && take_key(req, request))
        return request;
    jm_submit_request_free(request);
    return NULL;
}

/* ---- the answer ---- */

static json_t *describe(const jm_submit_request *request, size_t j)
{
    const jm_job *job = &request->jobs[j];
    char id[JM_UUID_TEXT];
    jm_uuid_format(&job->id, id);
    /* What Kafka alone knows under an id of the caller's gets its own when it is accepted. */
    bool unknown = request->sent && job->external_id;
    return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:b}", "id", unknown ? job->external_id : id,
                     "external_id", job->external_id, "project", job->project, "type", job->type,
                     "queue", job->queue, "existed",
                     request->replayed ? 0 : (int)request->existed[j]);
}

static void answer_failure(jm_req *req, const jm_submit_request *request)
{
    if (!request->code) {
        jm_req_fail(req, &request->err);
        return;
    }
    char pointer[sizeof request->err.field + 2], words[JM_REQ_WORDS];
    snprintf(pointer, sizeof pointer, "/%s", request->err.field);
    for (char *c = pointer; *c; c++)
        if (*c == '.')
            *c = '/';
    jm_req_problem(req, 409, request->code, *request->err.field ? pointer : NULL, "%s",
                   jm_req_words(&request->err, words));
}

static void answer_list(jm_req *req, const jm_submit_request *request)
{
    json_t *items = json_array();
    bool any_new = request->replayed;
    for (size_t j = 0; j < request->n; j++) {
        any_new |= !request->existed[j];
        json_array_append_new(items, describe(request, j));
    }
    int status = request->dry_run ? 200 : request->sent ? 202 : any_new ? 201 : 200;
    jm_req_answer(req, status, json_pack("{s:o}", "items", items));
}

/* Answers now, or gives the request on to who waits for the job. */
static bool answer(const pending *p, const jm_submit_request *request)
{
    bool existed = request->existed[0] && !request->replayed;
    if (request->replayed)
        jm_req_set_header(p->req, "Idempotency-Replayed", "true");
    if (request->rc) {
        answer_failure(p->req, request);
    } else if (request->list) {
        answer_list(p->req, request);
    } else if (request->dry_run) {
        jm_req_ok(p->req, describe(request, 0));
    } else if (!request->sent && (existed || p->wait_s)) {
        jm_waiter_add(jm_api_waiter(jm_req_api(p->req)), p->req, &request->jobs[0].id,
                      existed ? 200 : 201, p->wait_s * 1000);
        return false;
    } else {
        json_t *job = describe(request, 0);
        jm_buf location = {0};
        jm_buf_addf(&location, "/api/v1/jobs/%s", jm_json_exact_text(json_object_get(job, "id")));
        if (!strpbrk(jm_buf_str(&location), " \r\n%?#"))
            jm_req_set_header(p->req, "Location", jm_buf_str(&location));
        jm_req_answer(p->req, request->sent ? 202 : 201, job);
        jm_buf_fini(&location);
    }
    return true;
}

/* On the submitter's thread. */
static void done(jm_submit_request *request, void *ctx)
{
    pending *p = ctx;
    if (answer(p, request))
        jm_req_finish(p->req);
    jm_submit_request_free(request);
    free(p);
}

void jm_job_submit(jm_req *req)
{
    int64_t wait_s;
    jm_err err;
    jm_submission *submission = jm_api_submission(jm_req_api(req));
    if (!jm_req_query_int(req, "wait_s", 0, 0, WAIT_MAX_S, &wait_s))
        return;
    jm_submit_request *request = read_request(req);
    if (!request)
        return;
    if (wait_s && (request->list || request->dry_run)) {
        jm_req_problem(req, 400, "invalid", "?wait_s",
                       "wait_s goes with one job, not with a list or a dry run");
        jm_submit_request_free(request);
        return;
    }
    pending *p = jm_calloc(1, sizeof *p);
    *p = (pending){.req = req, .wait_s = wait_s};
    request->done = done;
    request->ctx = p;
    jm_req_defer(req);
    if (jm_submission_push(submission, request, &err)) {
        jm_req_fail(req, &err);
        jm_req_finish(req);
        jm_submit_request_free(request);
        free(p);
    }
}
