/* What the parts of the HTTP server share: requests and the pool that works on them. */
#ifndef JM_HTTPD_PRIV_H
#define JM_HTTPD_PRIV_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/httpd.h"

enum { JM_HTTP_HEADERS = 8, JM_HTTP_MAX_BODY = 1 << 20 };

/* Where a request of the pool is. Only the server's thread moves it on, but for the last step but
 * one: who answers resumes the connection. */
typedef enum jm_http_stage {
    JM_HTTP_NEW,
    JM_HTTP_READING,
    JM_HTTP_WORKING,
    JM_HTTP_ANSWERED
} jm_http_stage;

struct jm_http_request {
    struct jm_http_request *next; /* in the pool's list */
    jm_httpd *httpd;
    struct MHD_Connection *connection;
    char *path;                /* as it came, without the query */
    const char *method;        /* the connection's */
    const jm_http_route *page; /* NULL: the pool answers, or there is nothing */
    jm_buf body;
    size_t received; /* of its body */
    jm_http_stage stage;
    int64_t started_us;
    int n_headers;
    struct {
        const char *name; /* static */
        char *value;
    } headers[JM_HTTP_HEADERS];
    char peer[64];
    /* The answer. */
    struct MHD_Response *response;
    int status;
    size_t bytes;
    bool answered;
};

typedef struct jm_http_pool jm_http_pool;

/* Threads that call work(ctx, request) for each request that was pushed. */
jm_http_pool *jm_http_pool_new(int threads, void (*work)(void *ctx, jm_http_request *), void *ctx);
/* false: it has been closed, or too many wait already. */
bool jm_http_pool_push(jm_http_pool *pool, jm_http_request *request);
void jm_http_pool_close(jm_http_pool *pool); /* works off what waits and joins the threads */
void jm_http_pool_free(jm_http_pool *pool);

typedef struct jm_http_heads jm_http_heads;

/* Closes connections whose next request line and headers have not come within timeout_s seconds of
 * their begin or their last answer, or a quarter of that later. */
jm_http_heads *jm_http_heads_new(int timeout_s);
void jm_http_heads_free(jm_http_heads *heads); /* once no connection is left */
/* For MHD_OPTION_NOTIFY_CONNECTION. */
void jm_http_heads_notify(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what);
void jm_http_head_came(struct MHD_Connection *connection);
void jm_http_head_await(struct MHD_Connection *connection); /* the next one of it */

/* Of a request that has not been answered: sets the answer; queued by the server's thread. */
void jm_http_set_answer(jm_http_request *request, int status, struct MHD_Response *response,
                        size_t bytes);

#endif
