/* A small HTTP server on a thread of its own (libmicrohttpd): a table of routes, answers in JSON
 * and text, errors as RFC 9457 problems, limits and timeouts against slow clients. */
#ifndef JM_HTTPD_H
#define JM_HTTPD_H

#include "common/buf.h"
#include "common/err.h"

typedef struct jm_httpd jm_httpd;
typedef struct jm_http_request jm_http_request; /* of one call of a handler */

/* Answers the request, once, by one of the functions below, before it returns; one that does not is
 * answered 500. Called on the server's thread: while it works, nobody else is served. */
typedef void jm_http_handler(void *ctx, jm_http_request *request);

typedef struct jm_http_route {
    const char *path;         /* exactly */
    jm_http_handler *handler; /* of GET and HEAD */
} jm_http_route;

typedef struct jm_httpd_options {
    const char *listen;          /* host:port or [v6]:port; port 0: any free one */
    const jm_http_route *routes; /* ended by a NULL path; borrowed */
    void *ctx;                   /* for handlers */
    int timeout_s;               /* of a connection on which nothing happens; 0: 10 */
    int max_connections;         /* 0: 64 */
} jm_httpd_options;

/* Listens and serves at once. Errors: JM_ERR_INVALID (the address), JM_ERR_IO (it is taken, ...).
 */
int jm_httpd_new(const jm_httpd_options *options, jm_httpd **out, jm_err *err);
/* "host:port" with the port that was bound; borrowed. */
const char *jm_httpd_address(const jm_httpd *httpd);
/* Ends open connections and waits for the thread. NULL is fine. */
void jm_httpd_free(jm_httpd *httpd);

/* ---- for handlers ---- */

/* A parameter of the query, decoded; NULL when it is not there, "" when it has no value. */
const char *jm_http_query(jm_http_request *request, const char *name);

/* status as in HTTP; the body is copied. */
void jm_http_answer(jm_http_request *request, int status, const char *content_type,
                    const jm_buf *body);
void jm_http_answer_json(jm_http_request *request, int status, const jm_buf *body);
/* application/problem+json; code is a word for programs, detail a sentence for people. parameter:
 * of the query, at fault, or NULL. */
void jm_http_problem(jm_http_request *request, int status, const char *code, const char *parameter,
                     const char *detail);

#endif
