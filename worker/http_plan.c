/* Checks and prepares the object of an http step. */
#include "http_plan.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "worker/definition.h"
#include "worker/secrets.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- url ---- */

int jm_http_url_check(const char *url, char **host, jm_err *err)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *name = NULL, *port = NULL, *user = NULL;
    int rc = JM_OK;
    CURLUcode code = strlen(url) > JM_HTTP_URL_MAX
                         ? CURLUE_MALFORMED_INPUT
                         : curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (code)
        rc = jm_err_set(err, JM_ERR_INVALID, "it is no URL: %s", curl_url_strerror(code));
    else if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
             (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        rc = jm_err_set(err, JM_ERR_INVALID, "the URL must begin with http:// or https://");
    else if (!curl_url_get(u, CURLUPART_USER, &user, 0))
        rc = jm_err_set(err, JM_ERR_INVALID,
                        "the URL must not name a user: credentials belong in headers");
    else if (curl_url_get(u, CURLUPART_HOST, &name, 0) || !*name)
        rc = jm_err_set(err, JM_ERR_INVALID, "the URL has no host");
    else if (host) {
        jm_buf text = {0};
        jm_buf_adds(&text, name);
        if (!curl_url_get(u, CURLUPART_PORT, &port, 0))
            jm_buf_addf(&text, ":%s", port);
        *host = jm_buf_take(&text);
    }
    curl_free(scheme);
    curl_free(name);
    curl_free(port);
    curl_free(user);
    curl_url_cleanup(u);
    return rc;
}

/* Where text that is in no reference has the character; NULL when it has none. */
static const char *find_outside(const char *text, char c)
{
    for (const char *p = text; *p; p++) {
        if (p[0] == '$' && p[1] == '{' && strchr(p, '}'))
            p = strchr(p, '}');
        else if (*p == c)
            return p;
    }
    return NULL;
}

/* The URL with something in the place of each reference, to be checked as a whole. */
static char *sample_of(const char *text)
{
    jm_buf sample = {0};
    for (const char *p = text; *p; p++) {
        if (p[0] == '$' && p[1] == '{' && strchr(p, '}')) {
            jm_buf_addc(&sample, 'x');
            p = strchr(p, '}');
        } else {
            jm_buf_addc(&sample, *p);
        }
    }
    return jm_buf_take(&sample);
}

static int compile_parts(jm_http_plan *plan, const char *url, size_t origin_len, jm_err *err)
{
    char *sample = sample_of(url);
    int rc = jm_http_url_check(sample, NULL, err);
    free(sample);
    if (rc)
        return rc;
    plan->origin = jm_strndup(url, origin_len);
    const char *question = find_outside(url + origin_len, '?');
    char *path = jm_strndup(url + origin_len, question ? (size_t)(question - url) - origin_len
                                                       : strlen(url + origin_len));
    rc = jm_template_text(path, JM_PLACE_PATH, &plan->path, err);
    if (!rc && question)
        rc = jm_template_text(question, JM_PLACE_QUERY, &plan->query, err);
    free(path);
    return rc;
}

static int compile_url(jm_http_plan *plan, jm_def def, jm_err *err)
{
    const char *url = NULL;
    jm_err why;
    if (jm_def_string(def, "url", &url, err))
        return err->code;
    if (!url)
        return jm_def_error(def, NULL, err, "http has no url");
    jm_template *whole;
    if (jm_template_text(url, JM_PLACE_TEXT, &whole, &why))
        return jm_def_error(def, "url", err, "%s", why.msg);
    if (jm_template_is_reference(whole)) {
        plan->whole_url = whole;
        return JM_OK;
    }
    jm_template_free(whole);
    const char *host = !strncmp(url, "http://", 7)    ? url + 7
                       : !strncmp(url, "https://", 8) ? url + 8
                                                      : NULL;
    size_t host_len = host ? strcspn(host, "/?#") : 0;
    if (!host_len || memchr(host, '$', host_len))
        return jm_def_error(def, "url", err,
                            "scheme and host must stand there literally (https://host/...), or "
                            "the whole url be one reference");
    if (find_outside(url, '#'))
        return jm_def_error(def, "url", err, "a url to be called has no #fragment");
    if (compile_parts(plan, url, (size_t)(host - url) + host_len, &why))
        return jm_def_error(def, "url", err, "%s", why.msg);
    return JM_OK;
}

