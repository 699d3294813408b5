/* Sessions: a browser exchanges a key for a cookie that its scripts cannot read. */
#include <stdio.h>

#include "common/config.h"
#include "producer/http/api.h"
#include "producer/http/auth.h"
#include "producer/http/routes.h"
#include "producer/service/keys.h"

enum { SESSION_S = 28800 };

static void set_cookie(jm_req *req, const char *value, int seconds)
{
    const jm_config *config = jm_api_config(jm_req_api(req));
    bool tls = jm_config_bool(config, "http.behind_proxy") ||
               jm_config_str(config, "http.tls_cert_file") != NULL;
    char text[200];
    snprintf(text, sizeof text,
             "jobmill_session=%s; HttpOnly; SameSite=Strict; Path=/; Max-Age=%d%s", value, seconds,
             tls ? "; Secure" : "");
    jm_req_set_header(req, "Set-Cookie", text);
}

static void create(jm_req *req)
{
    struct jm_pg *pg;
    jm_change change;
    jm_key session;
    jm_err err;
    if (!jm_config_bool(jm_api_config(jm_req_api(req)), "database.enabled")) {
        jm_req_problem(req, 503, "database_away", NULL,
                       "sessions are kept in the database, and this producer has none");
        return;
    }
    if (!jm_req_key_id(req)) { /* [http] auth = off: there is nothing to exchange */
        jm_req_no_content(req);
        return;
    }
    if (!(pg = jm_req_pg(req)))
        return;
    jm_req_change(req, &change);
    if (jm_keys_open_session(pg, jm_req_key_id(req), SESSION_S, &change, &session, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    set_cookie(req, session.text, SESSION_S);
    jm_req_no_content(req);
}

static void end(jm_req *req)
{
    struct jm_pg *pg;
    jm_change change;
    jm_err err;
    if (!jm_req_is_session(req)) {
        jm_req_problem(req, 409, "conflict", NULL, "this request has a key and no session");
        return;
    }
    if (!(pg = jm_req_pg(req)))
        return;
    jm_req_change(req, &change);
    if (jm_keys_close_session(pg, jm_req_key_id(req), &change, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    jm_auth_forget(jm_api_auth(jm_req_api(req)), jm_req_key_id(req));
    set_cookie(req, "", 0);
    jm_req_no_content(req);
}

const jm_api_route jm_routes_session[] = {{"POST", "/session", JM_SCOPE_READ, create, NULL},
                                          {"DELETE", "/session", JM_SCOPE_READ, end, NULL},
                                          {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
