/* Answers of the API. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/json_scan.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/http/request_priv.h"

enum { REASON_MAX = 1000 };

/* ---- values ---- */

void jm_req_answer(jm_req *req, int status, json_t *value)
{
    jm_buf body = {0};
    char *text = jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY);
    jm_buf_adds(&body, text);
    jm_buf_adds(&body, "\n");
    free(text);
    json_decref(value);
    if (req->replay)
        jm_buf_add(&req->replay->body, body.data, body.len);
    jm_http_answer_json(req->http, status, &body);
    jm_buf_fini(&body);
}

void jm_req_ok(jm_req *req, json_t *value)
{
    jm_req_answer(req, 200, value);
}

void jm_req_created(jm_req *req, const char *location, json_t *value)
{
    jm_req_set_header(req, "Location", location);
    jm_req_answer(req, 201, value);
}

void jm_req_no_content(jm_req *req)
{
    jm_buf none = {0};
    jm_http_answer(req->http, 204, NULL, &none);
}

void jm_req_text(jm_req *req, int status, const char *content_type, const char *text, size_t len)
{
    jm_buf body = {0};
    jm_buf_add(&body, text, len);
    jm_http_answer(req->http, status, content_type, &body);
    jm_buf_fini(&body);
}

void jm_req_set_header(jm_req *req, const char *name, const char *value)
{
    if (req->replay && !strcmp(name, "Location"))
        req->replay->location = jm_strdup(value);
    else if (req->replay && !strcmp(name, "ETag"))
        req->replay->etag = jm_strdup(value);
    jm_http_add_header(req->http, name, value);
}

/* ---- lists ---- */

static void add_encoded(jm_buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            jm_buf_addc(out, *text);
        else if ((c >= '0' && c <= '9') || strchr("-._~", *text))
            jm_buf_addc(out, *text);
        else
            jm_buf_addf(out, "%%%02X", c);
    }
}

/* All parameters but where the page begins. */
static bool add_parameter(void *ctx, const char *name, const char *value, size_t len)
{
    jm_buf *link = ctx;
    (void)len;
    if (!strcmp(name, "cursor") || !strcmp(name, "offset"))
        return true;
    add_encoded(link, name);
    jm_buf_addc(link, '=');
    add_encoded(link, value);
    jm_buf_addc(link, '&');
    return true;
}

void jm_req_list(jm_req *req, json_t *items, const char *next)
{
    json_t *list = json_pack("{s:o, s:s?}", "items", items, "next", next);
    if (req->counts)
        json_object_set_new(list, "total", json_integer(req->total));
    if (next) {
        jm_buf link = {0};
        jm_buf_addf(&link, "<%s?", jm_http_path(req->http));
        jm_http_query_each(req->http, add_parameter, &link);
        jm_buf_adds(&link, "cursor=");
        add_encoded(&link, next);
        jm_buf_adds(&link, ">; rel=\"next\"");
        jm_req_set_header(req, "Link", jm_buf_str(&link));
        jm_buf_fini(&link);
    }
    jm_req_ok(req, list);
}

/* ---- versions ---- */

void jm_req_etag(jm_req *req, int64_t version)
{
    char text[32];
    snprintf(text, sizeof text, "\"%lld\"", (long long)version);
    jm_req_set_header(req, "ETag", text);
}

bool jm_req_if_match(jm_req *req, int64_t *version)
{
    const char *text = jm_req_header(req, "If-Match");
    char *end = NULL;
    *version = 0;
    if (!text || !strcmp(text, "*"))
        return true;
    if (!strncmp(text, "W/", 2))
        text += 2;
    if (*text == '"' && strspn(text + 1, "0123456789") < 19)
        *version = strtoll(text + 1, &end, 10);
    if (end && end > text + 1 && !strcmp(end, "\"") && *version > 0)
        return true;
    jm_req_problem(req, 400, "bad_header", NULL,
                   "If-Match is %.60s, needs an ETag that an answer had, such as \"3\"", text);
    return false;
}

/* Schedules and documents have versions, and what changes them looks at If-Match. */
static bool heeds_if_match(const jm_api_route *route)
{
    static const char *const posts[] = {"enable", "disable", "pause", "resume", "rollback"};
    static const char *const versioned[] = {"/schedules/{id}", "/documents/{name}"};
    for (size_t i = 0; i < sizeof versioned / sizeof *versioned; i++) {
        size_t len = strlen(versioned[i]);
        if (strncmp(route->path, versioned[i], len) != 0)
            continue;
        if (!route->path[len])
            return true;
        for (size_t k = 0; k < sizeof posts / sizeof *posts; k++)
            if (!strcmp(route->path + len + 1, posts[k]))
                return true;
    }
    return false;
}

/* A reason for the audit log. */
static bool is_short_text(const char *text)
{
    size_t n = 0;
    if (!jm_utf8_is_valid((const unsigned char *)text, strlen(text), NULL))
        return false;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n <= REASON_MAX;
}

bool jm_req_check_conditions(jm_req *req)
{
    const char *match = jm_req_header(req, "If-Match"), *reason = jm_req_header(req, "X-Reason");
    if (!strcmp(req->route->method, "GET"))
        return true;
    if (reason && !is_short_text(reason))
        jm_req_problem(req, 400, "bad_header", NULL,
                       "X-Reason needs to be UTF-8 of at most %d characters", REASON_MAX);
    else if (jm_req_header(req, "If-None-Match"))
        jm_req_problem(req, 400, "bad_header", NULL,
                       "If-None-Match is not looked at here: POST to the list makes only what is "
                       "not there yet");
    else if (match && strcmp(match, "*") != 0 && !heeds_if_match(req->route))
        jm_req_problem(req, 400, "bad_header", NULL,
                       "If-Match is not looked at here: schedules and documents have versions");
    return !jm_http_is_answered(req->http);
}