/* ---- headers ---- */

static bool is_token(const char *name)
{
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p))
            return false;
    return *name && strlen(name) <= 256;
}

static bool is_among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(names[i], name))
            return true;
    return false;
}

static int compile_header(jm_http_plan *plan, jm_def def, const char *name, const json_t *value,
                          jm_err *err)
{
    static const char *const ours[] = {
        "Content-Length",      "Transfer-Encoding", "Connection", "Expect",
        "X-Jobmill-Signature", "Upgrade",           "TE",         "Trailer",
        "Keep-Alive"};
    static const char *const credentials[] = {"Authorization", "Cookie", "Proxy-Authorization"};
    jm_err why;
    if (!is_token(name))
        return jm_def_error(def, name, err, "\"%.60s\" is no name of a header", name);
    if (is_among(name, ours, COUNT(ours)))
        return jm_def_error(def, name, err, "the header %s is set by jobmill", name);
    for (size_t i = 0; i < plan->n_headers; i++)
        if (!strcasecmp(plan->headers[i].name, name))
            return jm_def_error(def, name, err, "the header %s stands there twice", name);
    if (!json_is_string(value))
        return jm_def_error(def, name, err, "the header %s must be a string", name);
    const char *text = json_string_value(value);
    for (const char *p = text; *p; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
            return jm_def_error(def, name, err, "the header %s has a control character", name);
    jm_http_header *header = &plan->headers[plan->n_headers++];
    header->name = jm_strdup(name);
    if (jm_template_text(text, JM_PLACE_HEADER, &header->value, &why))
        return jm_def_error(def, name, err, "%s", why.msg);
    header->is_private =
        jm_template_has_secret(header->value) || is_among(name, credentials, COUNT(credentials));
    return JM_OK;
}

static int compile_headers(jm_http_plan *plan, jm_def def, jm_err *err)
{
    json_t *headers = NULL, *value;
    const char *name;
    char pointer[80];
    if (jm_def_object(def, "headers", &headers, err))
        return err->code;
    plan->headers = jm_calloc(json_object_size(headers) + 1, sizeof *plan->headers);
    snprintf(pointer, sizeof pointer, "%s/headers", def.pointer);
    jm_def sub = {headers, pointer};
    json_object_foreach(headers, name,
                        value) if (compile_header(plan, sub, name, value, err)) return err->code;
    return JM_OK;
}

/* The literal value of a header, or NULL. */
static const char *header_of(jm_def def, const char *wanted)
{
    json_t *value;
    const char *name;
    json_object_foreach(json_object_get(def.object, "headers"), name, value)
    {
        if (!strcasecmp(name, wanted))
            return json_string_value(value);
    }
    return NULL;
}

/* ---- body ---- */

/* A string is text, in which values stand as its Content-Type asks; with nothing but one reference
 * it is JSON, as everything that is no string. */
static int compile_body(jm_http_plan *plan, jm_def def, jm_err *err)
{
    const json_t *body = json_object_get(def.object, "body");
    const char *type = header_of(def, "Content-Type");
    bool json_type = type && strcasestr(type, "json");
    jm_err why;
    if (!body)
        return JM_OK;
    if (!json_is_string(body)) {
        plan->content_type = "application/json";
        return jm_template_json(body, &plan->body, &why)
                   ? jm_def_error(def, "body", err, "%s", why.msg)
                   : JM_OK;
    }
    bool form = type && strcasestr(type, "x-www-form-urlencoded");
    const char *text = json_string_value(body);
    if (jm_template_text(text, form ? JM_PLACE_QUERY : JM_PLACE_TEXT, &plan->body, &why))
        return jm_def_error(def, "body", err, "%s", why.msg);
    plan->content_type = "text/plain; charset=utf-8";
    bool reference = jm_template_is_reference(plan->body);
    if (json_type && !reference && !jm_template_is_literal(plan->body))
        return jm_def_error(def, "body", err,
                            "values in JSON are escaped only where the body is JSON itself: write "
                            "{\"a\": \"${params.a}\"} instead of a string");
    if (!reference || (type && !json_type))
        return JM_OK;
    jm_template_free(plan->body);
    plan->body = NULL;
    plan->content_type = "application/json";
    return jm_template_json(body, &plan->body, err);
}

/* ---- the rest ---- */

static int compile_method(jm_http_plan *plan, jm_def def, jm_err *err)
{
    static const char *const methods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                          "PATCH", "DELETE", "OPTIONS"};
    int method = plan->body ? 2 : 0;
    if (jm_def_word(def, "method", methods, COUNT(methods), &method, err))
        return err->code;
    if (method == 1 && plan->body)
        return jm_def_error(def, "body", err, "a HEAD request has no body");
    snprintf(plan->method, sizeof plan->method, "%s", methods[method]);
    return JM_OK;
}

