/* The audit log. A key that is bound to a project sees what was changed in it. */
#include <stdlib.h>

#include "producer/http/routes.h"
#include "producer/service/audit.h"

static void list(jm_req *req)
{
    jm_page page;
    json_t *items;
    char *next;
    jm_err err;
    jm_audit_filter filter = {.object = jm_req_query(req, "object"),
                              .object_id = jm_req_query(req, "object_id"),
                              .actor = jm_req_query(req, "actor"),
                              .action = jm_req_query(req, "action"),
                              .source = jm_req_query(req, "source"),
                              .request_id = jm_req_query(req, "request_id")};
    if (!jm_req_get_page(req, &page) || !jm_req_query_time(req, "from", &filter.from_us) ||
        !jm_req_query_time(req, "to", &filter.to_us) ||
        !jm_req_narrow(req, jm_req_query(req, "project"), &filter.project))
        return;
    filter.cursor = page.cursor;
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.total = page.total;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_audit_list(pg, &filter, &items, &next, &err)) {
        jm_req_fail(req, &err);
        return;
    }
    jm_req_list(req, items, next);
    free(next);
}

const jm_api_route jm_routes_audit[] = {
    {"GET", "/audit", JM_SCOPE_ADMIN, list,
     "limit offset cursor total object object_id actor action source project request_id from to"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
