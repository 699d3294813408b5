/* Requests and answers as handlers see them. */
#include <assert.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/httpd_priv.h"
#include "common/json_scan.h"
#include "common/mem.h"
#include "common/pg_batch.h"

/* ---- what came ---- */

static const char *look_up(jm_http_request *request, enum MHD_ValueKind kind, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(request->connection, kind, name, strlen(name), &value,
                                      &len) != MHD_YES)
        return NULL;
    return value ? value : "";
}

const char *jm_http_query(jm_http_request *request, const char *name)
{
    return look_up(request, MHD_GET_ARGUMENT_KIND, name);
}

const char *jm_http_header(jm_http_request *request, const char *name)
{
    return look_up(request, MHD_HEADER_KIND, name);
}

const char *jm_http_cookie(jm_http_request *request, const char *name)
{
    return look_up(request, MHD_COOKIE_KIND, name);
}

struct each {
    jm_http_each *fn;
    void *ctx;
};

static enum MHD_Result on_value(void *cls, enum MHD_ValueKind kind, const char *name, size_t len,
                                const char *value, size_t value_len)
{
    const struct each *each = cls;
    (void)kind, (void)len;
    return each->fn(each->ctx, name, value ? value : "", value_len) ? MHD_YES : MHD_NO;
}

void jm_http_query_each(jm_http_request *request, jm_http_each *fn, void *ctx)
{
    struct each each = {.fn = fn, .ctx = ctx};
    MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, on_value, &each);
}

const char *jm_http_path(const jm_http_request *request)
{
    return request->path;
}

const char *jm_http_method(const jm_http_request *request)
{
    return request->method;
}

const jm_buf *jm_http_body(const jm_http_request *request)
{
    return &request->body;
}

int64_t jm_http_started_us(const jm_http_request *request)
{
    return request->started_us;
}

const char *jm_http_peer(jm_http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!*request->peer &&
        (!info || getnameinfo(info->client_addr, sizeof(struct sockaddr_storage), request->peer,
                              sizeof request->peer, NULL, 0, NI_NUMERICHOST)))
        memcpy(request->peer, "?", 2);
    return request->peer;
}

/* ---- the answer ---- */

void jm_http_add_header(jm_http_request *request, const char *name, const char *value)
{
    assert(request->n_headers < JM_HTTP_HEADERS);
    request->headers[request->n_headers].name = name;
    request->headers[request->n_headers++].value = jm_strdup(value);
}

void jm_http_set_answer(jm_http_request *request, int status, struct MHD_Response *response,
                        size_t bytes)
{
    assert(!request->answered);
    for (int i = 0; i < request->n_headers; i++)
        MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    request->status = status;
    request->response = response;
    request->bytes = bytes;
    request->answered = true;
}

void jm_http_answer(jm_http_request *request, int status, const char *content_type,
                    const jm_buf *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->len, (void *)(uintptr_t)jm_buf_str(body), MHD_RESPMEM_MUST_COPY);
    if (!response)
        abort(); /* out of memory */
    if (content_type)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    jm_http_set_answer(request, status, response, body->len);
}

void jm_http_answer_json(jm_http_request *request, int status, const jm_buf *body)
{
    jm_http_answer(request, status, "application/json", body);
}

bool jm_http_is_answered(const jm_http_request *request)
{
    return request->answered;
}

int jm_http_status(const jm_http_request *request)
{
    return request->status;
}

size_t jm_http_answer_bytes(const jm_http_request *request)
{
    return request->bytes;
}

/* ---- problems ---- */

static const char *title_of(int status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},         {401, "Unauthorized"},       {403, "Forbidden"},
        {404, "Not Found"},           {405, "Method Not Allowed"}, {409, "Conflict"},
        {412, "Precondition Failed"}, {413, "Content Too Large"},  {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},   {503, "Service Unavailable"}};
    for (int i = 0; i < JM_COUNT(titles); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Internal Server Error";
}

/* A text as a JSON string. What it quotes may have been cut in the middle of a character: its bytes
 * become question marks. */
static void add_text(jm_buf *body, const char *text)
{
    size_t len = strlen(text), at = 0;
    char *copy = jm_strndup(text, len);
    while (at < len) {
        size_t n = 1;
        while (n < 4 && at + n < len && (copy[at + n] & 0xc0) == 0x80)
            n++;
        if (!jm_utf8_is_valid(copy + at, n, NULL))
            memset(copy + at, '?', n);
        at += n;
    }
    jm_buf_add_json(body, copy, len);
    free(copy);
}

static void add_member(jm_buf *body, const char *name, const char *value)
{
    jm_buf_addf(body, ",\"%s\":", name);
    add_text(body, value);
}

/* errors: a list in JSON, or NULL. */
void jm_http_problems(jm_http_request *request, int status, const char *code, const char *errors,
                      const char *detail)
{
    jm_buf body = {0};
    jm_buf_addf(&body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d", title_of(status),
                status);
    add_member(&body, "code", code);
    add_member(&body, "detail", detail);
    if (errors)
        jm_buf_addf(&body, ",\"errors\":%s", errors);
    jm_buf_adds(&body, "}\n");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED && !request->n_headers)
        jm_http_add_header(request, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    jm_http_answer(request, status, "application/problem+json", &body);
    jm_buf_fini(&body);
}

/* where: "parameter" or "pointer" of what is at fault. */
static void problem(jm_http_request *request, int status, const char *code, const char *where,
                    const char *culprit, const char *detail)
{
    jm_buf errors = {0};
    if (culprit) {
        jm_buf_addf(&errors, "[{\"%s\":", where);
        add_text(&errors, culprit);
        add_member(&errors, "detail", detail);
        jm_buf_adds(&errors, "}]");
    }
    jm_http_problems(request, status, code, culprit ? jm_buf_str(&errors) : NULL, detail);
    jm_buf_fini(&errors);
}

void jm_http_problem(jm_http_request *request, int status, const char *code, const char *parameter,
                     const char *detail)
{
    problem(request, status, code, "parameter", parameter, detail);
}

void jm_http_problem_at(jm_http_request *request, int status, const char *code, const char *pointer,
                        const char *detail)
{
    problem(request, status, code, "pointer", pointer, detail);
}

/* ---- answering later ---- */

void jm_http_finish(jm_http_request *request)
{
    request->stage = JM_HTTP_ANSWERED;
    MHD_resume_connection(request->connection);
}
