/* An HTTP server (libmicrohttpd): small pages are answered on its own thread; everything else goes,
 * with its body, to a pool of threads that may wait for a database. Answers in JSON and text,
 * errors as RFC 9457 problems, streams, limits and timeouts against slow clients. */
#ifndef JM_HTTPD_H
#define JM_HTTPD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

typedef struct jm_httpd jm_httpd;
typedef struct jm_http_request jm_http_request;

/* Answers the request, once, by one of the functions below, before it returns; one that does not is
 * answered 500. */
typedef void jm_http_handler(void *ctx, jm_http_request *request);

/* A page that is answered on the server's thread: while it works, nobody else is served. */
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
    int max_connections_per_ip;  /* 0: as many as there may be */
    /* Every other path and method, once the body is there, on one of so many threads (0: there is
     * nothing else). The request is its own, or whose it gives it to, until jm_http_finish. */
    int threads;
    jm_http_handler *rest;
    void *rest_ctx;
    size_t max_body_bytes; /* 0: 1 MiB */
    const char *tls_cert;  /* PEM text of the certificate and of its key, or NULL: no TLS */
    const char *tls_key;
} jm_httpd_options;

/* Listens and serves at once. Errors: JM_ERR_INVALID (the address), JM_ERR_IO (it is taken, ...).
 */
int jm_httpd_new(const jm_httpd_options *options, jm_httpd **out, jm_err *err);
/* "host:port" with the port that was bound; borrowed. */
const char *jm_httpd_address(const jm_httpd *httpd);
/* Waits for the threads of the pool; what comes now is answered 503. What was deferred and every
 * stream must have been ended after this and before jm_httpd_free. */
void jm_httpd_stop(jm_httpd *httpd);
/* Ends open connections and waits for the thread. NULL is fine. */
void jm_httpd_free(jm_httpd *httpd);

/* ---- for handlers: what came ---- */

/* A parameter of the query, decoded; NULL when it is not there, "" when it has no value. */
const char *jm_http_query(jm_http_request *request, const char *name);
/* Calls fn for each parameter of the query in their order until it returns false. len: of a value
 * with a NUL in it more than strlen says. */
typedef bool jm_http_each(void *ctx, const char *name, const char *value, size_t len);
void jm_http_query_each(jm_http_request *request, jm_http_each *fn, void *ctx);
const char *jm_http_header(jm_http_request *request, const char *name); /* or NULL */
const char *jm_http_cookie(jm_http_request *request, const char *name); /* or NULL */
const char *jm_http_path(const jm_http_request *request); /* as it came, not decoded */
const char *jm_http_method(const jm_http_request *request);
const jm_buf *jm_http_body(const jm_http_request *request);
/* The other side's address without its port; valid as long as the request. */
const char *jm_http_peer(jm_http_request *request);
int64_t jm_http_started_us(const jm_http_request *request); /* monotonic */

/* ---- for handlers: the answer ---- */

/* Goes with the answer, which comes later. */
void jm_http_add_header(jm_http_request *request, const char *name, const char *value);
/* status as in HTTP; the body is copied. */
void jm_http_answer(jm_http_request *request, int status, const char *content_type,
                    const jm_buf *body);
void jm_http_answer_json(jm_http_request *request, int status, const jm_buf *body);
/* application/problem+json; code is a word for programs, detail a sentence for people. parameter:
 * of the query, at fault, or NULL. */
void jm_http_problem(jm_http_request *request, int status, const char *code, const char *parameter,
                     const char *detail);
/* The same with a JSON pointer into the body ("/params/x"), or NULL. */
void jm_http_problem_at(jm_http_request *request, int status, const char *code, const char *pointer,
                        const char *detail);
/* errors: all that is at fault, as a list in JSON; NULL: none. */
void jm_http_problems(jm_http_request *request, int status, const char *code, const char *errors,
                      const char *detail);
bool jm_http_is_answered(const jm_http_request *request);
int jm_http_status(const jm_http_request *request); /* of the answer, 0 before it */
size_t jm_http_answer_bytes(const jm_http_request *request);

/* Lets a request of the pool go, once it has been answered. Any thread. */
void jm_http_finish(jm_http_request *request);

/* ---- streams ---- */

typedef struct jm_http_stream jm_http_stream;

/* Answers a request of the pool with a body that goes on until jm_http_stream_end. */
jm_http_stream *jm_http_answer_stream(jm_http_request *request, int status,
                                      const char *content_type);
/* Any thread; never blocks. JM_ERR_CLOSED: the other side is gone. JM_ERR_TIMEOUT: it reads too
 * slowly, more than 256 KiB wait for it. Either way end it. */
int jm_http_stream_write(jm_http_stream *stream, const void *data, size_t len);
/* As end, with a last word for one that reads too slowly. */
void jm_http_stream_drop(jm_http_stream *stream, const char *text);
/* What was written still goes out; the stream is not to be used any more. */
void jm_http_stream_end(jm_http_stream *stream);

#endif
