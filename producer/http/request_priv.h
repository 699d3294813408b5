/* A request as the API keeps it. */
#ifndef JM_HTTP_REQUEST_PRIV_H
#define JM_HTTP_REQUEST_PRIV_H

#include <stdatomic.h>

#include "common/httpd.h"
#include "producer/http/api.h"
#include "producer/http/request.h"
#include "producer/service/replays.h"

enum { JM_REQ_SEGMENTS = 8, JM_REQ_ID = 64 };

struct jm_req {
    jm_api *api;
    jm_http_request *http;
    const jm_api_route *route; /* NULL: there is none */
    char *segments[JM_REQ_SEGMENTS];
    int n_segments;
    jm_pg *pg; /* borrowed from the pool, or NULL */
    json_t *body;
    int item; /* of it, that is being looked at, counted from 1; 0: the whole */
    _Atomic int
        holders;       /* its handler's thread, and who it was deferred to: the last one ends it */
    jm_replay *replay; /* its Idempotency-Key, or NULL */
    bool dry_run;
    bool counts; /* ?total=1, of a list */
    int64_t total;
    bool again, retried; /* the handler is to run once more; it has */
    char id[JM_REQ_ID + 1];
    /* Who asks. */
    jm_scope scope;
    char actor[140];
    char project[101]; /* "": all */
    char key_id[37];   /* "": none */
    bool is_session;
};

/* Cuts the path into its decoded segments; false: it cannot name anything. */
bool jm_req_split(jm_req *req, const char *path);
/* Who asks, by key or session; false: answered. */
bool jm_req_identify(jm_req *req);
/* Looks at the names and values of all parameters; false: answered. */
bool jm_req_check_query(jm_req *req);
/* A condition that would not be looked at is refused: who sends it relies on it. false: answered.
 */
bool jm_req_check_conditions(jm_req *req);
void jm_req_free(jm_req *req);
void jm_req_give_back(jm_req *req); /* its connection */
/* Whether the handler is run once more instead of an answer: one that only reads had a connection
 * that was gone when it was used. */
bool jm_req_runs_again(jm_req *req, const jm_err *err);

#endif
