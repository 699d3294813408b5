/* Makes requests of plans and jobs. */
#include "http_request.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/mem.h"

/* ---- url ---- */

/* "." and ".." lead elsewhere than the definition says. */
static bool has_dot_segment(const char *path)
{
    for (const char *p = path; *p;) {
        size_t len = strcspn(++p, "/");
        if ((len == 1 && *p == '.') || (len == 2 && !memcmp(p, "..", 2)))
            return true;
        p += len;
    }
    return false;
}

static int make_whole_url(jm_http_request *request, const jm_http_plan *plan,
                          const jm_template_scope *scope, jm_err *err)
{
    jm_buf url = {0};
    int rc = jm_template_expand(plan->whole_url, scope, &url, err);
    if (!rc && strlen(jm_buf_str(&url)) != url.len)
        rc = jm_err_set(err, JM_ERR_INVALID, "url: it has a NUL in it");
    else if (!rc && (rc = jm_http_url_check(url.data, &request->host, err)))
        jm_err_prefix(err, "url");
    request->url = jm_buf_take(&url);
    return rc;
}

static int make_url(jm_http_request *request, const jm_http_plan *plan,
                    const jm_template_scope *scope, jm_err *err)
{
    if (plan->whole_url)
        return make_whole_url(request, plan, scope, err);
    jm_buf url = {0};
    jm_buf_adds(&url, plan->origin);
    size_t path = url.len;
    int rc = jm_template_expand(plan->path, scope, &url, err);
    if (!rc && url.len > path && has_dot_segment(url.data + path))
        rc = jm_err_set(err, JM_ERR_INVALID, "url: a segment of the path is \".\" or \"..\"");
    if (!rc && plan->query)
        rc = jm_template_expand(plan->query, scope, &url, err);
    if (!rc && url.len > JM_HTTP_URL_MAX)
        rc = jm_err_set(err, JM_ERR_INVALID, "url: it has more than %d bytes", JM_HTTP_URL_MAX);
    request->url = jm_buf_take(&url);
    request->host = jm_strdup(strstr(plan->origin, "//") + 2);
    return rc;
}

/* ---- headers ---- */

static void add_header(jm_http_request *request, const char *name, const char *value,
                       bool is_private)
{
    jm_buf line = {0};
    jm_buf_addf(&line, "%s: ", name);
    jm_buf_adds(&line, value);
    request->headers = curl_slist_append(request->headers, line.data);
    if (!is_private)
        request->public_headers = curl_slist_append(request->public_headers, line.data);
    jm_buf_fini(&line);
}

static bool names_header(const jm_http_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_headers; i++)
        if (!strcasecmp(plan->headers[i].name, name))
            return true;
    return false;
}

/* One whose value is empty is left out. */
static int add_own_headers(jm_http_request *request, const jm_http_plan *plan,
                           const jm_template_scope *scope, jm_err *err)
{
    jm_buf value = {0};
    int rc = JM_OK;
    for (size_t i = 0; i < plan->n_headers && !rc; i++) {
        const jm_http_header *header = &plan->headers[i];
        jm_buf_clear(&value);
        rc = jm_template_expand(header->value, scope, &value, err);
        if (!rc && value.len > JM_HTTP_HEADER_MAX)
            rc = jm_err_set(err, JM_ERR_INVALID, "it has more than %d bytes", JM_HTTP_HEADER_MAX);
        if (rc)
            jm_err_prefix(err, "header %s", header->name);
        else if (value.len)
            add_header(request, header->name, value.data, header->is_private);
    }
    jm_buf_fini(&value);
    return rc;
}

bool jm_http_child_trace(const char *trace_context, char out[56])
{
    static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    if (!trace_context || strlen(trace_context) < sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == 'x' ? !isxdigit((unsigned char)trace_context[i])
                            : trace_context[i] != shape[i])
            return false;
    jm_uuid random = jm_uuid7_new();
    memcpy(out, trace_context, sizeof shape);
    out[sizeof shape - 1] = 0;
    for (int i = 0; i < 8; i++) /* the last eight bytes are random */
        snprintf(out + 36 + 2 * i, 3, "%02x", (unsigned)random.b[8 + i]);
    out[52] = '-';
    return true;
}

static void add_our_headers(jm_http_request *request, const jm_http_plan *plan,
                            const jm_step_run *run)
{
    char id[JM_UUID_TEXT], trace[56];
    jm_uuid_format(&run->job->id, id);
    if (!names_header(plan, "Idempotency-Key")) {
        jm_buf key = {0};
        jm_buf_addf(&key, "%s:%s", id, run->def->name);
        add_header(request, "Idempotency-Key", key.data, false);
        jm_buf_fini(&key);
    }
    if (!names_header(plan, "traceparent") && jm_http_child_trace(run->job->trace_context, trace))
        add_header(request, "traceparent", trace, false);
    if (request->has_body && plan->content_type)
        add_header(request, "Content-Type", plan->content_type, false);
    else if (!request->has_body && !names_header(plan, "Content-Type"))
        add_header(request, "Content-Type", "", false); /* libcurl leaves it out then */
    add_header(request, "Expect", "", false);
}

/* ---- signature ---- */

void jm_http_sign(const char *secret, size_t len, int64_t unix_s, const char *body, size_t body_len,
                  char out[100])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    jm_buf text = {0};
    jm_buf_addf(&text, "%" PRId64 ".", unix_s);
    jm_buf_add(&text, body, body_len);
    HMAC(EVP_sha256(), secret, (int)len, (const unsigned char *)text.data, text.len, digest,
         &digest_len);
    int n = snprintf(out, 36, "t=%" PRId64 ",v1=", unix_s);
    for (unsigned i = 0; i < digest_len && i < 32; i++)
        n += snprintf(out + n, 3, "%02x", digest[i]);
    jm_buf_fini(&text);
}

/* Callbacks go unsigned where there is no secret for them; elsewhere who asks for a signature gets
 * one or nothing. */
static int add_signature(jm_http_request *request, const jm_http_plan *plan, jm_step_run *run,
                         jm_err *err)
{
    const char *secret;
    size_t len;
    char value[100];
    if (!plan->sign)
        return JM_OK;
    if (jm_step_secret(run, plan->sign, &secret, &len, err)) {
        bool none = err->code == JM_ERR_NOT_FOUND && !run->env->callback_secret_file;
        return none && !strcmp(plan->sign, "callback") ? JM_OK : err->code;
    }
    jm_http_sign(secret, len, time(NULL), jm_buf_str(&request->body), request->body.len, value);
    add_header(request, "X-Jobmill-Signature", value, false);
    return JM_OK;
}

int jm_http_request_make(jm_http_request *request, const jm_http_plan *plan, jm_step_run *run,
                         jm_err *err)
{
    jm_template_scope scope = jm_step_scope(run);
    snprintf(request->method, sizeof request->method, "%s", plan->method);
    request->timeout_ms = plan->timeout_ms;
    request->redirects = plan->redirects;
    request->max_bytes = plan->max_bytes;
    request->has_body = plan->body != NULL;
    if (plan->body && jm_template_expand(plan->body, &scope, &request->body, err))
        return jm_err_prefix(err, "body");
    if (make_url(request, plan, &scope, err) || add_own_headers(request, plan, &scope, err) ||
        add_signature(request, plan, run, err))
        return err->code;
    add_our_headers(request, plan, run);
    return JM_OK;
}
