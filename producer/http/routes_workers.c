/* Routes of workers and producers that have registered. */
#include <stdlib.h>

#include "producer/http/routes.h"
#include "producer/service/workers.h"

static void list(jm_req *req)
{
    jm_page page;
    json_t *items;
    char *next = NULL;
    bool all;
    jm_err err;
    if (!jm_req_get_page(req, &page) || !jm_req_query_bool(req, "all", false, &all))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_workers_list(pg, all, &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_list(req, items, next);
    free(next);
}

static void show(jm_req *req)
{
    json_t *worker;
    jm_err err;
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_workers_show(pg, jm_req_path(req, "id"), &worker, &err))
        jm_req_fail(req, &err);
    else if (pg)
        jm_req_ok(req, worker);
}

const jm_api_route jm_routes_workers[] = {
    {"GET", "/workers", JM_SCOPE_READ, list, "limit offset cursor total all"},
    {"GET", "/workers/{id}", JM_SCOPE_READ, show, NULL},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
