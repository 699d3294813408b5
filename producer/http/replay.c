/* Carries out a request that changes something once, however often it comes. */
#include "producer/http/replay.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "producer/http/request_priv.h"

/* A submission has its own way, and of a key of the API the answer is not for keeping: both are
 * x-replay: false in the document. */
static bool takes_key(const jm_api_route *route)
{
    return !strcmp(route->method, "POST") && route->scope >= JM_SCOPE_SUBMIT &&
           strcmp(route->path, "/jobs") != 0 && strcmp(route->path, "/keys") != 0;
}

/* ---- what the request is ---- */

static bool digest(void *ctx, const char *name, const char *value, size_t len)
{
    EVP_DigestUpdate(ctx, name, strlen(name) + 1);
    EVP_DigestUpdate(ctx, value ? value : "", value ? len : 0);
    return EVP_DigestUpdate(ctx, "", 1);
}

static void take_fingerprint(jm_req *req)
{
    size_t len;
    const char *body = jm_req_body_text(req, &len), *path = jm_http_path(req->http);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        abort(); /* out of memory */
    digest(ctx, "", path, strlen(path));
    jm_http_query_each(req->http, digest, ctx);
    EVP_DigestUpdate(ctx, body, len);
    EVP_DigestFinal_ex(ctx, req->replay->fingerprint, NULL);
    EVP_MD_CTX_free(ctx);
}

/* ---- before and after ---- */

static void answer_again(jm_req *req)
{
    jm_replay *replay = req->replay;
    jm_req_set_header(req, "Idempotency-Replayed", "true");
    if (replay->location)
        jm_http_add_header(req->http, "Location", replay->location);
    if (replay->etag)
        jm_http_add_header(req->http, "ETag", replay->etag);
    if (replay->body.len)
        jm_http_answer_json(req->http, replay->status, &replay->body);
    else
        jm_req_no_content(req);
}

static void answer_instead(jm_req *req, jm_replay_state state)
{
    const char *key = req->replay->key;
    switch (state) {
    case JM_REPLAY_ANSWERED:
        answer_again(req);
        break;
    case JM_REPLAY_BUSY:
        jm_req_set_header(req, "Retry-After", "1");
        jm_req_problem(req, 409, "idempotency_busy", NULL,
                       "a request with the Idempotency-Key %.100s is being carried out", key);
        break;
    case JM_REPLAY_OTHER:
        jm_req_problem(req, 409, "idempotency_conflict", NULL,
                       "the Idempotency-Key %.100s was used for another request: give each request "
                       "a key of its own",
                       key);
        break;
    default:
        jm_req_problem(req, 409, "idempotency_unanswered", NULL,
                       "the request with the Idempotency-Key %.100s was carried out and its answer "
                       "was lost: look at what it was to change",
                       key);
    }
}

/* It has no answer to keep: what it was given is another's. */
static void forget(jm_req *req)
{
    jm_replay_fini(req->replay);
    free(req->replay);
    req->replay = NULL;
}

bool jm_replay_begin(jm_req *req)
{
    const char *key;
    jm_replay_state state;
    jm_err err;
    if (!takes_key(req->route))
        return true;
    if (!jm_req_idempotency_key(req, &key))
        return false;
    if (!key)
        return true;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return false;
    req->replay = jm_calloc(1, sizeof *req->replay);
    *req->replay = (jm_replay){
        .actor = req->actor, .project = jm_req_project(req), .key = key, .request_id = req->id};
    take_fingerprint(req);
    if (jm_replay_claim(pg, req->replay, &state, &err)) {
        jm_req_fail(req, &err);
        forget(req);
        return false;
    }
    if (state == JM_REPLAY_CLAIMED)
        return true;
    answer_instead(req, state);
    forget(req);
    return false;
}

void jm_replay_finish(jm_req *req)
{
    jm_err err;
    req->replay->status = jm_http_status(req->http);
    struct jm_pg *pg = jm_req_pg(req);
    if (pg && jm_replay_end(pg, req->replay, &err))
        jm_log_kv(JM_WARNING, "http", "an answer was not kept under its Idempotency-Key", "why",
                  err.msg, "request_id", req->id, NULL);
    forget(req);
}
