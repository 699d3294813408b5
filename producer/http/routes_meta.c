/* Routes about the API itself. */
#include "producer/http/routes.h"

#include "files/files.h"

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

/* The document that describes all routes. */
static void openapi(jm_req *req)
{
    jm_req_text(req, 200, "application/json", jm_file_openapi_v1_json.text,
                jm_file_openapi_v1_json.len);
}

const jm_api_route jm_routes_meta[] = {{"GET", "/openapi.json", JM_SCOPE_NONE, openapi, NULL},
                                       {"GET", "/whoami", JM_SCOPE_READ, who_am_i, NULL},
                                       {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