static int compile_expect(jm_http_plan *plan, jm_def def, jm_err *err)
{
    const json_t *expect = json_object_get(def.object, "expect");
    size_t n = json_is_array(expect) ? json_array_size(expect) : 1;
    if (!expect)
        return JM_OK;
    bool ok = n && n <= COUNT(plan->expect);
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *one = json_is_array(expect) ? json_array_get(expect, i) : expect;
        json_int_t status = json_integer_value(one);
        ok = json_is_integer(one) && status >= 200 && status <= 599;
        plan->expect[plan->n_expect++] = (short)status;
    }
    return ok ? JM_OK
              : jm_def_error(def, "expect", err,
                             "expect must be a status from 200 to 599, or a list of up to %zu",
                             COUNT(plan->expect));
}

static int compile_limits(jm_http_plan *plan, jm_def def, jm_err *err)
{
    double timeout_s = JM_HTTP_TIMEOUT_S;
    int max_bytes = JM_HTTP_MAX_BYTES;
    const char *sign = NULL;
    if (jm_def_number(def, "timeout_s", 0.01, 86400, &timeout_s, err) ||
        jm_def_int(def, "max_bytes", 0, JM_HTTP_MAX_BYTES_MOST, &max_bytes, err) ||
        jm_def_int(def, "redirects", 0, 20, &plan->redirects, err) ||
        jm_def_string(def, "sign", &sign, err))
        return err->code;
    if (sign && !jm_secret_name_ok(sign))
        return jm_def_error(def, "sign", err, "sign must be the name of a secret");
    plan->timeout_ms = (int)(timeout_s * 1000);
    plan->max_bytes = (size_t)max_bytes;
    plan->sign = jm_strdup(sign);
    return JM_OK;
}

int jm_http_plan_new(const json_t *config, const char *pointer, jm_http_plan **out, jm_err *err)
{
    static const char *const known[] = {"method",    "url",       "headers",   "body", "expect",
                                        "timeout_s", "max_bytes", "redirects", "sign"};
    jm_def def = {config, pointer};
    jm_http_plan *plan = jm_calloc(1, sizeof *plan);
    if (jm_def_known(def, known, COUNT(known), err) || compile_url(plan, def, err) ||
        compile_headers(plan, def, err) || compile_body(plan, def, err) ||
        compile_method(plan, def, err) || compile_expect(plan, def, err) ||
        compile_limits(plan, def, err)) {
        jm_http_plan_free(plan);
        return err->code;
    }
    if (plan->body && header_of(def, "Content-Type"))
        plan->content_type = NULL;
    *out = plan;
    return JM_OK;
}

void jm_http_plan_free(jm_http_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->n_headers; i++) {
        free(plan->headers[i].name);
        jm_template_free(plan->headers[i].value);
    }
    free(plan->headers);
    jm_template_free(plan->whole_url);
    jm_template_free(plan->path);
    jm_template_free(plan->query);
    jm_template_free(plan->body);
    free(plan->origin);
    free(plan->sign);
    free(plan);
}

bool jm_http_plan_expects(const jm_http_plan *plan, long status)
{
    for (size_t i = 0; i < plan->n_expect; i++)
        if (plan->expect[i] == status)
            return true;
    return !plan->n_expect && status >= 200 && status < 300;
}
