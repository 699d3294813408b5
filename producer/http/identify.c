/* Who asks: the key of a request, by one of three ways, and what follows from it. */
#include <string.h>

#include "producer/http/auth.h"
#include "producer/http/request_priv.h"

#define COOKIE "jobmill_session"

/* ---- from where ---- */

/* The last address of X-Forwarded-For is the one that the proxy itself has seen. */
const char *jm_req_address(const jm_req *req)
{
    const char *list = NULL;
    if (jm_config_bool(jm_api_config(req->api), "http.behind_proxy"))
        list = jm_req_header(req, "X-Forwarded-For");
    const char *comma = list ? strrchr(list, ',') : NULL;
    const char *last = comma ? comma + 1 : list;
    if (last)
        last += strspn(last, " \t");
    size_t len = last ? strspn(last, "0123456789abcdefABCDEF.:[]") : 0;
    return len && len <= 60 && !last[len] ? last : jm_http_peer(req->http);
}

/* ---- the key ---- */

/* NULL: there is none. *cookie: a browser has sent it by itself. */
static const char *find_key(const jm_req *req, bool *cookie)
{
    const char *key = jm_req_header(req, "X-API-Key");
    const char *authorization = jm_req_header(req, "Authorization");
    *cookie = false;
    if (key)
        return key;
    if (authorization && !strncasecmp(authorization, "Bearer ", 7))
        return authorization + 7 + strspn(authorization + 7, " ");
    *cookie = true;
    return jm_http_cookie(req->http, COOKIE);
}

static void refuse(jm_req *req, bool given)
{
    jm_req_set_header(req, "WWW-Authenticate", "Bearer");
    if (given)
        jm_req_problem(req, 401, "bad_key", NULL,
                       "there is no such key, or it was revoked or has expired");
    else
        jm_req_problem(req, 401, "no_key", NULL,
                       "this needs a key in X-API-Key or Authorization: Bearer; jobmill key create "
                       "makes one");
}

static void refuse_rate(jm_req *req, int retry_after_s, const jm_err *err)
{
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", retry_after_s);
    jm_req_set_header(req, "Retry-After", seconds);
    jm_req_problem(req, 429, "rate_limited", NULL, "%s", err->msg);
}

/* Another site can make a browser send the cookie, but neither of these headers. */
static bool is_from_our_page(const jm_req *req)
{
    const char *method = jm_http_method(req->http);
    const char *site = jm_req_header(req, "Sec-Fetch-Site");
    return !strcmp(method, "GET") || !strcmp(method, "HEAD") ||
           jm_req_header(req, "X-Requested-With") || (site && !strcmp(site, "same-origin"));
}

static void take(jm_req *req, const jm_identity *who)
{
    req->scope = who->scope;
    req->is_session = who->is_session;
    memcpy(req->actor, who->actor, sizeof req->actor);
    memcpy(req->project, who->project, sizeof req->project);
    memcpy(req->key_id, who->key_id, sizeof req->key_id);
}

bool jm_req_identify(jm_req *req)
{
    jm_identity who = {0};
    jm_err err = {0};
    bool cookie;
    int retry_after_s = 1;
    const char *key = find_key(req, &cookie);
    int rc = jm_auth_check(jm_api_auth(req->api), key ? key : "", key ? strlen(key) : 0, &who,
                           &retry_after_s, &err);
    if (rc == JM_ERR_NOT_FOUND)
        refuse(req, key != NULL);
    else if (rc == JM_ERR_TIMEOUT)
        refuse_rate(req, retry_after_s, &err);
    else if (rc)
        jm_req_fail(req, &err);
    else if (who.key_id[0] && cookie && !is_from_our_page(req))
        jm_req_problem(req, 403, "cross_site", NULL,
                       "a change with a session's cookie needs the header X-Requested-With");
    else
        take(req, &who);
    return !jm_http_is_answered(req->http);
}

const char *jm_req_key_id(const jm_req *req)
{
    return *req->key_id ? req->key_id : NULL;
}

bool jm_req_is_session(const jm_req *req)
{
    return req->is_session;
}

struct jm_key_hold *jm_req_hold(const jm_req *req)
{
    return jm_auth_hold(jm_api_auth(req->api), req->key_id);
}
