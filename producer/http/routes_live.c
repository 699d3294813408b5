/* Routes that go on: what happens, as server-sent events. */
#include "producer/http/live.h"
#include "producer/http/routes.h"
#include "producer/http/tail.h"

static void follow_state(jm_req *req)
{
    jm_live_follow(req, JM_LIVE_STATE);
}

const jm_api_route jm_routes_live[] = {
    {"GET", "/events", JM_SCOPE_READ, jm_tail_listen, "project type"},
    {"GET", "/jobs/{id}/events", JM_SCOPE_READ, follow_state, NULL},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
