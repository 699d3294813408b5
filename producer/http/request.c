/* What is in a request of the API, and who asks. */
#include "producer/http/request.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "common/json_scan.h"
#include "common/mem.h"
#include "common/nearest.h"
#include "producer/http/request_priv.h"

enum { LIMIT = 50, MAX_LIMIT = 1000 };

/* ---- paths ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: no text that can be a name. */
static char *decode(const char *from, size_t len)
{
    char *text = jm_malloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int high = 0, low = 0;
        if (from[i] != '%') {
            text[n++] = from[i];
            continue;
        }
        if (i + 2 >= len || (high = hex(from[i + 1])) < 0 || (low = hex(from[i + 2])) < 0)
            goto bad;
        text[n++] = (char)(high << 4 | low);
        i += 2;
    }
    text[n] = 0;
    if (n && strlen(text) == n && jm_utf8_is_valid((const unsigned char *)text, n, NULL))
        return text;
bad:
    free(text);
    return NULL;
}

bool jm_req_split(jm_req *req, const char *path)
{
    while (*path == '/') {
        size_t len = strcspn(++path, "/");
        char *segment = req->n_segments < JM_REQ_SEGMENTS ? decode(path, len) : NULL;
        if (!segment)
            return false;
        req->segments[req->n_segments++] = segment;
        path += len;
    }
    return !*path;
}

const char *jm_req_path(const jm_req *req, const char *name)
{
    const char *path = req->route->path;
    size_t len = strlen(name);
    for (int i = 0; i < req->n_segments; i++) {
        path++; /* the slash */
        if (*path == '{' && !strncmp(path + 1, name, len) && path[len + 1] == '}')
            return req->segments[i];
        path += strcspn(path, "/");
    }
    return "";
}

/* ---- parameters ---- */

struct query_check {
    jm_req *req;
    const char *seen[32];
    int n;
};

/* Whether the route takes a parameter: words of its list, or what begins like one that ends in *.
 */
static bool takes(const char *words, const char *name)
{
    for (const char *word = words; word && *word;) {
        size_t len = strcspn(word, " ");
        bool prefix = word[len - 1] == '*';
        if (prefix ? !strncmp(word, name, len - 1) && name[len - 1]
                   : strlen(name) == len && !memcmp(word, name, len))
            return true;
        word += len + strspn(word + len, " ");
    }
    return false;
}

