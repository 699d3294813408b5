/* The thread that makes http requests: thousands in flight by libcurl's multi interface, with
 * connections kept and addresses checked as they are connected to. */
#ifndef JM_HTTP_CLIENT_H
#define JM_HTTP_CLIENT_H

#include <curl/curl.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/queue.h"
#include "worker/loop.h"

typedef struct jm_http_client jm_http_client;

enum { JM_HTTP_KEPT_HEADERS = 9, JM_HTTP_KEPT_BYTES = 2048 };
/* Names of the headers of a response that are kept, in lower case. */
extern const char *const jm_http_kept_headers[JM_HTTP_KEPT_HEADERS];

/* What is asked for. */
typedef struct jm_http_request {
    char method[16];
    char *url;                         /* malloc'ed, as all below */
    char *host;                        /* of the url, for messages */
    struct curl_slist *headers;        /* "Name: value" */
    struct curl_slist *public_headers; /* those that may go to another host after a redirect */
    jm_buf body;
    bool has_body;
    int timeout_ms, redirects;
    size_t max_bytes;
} jm_http_request;

/* What came of it. */
typedef struct jm_http_response {
    char error[CURL_ERROR_SIZE];         /* why there is no whole answer, or "" */
    const char *refusal;                 /* the address was refused: what it is; static, or NULL */
    bool bad_redirect;                   /* error is about where it was sent on to */
    long status;                         /* 0: none came */
    jm_buf body;                         /* up to max_bytes */
    bool cut;                            /* there was more */
    char *headers[JM_HTTP_KEPT_HEADERS]; /* as jm_http_kept_headers, or NULL */
    int64_t retry_after_s;               /* 0: none */
} jm_http_response;

/* One request and its answer. Made by jm_http_call_new; after jm_http_client_send the client's
 * until done is called. */
typedef struct jm_http_call jm_http_call;
struct jm_http_call {
    jm_http_request request;
    jm_http_response response;
    void (*done)(void *ctx, jm_http_call *call); /* may free it, by jm_http_call_free */
    void *ctx;
    struct jm_http_transfer *transfer; /* the client's own */
};
jm_http_call *jm_http_call_new(void);
void jm_http_call_free(jm_http_call *call); /* NULL is fine */

/* All from the thread of loop, on which done is called too. ca_file may be NULL. */
int jm_http_client_new(jm_loop *loop, bool allow_private, const char *ca_file, jm_http_client **out,
                       jm_err *err);
void jm_http_client_free(jm_http_client *client); /* aborts what is left; NULL is fine */
void jm_http_client_send(jm_http_client *client, jm_http_call *call);
/* Aborts it at once: done is not called, and the call is freed by the client. */
void jm_http_client_abort(jm_http_client *client, jm_http_call *call);

#endif
