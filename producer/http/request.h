/* One request of the API, as its handler sees it: who asks, what is in it, and how it is answered.
 * A handler parses, calls a service, and prints. */
#ifndef JM_HTTP_REQUEST_H
#define JM_HTTP_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/rows.h"
#include "producer/service/change.h"

struct jm_pg;
struct jm_api;

typedef struct jm_req jm_req;

/* Called on a thread of the pool. Answers the request, once, by one of the functions below, before
 * it returns, or gives it away with jm_req_defer. */
typedef void jm_req_handler(jm_req *req);

typedef enum jm_scope {
    JM_SCOPE_NONE, /* no key is needed */
    JM_SCOPE_READ,
    JM_SCOPE_SUBMIT,
    JM_SCOPE_ADMIN
} jm_scope;

typedef struct jm_api_route {
    const char *method; /* GET, POST, PUT, PATCH, DELETE; NULL ends a table */
    const char *path;   /* below /api/v1, with parameters in braces: "/jobs/{id}/steps" */
    jm_scope scope;
    jm_req_handler *handler;
    const char *query; /* names of the parameters it takes, parted by spaces, or NULL; "metadata.*":
                          all that begin so */
} jm_api_route;

/* ---- what is in it ---- */

struct jm_api *jm_req_api(const jm_req *req);
/* A connection of the pool, checked, for as long as the handler runs. NULL: it has been answered
 * with 503, return. */
struct jm_pg *jm_req_pg(jm_req *req);

const char *jm_req_path(const jm_req *req, const char *name);  /* decoded; never NULL */
const char *jm_req_query(const jm_req *req, const char *name); /* decoded, or NULL */
const char *jm_req_header(const jm_req *req, const char *name);
/* Of a stream: the id after which it is to go on; NULL: from now. */
const char *jm_req_last_event(const jm_req *req);

/* The header Idempotency-Key, *key NULL where there is none. false: answered with 400, return. */
bool jm_req_idempotency_key(jm_req *req, const char **key);

/* All that begin so, as {"rest of the name": "value"}; NULL: there are none. The caller owns it. */
json_t *jm_req_query_group(const jm_req *req, const char *prefix);

/* A whole number from min to max, def where it is not given. false: answered with 400, return. */
bool jm_req_query_int(jm_req *req, const char *name, int64_t def, int64_t min, int64_t max,
                      int64_t *out);
/* 1, true, 0, false. false: answered with 400, return. */
bool jm_req_query_bool(jm_req *req, const char *name, bool def, bool *out);
/* All parameters whose name begins with prefix ("metadata."), by the rest of their names; the
 * caller owns it. */
json_t *jm_req_query_object(const jm_req *req, const char *prefix);
/* An RFC 3339 time in microseconds since 1970, 0 where it is not given. */
bool jm_req_query_time(jm_req *req, const char *name, int64_t *us);

/* The page of a list: limit (50, at most 1000), offset, cursor, total. What is counted goes where
 * jm_req_list finds it. */
bool jm_req_get_page(jm_req *req, jm_page *page);

/* The body, parsed exactly (no duplicate keys, no broken UTF-8, no digit lost), of that type;
 * borrowed. NULL: answered with 400 or 415, return. */
const json_t *jm_req_body(jm_req *req, json_type type);
/* The same, where there may be none: an empty object then. */
const json_t *jm_req_body_or_empty(jm_req *req);
/* Whether it came as it is, not compressed. false: answered with 415. */
bool jm_req_body_is_plain(jm_req *req);
/* As it came. */
const char *jm_req_body_text(const jm_req *req, size_t *len);
/* false: a member of the body is none of those named (NULL-terminated) and was answered with 400,
 * which names the nearest one. */
bool jm_req_body_members(jm_req *req, const json_t *body, const char *const *names);
/* A member that is text (the parser refuses U+0000); borrowed. *text (may be NULL) is NULL where
 * there is none. false: it is something else, or is required and not there, and was answered with
 * 400. */
