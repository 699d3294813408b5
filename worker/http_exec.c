/* The executor http: one request a try of a step, made by http_client.c, judged here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/mem.h"
#include "worker/http_request.h"
#include "worker/text.h"

enum { RETRY_AFTER_MAX_S = 3600, ERROR_BODY_BYTES = 200 };

static int http_compile(const json_t *config, const char *pointer, void **compiled, jm_err *err)
{
    jm_http_plan *plan = NULL;
    int rc = jm_http_plan_new(config, pointer, &plan, err);
    *compiled = plan;
    return rc;
}

static void http_discard(void *compiled)
{
    jm_http_plan_free(compiled);
}

static int http_open(jm_loop *loop, const jm_executor_env *env, void **shared, jm_err *err)
{
    jm_http_client *client = NULL;
    int rc = jm_http_client_new(loop, env->http_allow_private, env->http_ca_file, &client, err);
    *shared = client;
    return rc;
}

static void http_close(void *shared)
{
    jm_http_client_free(shared);
}

/* ---- the answer as the step's data ---- */

static void add_text(jm_buf *out, const char *text, size_t len)
{
    jm_buf clean = {0};
    jm_text_clean(&clean, text, len);
    jm_buf_add_json(out, jm_buf_str(&clean), clean.len);
    jm_buf_fini(&clean);
}

static void add_headers(jm_buf *out, const jm_http_response *response)
{
    bool first = true;
    for (int i = 0; i < JM_HTTP_KEPT_HEADERS; i++) {
        if (!response->headers[i])
            continue;
        jm_buf_addf(out, "%s\"%s\":", first ? "" : ",", jm_http_kept_headers[i]);
        add_text(out, response->headers[i], strlen(response->headers[i]));
        first = false;
    }
}

/* JSON goes through digit for digit; everything else is text. One level is the data's own. */
static void add_body(jm_buf *out, const jm_http_response *response)
{
    const jm_buf *body = &response->body;
    const char *type = response->headers[0];
    jm_json json;
    jm_err err;
    bool is_json = !response->cut && body->len && (!type || strcasestr(type, "json"));
    if (is_json) {
        is_json = !jm_json_scan(&json, body->data, body->len, JM_JSON_DEPTH_MAX - 1, &err);
        jm_json_fini(&json);
    }
    if (is_json)
        jm_buf_add(out, body->data, body->len);
    else if (body->len)
        add_text(out, body->data, body->len);
    else
        jm_buf_adds(out, "null");
}

static void make_data(jm_buf *out, const jm_http_call *call)
{
    const jm_http_response *response = &call->response;
    jm_buf_addf(out, "{\"status\":%ld,\"headers\":{", response->status);
    add_headers(out, response);
    jm_buf_adds(out, "},\"body\":");
    add_body(out, response);
    if (response->cut)
        jm_buf_addf(out, ",\"cut_at\":%zu", call->request.max_bytes);
    jm_buf_addc(out, '}');
}

/* ---- the verdict ---- */

static bool is_temporary(long status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void say_body(jm_buf *error, const jm_buf *body)
{
    if (!body->len)
        return;
    size_t n = jm_text_cut(body->data, body->len, ERROR_BODY_BYTES);
    jm_buf clean = {0};
    jm_text_clean(&clean, body->data, n);
    for (size_t i = 0; i < clean.len; i++)
        if ((unsigned char)clean.data[i] < ' ')
            clean.data[i] = ' ';
    jm_buf_addf(error, ": %s%s", jm_buf_str(&clean), n < body->len ? "…" : "");
    jm_buf_fini(&clean);
}

static jm_verdict no_answer(const jm_http_call *call, jm_buf *error)
{
    const jm_http_response *response = &call->response;
    if (response->refusal) {
        jm_buf_addf(error,
                    "%s is at %s, which http steps may call only with [worker] http_allow_private",
                    call->request.host, response->refusal);
        return JM_STEP_PERMANENT;
    }
    jm_buf_addf(error, "%s %s: %s", call->request.method, call->request.host, response->error);
    return response->bad_redirect ? JM_STEP_PERMANENT : JM_STEP_FAILURE;
}

static jm_verdict judge(const jm_http_plan *plan, const jm_http_call *call, jm_buf *error)
{
    const jm_http_response *response = &call->response;
    long status = response->status;
    if (response->error[0] || response->refusal)
        return no_answer(call, error);
    if (jm_http_plan_expects(plan, status))
        return JM_STEP_SUCCESS;
    jm_buf_addf(error, "%s %s: HTTP status %ld", call->request.method, call->request.host, status);
    if (status >= 300 && status < 400)
        jm_buf_adds(error, plan->redirects ? " after as many redirects as allowed"
                                           : " (redirects are not followed)");
    say_body(error, &response->body);
    return is_temporary(status) ? JM_STEP_FAILURE : JM_STEP_PERMANENT;
}

static void on_done(void *ctx, jm_http_call *call)
{
    jm_step_run *run = ctx;
    const jm_http_response *response = &call->response;
    jm_buf error = {0}, data = {0};
    jm_verdict verdict = judge(run->def->compiled, call, &error);
    if (response->status)
        make_data(&data, call);
    if (response->cut) {
        char text[100];
        int n = snprintf(text, sizeof text, "the body is longer than max_bytes (%zu) and cut off",
                         call->request.max_bytes);
        jm_step_log(run, JM_WARNING, text, (size_t)n, NULL);
    }
    if (verdict == JM_STEP_FAILURE && response->retry_after_s > 0)
        run->retry_after_us =
            1000000 * (response->retry_after_s < RETRY_AFTER_MAX_S ? response->retry_after_s
                                                                   : RETRY_AFTER_MAX_S);
    jm_http_call_free(call);
    run->state = NULL;
    jm_step_end(run, verdict, data.data, data.len, error.data);
    jm_buf_fini(&error);
    jm_buf_fini(&data);
}

/* ---- start and stop ---- */

static void http_start(jm_step_run *run)
{
    jm_err err = {0};
    jm_http_call *call = jm_http_call_new();
    if (jm_http_request_make(&call->request, run->def->compiled, run, &err)) {
        jm_http_call_free(call);
        jm_step_end(run, err.retriable ? JM_STEP_FAILURE : JM_STEP_PERMANENT, NULL, 0, err.msg);
        return;
    }
    call->done = on_done;
    call->ctx = run;
    run->state = call;
    jm_http_client_send(run->shared, call);
}

static void http_stop(jm_step_run *run)
{
    jm_http_client_abort(run->shared, run->state);
    run->state = NULL;
    jm_step_end(run, JM_STEP_FAILURE, NULL, 0, "stopped");
}

const jm_executor jm_executor_http = {.name = "http",
                                      .slot_class = JM_SLOT_ASYNC,
                                      .open = http_open,
                                      .close = http_close,
                                      .compile = http_compile,
                                      .discard = http_discard,
                                      .start = http_start,
                                      .stop = http_stop};