static void refuse_unknown(jm_req *req, const char *name)
{
    const char *known[32], *near = NULL;
    size_t n = 0;
    char words[400] = "", where[120];
    snprintf(words, sizeof words, "%s", req->route->query ? req->route->query : "");
    for (char *save, *word = strtok_r(words, " ", &save); word && n < 32;
         word = strtok_r(NULL, " ", &save))
        known[n++] = word;
    near = jm_nearest(name, known, n);
    snprintf(where, sizeof where, "?%.100s", name);
    jm_req_problem(req, 400, "unknown_parameter", where, "there is no parameter %.100s here%s%s%s",
                   name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static bool on_parameter(void *ctx, const char *name, const char *value, size_t len)
{
    struct query_check *check = ctx;
    jm_req *req = check->req;
    char where[120];
    snprintf(where, sizeof where, "?%.100s", name);
    if (!*name && !len) {
        return true; /* of an & too many */
    } else if (!jm_utf8_is_valid((const unsigned char *)name, strlen(name), NULL)) {
        jm_req_problem(req, 400, "bad_parameter", NULL, "the name of a parameter is no UTF-8");
    } else if (!takes(req->route->query, name)) {
        refuse_unknown(req, name);
    } else if (strlen(value) != len || !jm_utf8_is_valid((const unsigned char *)value, len, NULL)) {
        jm_req_problem(req, 400, "bad_parameter", where, "%.100s is no UTF-8 text without U+0000",
                       name);
    } else {
        for (int i = 0; i < check->n; i++)
            if (!strcmp(check->seen[i], name))
                jm_req_problem(req, 400, "bad_parameter", where, "%.100s is there twice", name);
        if (check->n < 32)
            check->seen[check->n++] = name;
    }
    return !jm_http_is_answered(req->http);
}

bool jm_req_check_query(jm_req *req)
{
    struct query_check check = {.req = req};
    jm_http_query_each(req->http, on_parameter, &check);
    return !jm_http_is_answered(req->http) &&
           jm_req_query_bool(req, "dry_run", false, &req->dry_run);
}

const char *jm_req_query(const jm_req *req, const char *name)
{
    return jm_http_query(req->http, name);
}

struct group {
    const char *prefix;
    json_t *found;
};

static bool add_to_group(void *ctx, const char *name, const char *value, size_t len)
{
    struct group *group = ctx;
    size_t skip = strlen(group->prefix);
    if (strncmp(name, group->prefix, skip) != 0 || !name[skip])
        return true;
    if (!group->found)
        group->found = json_object();
    json_object_set_new(group->found, name + skip, json_stringn(value, len));
    return true;
}

json_t *jm_req_query_group(const jm_req *req, const char *prefix)
{
    struct group group = {.prefix = prefix};
    jm_http_query_each(req->http, add_to_group, &group);
    return group.found;
}

const char *jm_req_header(const jm_req *req, const char *name)
{
    return jm_http_header(req->http, name);
}

const char *jm_req_last_event(const jm_req *req)
{
    const char *last = jm_req_header(req, "Last-Event-ID");
    return last && *last ? last : NULL; /* what has come had no id */
}

static bool refuse_parameter(jm_req *req, const char *name, const char *needs)
{
    char where[120];
    snprintf(where, sizeof where, "?%.100s", name);
    jm_req_problem(req, 400, "bad_parameter", where, "%s is \"%.100s\", needs %s", name,
                   jm_req_query(req, name), needs);
    return false;
}

bool jm_req_query_int(jm_req *req, const char *name, int64_t def, int64_t min, int64_t max,
                      int64_t *out)
{
    const char *text = jm_req_query(req, name);
    char needs[80], *end = NULL;
    *out = def;
    if (!text)
        return true;
    size_t digits = strspn(text + (*text == '-'), "0123456789");
    if (digits && digits < 19 && !text[digits + (*text == '-')])
        *out = strtoll(text, &end, 10);
    if (end && *out >= min && *out <= max)
        return true;
    snprintf(needs, sizeof needs, "a number from %lld to %lld", (long long)min, (long long)max);
    return refuse_parameter(req, name, needs);
}

bool jm_req_query_bool(jm_req *req, const char *name, bool def, bool *out)
{
    const char *text = jm_req_query(req, name);
    *out = def;
    if (!text)
        return true;
    *out = !strcmp(text, "1") || !strcmp(text, "true");
    return *out || !strcmp(text, "0") || !strcmp(text, "false") ||
           refuse_parameter(req, name, "true or false");
}

struct query_object {
    json_t *object;
    const char *prefix;
};

static bool add_member(void *ctx, const char *name, const char *value, size_t len)
{
    const struct query_object *query = ctx;
    size_t n = strlen(query->prefix);
    (void)len; /* all parameters have been looked at: they are texts */
    if (!strncmp(name, query->prefix, n) && name[n])
        json_object_set_new(query->object, name + n, json_string(value));
    return true;
}

json_t *jm_req_query_object(const jm_req *req, const char *prefix)
{
    struct query_object query = {json_object(), prefix};
    jm_http_query_each(req->http, add_member, &query);
    return query.object;
}

/* The + of a zone that came as it is has become a space. */
static int parse_time(const char *given, int64_t *us, jm_err *err)
{
    char text[64];
    size_t len = strlen(given);
    if (len >= sizeof text)
        return JM_ERR_INVALID;
    memcpy(text, given, len + 1);
    char *space = strrchr(text, ' ');
    if (space && space - text > 10)
        *space = '+';
    return jm_rfc3339_parse(text, len, us, err);
}

bool jm_req_query_time(jm_req *req, const char *name, int64_t *us)
{
    const char *text = jm_req_query(req, name);
    jm_err err;
    *us = 0;
    if (text && parse_time(text, us, &err))
        return refuse_parameter(req, name, "a time such as 2026-11-22T14:30:00Z");
    if (text && !*us)
        *us = -1; /* 1970 to the microsecond, which is no reason to leave the filter out */
    return true;
}

bool jm_req_get_page(jm_req *req, jm_page *page)
{
    page->cursor = jm_req_query(req, "cursor");
    if (!jm_req_query_int(req, "limit", LIMIT, 1, MAX_LIMIT, &page->limit) ||
        !jm_req_query_int(req, "offset", 0, 0, INT32_MAX, &page->offset) ||
        !jm_req_query_bool(req, "total", false, &req->counts))
        return false;
    page->total = req->counts ? &req->total : NULL;
    return !page->cursor || !page->offset ||
           refuse_parameter(req, "offset", "to be left out where there is a cursor");
}

/* ---- bodies ---- */

static bool is_json(const char *type)
{
    size_t len = strcspn(type, "; \t");
    return (len == 16 && !strncasecmp(type, "application/json", len)) ||
           (len > 5 && !strncasecmp(type + len - 5, "+json", 5));
}

bool jm_req_body_is_plain(jm_req *req)
{
    const char *coding = jm_req_header(req, "Content-Encoding");
    if (!coding || !*coding || !strcasecmp(coding, "identity"))
        return true;
    jm_req_problem(req, 415, "unsupported_media_type", NULL,
                   "the body has Content-Encoding %.60s: send it as it is, without", coding);
    return false;
}

static bool load(jm_req *req)
{
    const jm_buf *body = jm_http_body(req->http);
    const char *type = jm_req_header(req, "Content-Type");
    jm_err err;
    if (!jm_req_body_is_plain(req))
        return false;
    if (type && !is_json(type)) {
        jm_req_problem(req, 415, "unsupported_media_type", NULL,
                       "the body is %.100s, needs Content-Type: application/json",
                       *type ? type : "of no type");
        return false;
    }
    if (jm_json_exact_load(jm_buf_str(body), body->len, &req->body, &err)) {
        jm_req_problem(req, 400, "bad_json", NULL, "%s", err.msg);
        return false;
    }
    return true;
}

const json_t *jm_req_body(jm_req *req, json_type type)
{
    if (req->body || !jm_http_body(req->http)->len) {
        if (!req->body)
            jm_req_problem(req, 400, "bad_json", NULL, "there is no body, needs JSON");
    } else if (!load(req)) {
        return NULL;
    }
    if (req->body && json_typeof(req->body) != type) {
        jm_req_problem(req, 400, "bad_json", NULL, "the body must be %s",
                       type == JSON_OBJECT ? "an object" : "a list");
        return NULL;
    }
    return req->body;
}

const json_t *jm_req_body_or_empty(jm_req *req)
{
    if (!req->body && !jm_http_body(req->http)->len)
        req->body = json_object();
    return jm_req_body(req, JSON_OBJECT);
}

const char *jm_req_body_text(const jm_req *req, size_t *len)
{
    const jm_buf *body = jm_http_body(req->http);
    if (len)
        *len = body->len;
    return jm_buf_str(body);
}

bool jm_req_body_members(jm_req *req, const json_t *body, const char *const *names)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    char where[120];
    while (names[n])
        n++;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        size_t i = 0;
        while (i < n && strcmp(names[i], name) != 0)
            i++;
        if (i < n)
            continue;
        const char *near = jm_nearest(name, names, n);
        snprintf(where, sizeof where, "/%.100s", name);
        jm_req_problem(req, 400, "unknown_field", where, "there is no field %.100s here%s%s%s",
                       name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        return false;
    }
    return true;
}

bool jm_req_body_string(jm_req *req, const json_t *body, const char *name, bool required,
                        const char **text)
{
    const json_t *value = json_object_get(body, name);
    const char *given = jm_json_exact_number(value) ? NULL : jm_json_exact_text(value);
    char where[80];
    if (text)
        *text = given;
    if (value ? given != NULL : !required)
        return true;
    snprintf(where, sizeof where, "/%s", name);
    jm_req_problem(req, 400, "invalid", where, "%s must be text", name);
    return false;
}

/* ---- who asks ---- */

const char *jm_req_project(const jm_req *req)
{
    return *req->project ? req->project : NULL;
}

static bool hide(jm_req *req, const char *what, const char *id)
{
    jm_req_problem(req, 404, "not_found", NULL, "there is no %s %.200s", what, id);
    return false;
}

bool jm_req_narrow(jm_req *req, const char *asked, const char **project)
{
    *project = asked ? asked : jm_req_project(req);
    return !asked || !*req->project || !strcmp(asked, req->project) || hide(req, "project", asked);
}

bool jm_req_sees(jm_req *req, const char *project, const char *what, const char *id)
{
    return !*req->project || (project && !strcmp(project, req->project)) || hide(req, what, id);
}

bool jm_req_may(const jm_req *req, jm_scope scope)
{
    return req->scope >= scope;
}

const char *jm_req_actor(const jm_req *req)
{
    return req->actor;
}

const char *jm_req_id(const jm_req *req)
{
    return req->id;
}

void jm_req_change(jm_req *req, jm_change *change)
{
    *change = (jm_change){.actor = req->actor,
                          .source = "api",
                          .address = jm_req_address(req),
                          .request_id = req->id,
                          .reason = jm_req_header(req, "X-Reason"),
                          .dry_run = req->dry_run};
}

bool jm_req_idempotency_key(jm_req *req, const char **key)
{
    *key = jm_req_header(req, "Idempotency-Key");
    if (!*key || (**key && strlen(*key) <= JM_REPLAY_KEY_MAX))
        return true;
    jm_req_problem(req, 400, "bad_header", NULL, "Idempotency-Key needs 1 to %d characters",
                   JM_REPLAY_KEY_MAX);
    return false;
}

/* ---- what it borrows ---- */

struct jm_api *jm_req_api(const jm_req *req)
{
    return req->api;
}

struct jm_pg *jm_req_pg(jm_req *req)
{
    jm_err err;
    if (!req->pg && jm_pg_pool_lend(jm_api_pool(req->api), &req->pg, &err))
        jm_req_fail(req, &err);
    return req->pg;
}

void jm_req_give_back(jm_req *req)
{
    if (req->pg)
        jm_pg_pool_give_back(jm_api_pool(req->api), req->pg);
    req->pg = NULL;
}

void jm_req_free(jm_req *req)
{
    jm_req_give_back(req);
    for (int i = 0; i < req->n_segments; i++)
        free(req->segments[i]);
    json_decref(req->body);
    free(req);
}