/* ---- problems ---- */

void jm_req_problem(jm_req *req, int status, const char *code, const char *field, const char *fmt,
                    ...)
{
    char detail[700], inside[200];
    va_list args;
    if (jm_http_is_answered(req->http))
        return;
    if (req->item && field && *field != '?') {
        snprintf(inside, sizeof inside, "/%d%s", req->item - 1, field);
        field = inside;
    }
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    if (field && *field == '?')
        jm_http_problem(req->http, status, code, field + 1, detail);
    else
        jm_http_problem_at(req->http, status, code, field, detail);
}

void jm_req_inside(jm_req *req, int item)
{
    req->item = item + 1;
}

void jm_req_problems(jm_req *req, int status, const char *code, json_t *errors, const char *detail)
{
    char *text = json_dumps(errors, JSON_COMPACT);
    if (!jm_http_is_answered(req->http))
        jm_http_problems(req->http, status, code, text, detail);
    free(text);
    json_decref(errors);
}

static const struct failure {
    int code, status;
    const char *word;
} failures[] = {{JM_ERR_INVALID, 400, "invalid"},
                {JM_ERR_UNSUPPORTED, 400, "unsupported"},
                {JM_ERR_NOT_FOUND, 404, "not_found"},
                {JM_ERR_CONFLICT, 409, "conflict"},
                {JM_ERR_DB_DOWN, 503, "database_away"},
                {JM_ERR_TIMEOUT, 503, "busy"},
                {JM_ERR_KAFKA, 503, "kafka_away"},
                {JM_ERR_CLOSED, 503, "stopping"},
                {0, 0, NULL}};

/* What PostgreSQL refuses about a value is the caller's; what it cannot do now may be asked again.
 */
static struct failure judge(const jm_err *err)
{
    if (err->code == JM_ERR_DB &&
        (!strncmp(err->sqlstate, "22", 2) || !strncmp(err->sqlstate, "23", 2)))
        return (struct failure){JM_ERR_DB, 400, "invalid"};
    if (err->code == JM_ERR_DB &&
        (err->retriable || !strncmp(err->sqlstate, "57", 2) || !strncmp(err->sqlstate, "53", 2)))
        return (struct failure){JM_ERR_DB, 503, "busy"};
    const struct failure *f = failures;
    while (f->word && f->code != err->code)
        f++;
    return f->word ? *f : (struct failure){err->code, 500, "internal"};
}

/* Somebody has changed it since the one who asks has looked. */
static bool is_outdated(const jm_req *req, const jm_err *err)
{
    return err->code == JM_ERR_CONFLICT && !strcmp(err->field, "version") &&
           jm_req_header(req, "If-Match");
}

/* Where it is and how it was lost is not for those outside: the program's own log says it. */
static const char *words_of(const jm_err *err)
{
    if (err->code == JM_ERR_DB_DOWN)
        return "the database is away: try again in a moment";
    if (err->code == JM_ERR_DB)
        return "the database could not do this just now: try again in a moment";
    return err->msg;
}

/* Whether a text has it as a word of its own. */
static bool mentions(const char *text, const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t len = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        if ((at == text || !strchr(letters, at[-1])) && (!at[len] || !strchr(letters, at[len])))
            return true;
    return false;
}

/* The word by which programs know why submit() refuses is not for people. */
static void cut_reason(char *text)
{
    char *at = strstr(text, "; reason: ");
    const char *rest = at ? at + 10 + strspn(at + 10, "abcdefghijklmnopqrstuvwxyz_") : NULL;
    if (at)
        memmove(at, rest, strlen(rest) + 1);
}

const char *jm_req_words(const jm_err *err, char words[JM_REQ_WORDS])
{
    const char *name = err->field + strlen(err->field);
    while (name > err->field && name[-1] != '.' && name[-1] != ']')
        name--;
    if (!*name || mentions(err->msg, name))
        snprintf(words, JM_REQ_WORDS, "%s", err->msg);
    else
        snprintf(words, JM_REQ_WORDS, "%s: %s", name, err->msg);
    cut_reason(words);
    return words;
}

void jm_req_fail(jm_req *req, const jm_err *err)
{
    char words[JM_REQ_WORDS];
    jm_buf where = {0};
    struct failure f = judge(err);
    if (is_outdated(req, err)) {
        jm_req_problem(req, 412, "version_mismatch", NULL, "%s", err->msg);
        return;
    }
    if (f.status == 500) { /* what is inside is not for those outside */
        jm_log_kv(JM_ERROR, "http", err->msg, "request_id", req->id, NULL);
        jm_req_problem(req, 500, f.word, NULL, "something went wrong; the log has it as request %s",
                       req->id);
        return;
    }
    if (jm_req_runs_again(req, err))
        return;
    if (f.status == 503)
        jm_req_set_header(req, "Retry-After", "1");
    bool reads = !strcmp(req->route->method, "GET");
    if (!req->body && (reads || jm_req_query(req, err->field))) /* a parameter */
        jm_buf_addf(&where, "?%s", err->field);
    else
        jm_buf_add_pointer(&where, err->field, strlen(err->field));
    jm_req_problem(req, f.status, f.word, *err->field ? jm_buf_str(&where) : NULL, "%s",
                   f.status == 503 ? words_of(err) : jm_req_words(err, words));
    jm_buf_fini(&where);
}

/* ---- later ---- */

void jm_req_defer(jm_req *req)
{
    jm_req_give_back(req);
    atomic_fetch_add(&req->holders, 1);
}

jm_http_stream *jm_req_stream(jm_req *req)
{
    return jm_http_answer_stream(req->http, 200, "text/event-stream; charset=utf-8");
}
