/* Routes about the API itself. */
#include "producer/http/routes.h"

static const char *word_of(const jm_req *req)
{
    return jm_req_may(req, JM_SCOPE_ADMIN)    ? "admin"
           : jm_req_may(req, JM_SCOPE_SUBMIT) ? "submit"
                                              : "read";
}

/* Who asks, and what that one may do. */
static void who_am_i(jm_req *req)
{
    jm_req_ok(req, json_pack("{s:s, s:s, s:s?}", "actor", jm_req_actor(req), "scope", word_of(req),
                             "project", jm_req_project(req)));
}

const jm_api_route jm_routes_meta[] = {{"GET", "/whoami", JM_SCOPE_READ, who_am_i, NULL},
                                       {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
