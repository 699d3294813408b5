/* Routes of job types, as workers announce them. */
#include <stdlib.h>

#include "producer/http/routes.h"
#include "producer/service/types.h"

static void list(jm_req *req)
{
    jm_page page;
    json_t *items;
    char *next = NULL;
    jm_err err;
    if (!jm_req_get_page(req, &page))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_types_list(pg, &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_list(req, items, next);
    free(next);
}

static void show(jm_req *req)
{
    json_t *type;
    jm_err err;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_types_show(pg, jm_req_path(req, "name"), &type, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_ok(req, type);
}

const jm_api_route jm_routes_types[] = {
    {"GET", "/types", JM_SCOPE_READ, list, "limit offset cursor total"},
    {"GET", "/types/{name}", JM_SCOPE_READ, show, NULL},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