bool jm_req_body_string(jm_req *req, const json_t *body, const char *name, bool required,
                        const char **text);

/* ---- who asks ---- */

/* The project that its key is bound to; NULL: all. */
const char *jm_req_project(const jm_req *req);
/* For what is created or listed: the project asked for (NULL: none was named), within what the key
 * may see. false: answered with 404, return. A bound key that names none gets its own. */
bool jm_req_narrow(jm_req *req, const char *asked, const char **project);
/* Whether an object of that project is there for this key; when not: answered with 404 in the same
 * words as one that does not exist, return. */
bool jm_req_sees(jm_req *req, const char *project, const char *what, const char *id);
bool jm_req_may(const jm_req *req, jm_scope scope);
const char *jm_req_actor(const jm_req *req); /* "key:name", "session:name", "anonymous" */
const char *jm_req_id(const jm_req *req);    /* X-Request-Id, given or made */
/* The key or session with which it came, to be revoked or given a session; NULL: none that is in
 * the database. */
const char *jm_req_key_id(const jm_req *req);
bool jm_req_is_session(const jm_req *req);
/* For what goes on after the request: says when the key holds no longer. NULL: it never ends. */
struct jm_key_hold *jm_req_hold(const jm_req *req);
/* From where: the other side's address; behind a proxy the one that the proxy names. */
const char *jm_req_address(const jm_req *req);
/* For the audit log: actor, address, id, source "api", the header X-Reason, ?dry_run=1. Lives as
 * long as req. */
void jm_req_change(jm_req *req, jm_change *change);

/* ---- answers; each takes the reference to its value ---- */

void jm_req_ok(jm_req *req, json_t *value);                            /* 200 */
void jm_req_created(jm_req *req, const char *location, json_t *value); /* 201 with Location */
void jm_req_answer(jm_req *req, int status, json_t *value);            /* any */
void jm_req_no_content(jm_req *req);                                   /* 204 */
/* {"items": [...], "next": cursor or null, "total" where it was asked for and counted}; next may be
 * NULL. */
void jm_req_list(jm_req *req, json_t *items, const char *next);
void jm_req_text(jm_req *req, int status, const char *content_type, const char *text, size_t len);
/* As a service failed: 400 with a pointer to the field, 404, 409 (412 where it is the version and
 * there is an If-Match), 503, 500. */
void jm_req_fail(jm_req *req, const jm_err *err);
/* What an error says, with the name of the member at fault in front where its words leave it out.
 */
enum { JM_REQ_WORDS = 700 };
const char *jm_req_words(const jm_err *err, char words[JM_REQ_WORDS]);
/* application/problem+json. field: member of the body at fault as a JSON pointer ("/params/x"), a
 * parameter as "?name", or NULL. */
void jm_req_problem(jm_req *req, int status, const char *code, const char *field, const char *fmt,
                    ...) __attribute__((format(printf, 5, 6)));
/* The same with all that is at fault: [{"pointer", "detail"}]; takes the reference. */
void jm_req_problems(jm_req *req, int status, const char *code, json_t *errors, const char *detail);
/* What is found wrong from now on is in this item of the body, which is a list; -1: in no item. */
void jm_req_inside(jm_req *req, int item);
void jm_req_set_header(jm_req *req, const char *name, const char *value); /* before the answer */

/* A version of what is answered, as its ETag; before the answer. */
void jm_req_etag(jm_req *req, int64_t version);
/* The version that If-Match asks for, 0 where it does not. false: answered with 412 or 400. */
bool jm_req_if_match(jm_req *req, int64_t *version);

/* The handler returns without an answer, and does not touch req any more once another thread has
 * it; that one answers, and then calls jm_req_finish. The connection of jm_req_pg is given back. */
void jm_req_defer(jm_req *req);
void jm_req_finish(jm_req *req); /* answered 500 if it was not; the request is gone */

struct jm_http_stream;
/* 200 with text/event-stream, until the stream is ended; the request may be finished before. */
struct jm_http_stream *jm_req_stream(jm_req *req);

#endif
