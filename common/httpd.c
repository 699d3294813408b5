/* The HTTP server: listening, and the way of a request through it. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/httpd_priv.h"
#include "common/log.h"
#include "common/mem.h"

enum {
    TIMEOUT_S = 10,
    GRACE = 2, /* times the time-out: for a request that comes slowly */
    MAX_CONNECTIONS = 64,
    CONNECTION_BYTES = 32768, /* request line and headers of one connection */
    BACKLOG = 256,
    LAST_WORDS_MS = 1000 /* for what is answered when the server ends */
};

struct jm_httpd {
    jm_httpd_options options;
    struct MHD_Daemon *daemon;
    jm_http_pool *pool; /* NULL: pages only */
    jm_http_heads *heads;
    _Atomic int working; /* requests of the pool whose answers have not gone out */
    char address[160];
};

/* ---- one request ---- */

/* Called first of all, with what is asked for as it came: decoded, a %2F could not be told from a
 * slash. What is returned is the request's state. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    jm_http_request *request = jm_calloc(1, sizeof *request);
    request->httpd = cls;
    request->connection = connection;
    request->path = jm_strndup(uri, strcspn(uri, "?"));
    request->started_us = jm_mono_us();
    return request;
}

static void free_request(jm_http_request *request)
{
    if (request->response)
        MHD_destroy_response(request->response);
    for (int i = 0; i < request->n_headers; i++)
        free(request->headers[i].value);
    jm_buf_fini(&request->body);
    free(request->path);
    free(request);
}

/* What MHD has told us about a request of the pool is over, whether it was answered or not. */
static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    jm_httpd *httpd = cls;
    jm_http_request *request = *state;
    (void)why;
    jm_http_head_await(connection);
    if (request && request->stage >= JM_HTTP_WORKING)
        atomic_fetch_sub(&httpd->working, 1);
    if (request)
        free_request(request);
    *state = NULL;
}

static enum MHD_Result queue_answer(jm_http_request *request)
{
    if (!request->answered)
        jm_http_problem(request, 500, "internal", NULL, "this request was not answered");
    return MHD_queue_response(request->connection, (unsigned)request->status, request->response);
}

/* ---- pages ---- */

static const jm_http_route *find_route(const jm_httpd *httpd, const char *path)
{
    for (const jm_http_route *route = httpd->options.routes; route->path; route++)
        if (!strcmp(route->path, path))
            return route;
    return NULL;
}

static bool is_get(const char *method)
{
    return !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
}

static bool has_body(const jm_http_request *request)
{
    const char *length = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (length && strcmp(length, "0") != 0) ||
           MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                       MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static enum MHD_Result serve_page(jm_http_request *request)
{
    if (!request->page)
        jm_http_problem(request, 404, "not_found", NULL, "there is nothing at this path");
    else if (!is_get(request->method))
        jm_http_problem(request, 405, "method_not_allowed", NULL,
                        "this path takes GET and HEAD only");
    else
        request->page->handler(request->httpd->options.ctx, request);
    return queue_answer(request);
}

/* ---- what the pool answers ---- */

static void work(void *ctx, jm_http_request *request)
{
    const jm_httpd *httpd = ctx;
    httpd->options.rest(httpd->options.rest_ctx, request); /* and it may be gone */
}

/* A body is read, if not kept, up to so many times what is allowed. */
enum { PATIENCE = 4 };

struct header_count {
    const char *name;
    int n;
};

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct header_count *count = cls;
    (void)kind, (void)value;
    count->n += !strcasecmp(name, count->name);
    return MHD_YES;
}

static bool is_repeated(const jm_http_request *request, const char *name)
{
    struct header_count count = {.name = name};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_header, &count);
    return count.n > 1;
}

/* A message that two readers could take for two different ones is refused (RFC 9112, 3.2, 6.1 and
 * 6.3). */
static bool is_ambiguous(const jm_http_request *request)
{
    const char *encoding = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                       MHD_HTTP_HEADER_TRANSFER_ENCODING);
    if (encoding && (MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                 MHD_HTTP_HEADER_CONTENT_LENGTH) ||
                     strcasecmp(encoding, "chunked") != 0))
        return true;
    return is_repeated(request, MHD_HTTP_HEADER_CONTENT_LENGTH) ||
           is_repeated(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) ||
           is_repeated(request, MHD_HTTP_HEADER_HOST);
}

static int timeout_of(const jm_httpd_options *options)
{
    return options->timeout_s ? options->timeout_s : TIMEOUT_S;
}

static size_t max_body(const jm_httpd *httpd)
{
    return httpd->options.max_body_bytes ? httpd->options.max_body_bytes : JM_HTTP_MAX_BODY;
}

/* What it says it will send. */
static unsigned long long announced(const jm_http_request *request)
{
    const char *length = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length ? strtoull(length, NULL, 10) : 0;
}

/* Many clients read nothing before they have sent everything, and take a connection that is closed
 * meanwhile for a broken one: what is not much too long is read to its end, and thrown away. */
static bool is_far_too_long(const jm_http_request *request)
{
    size_t most = max_body(request->httpd);
    bool waits = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                             MHD_HTTP_HEADER_EXPECT) != NULL;
    return announced(request) > (waits ? most : PATIENCE * most);
}

static void refuse_size(jm_http_request *request)
{
    char text[80];
    snprintf(text, sizeof text, "the body has more than %zu bytes", max_body(request->httpd));
    jm_http_add_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
    jm_http_problem(request, 413, "too_large", NULL, text);
}

/* Called when its headers are there. What is answered now need not send its body. */
static enum MHD_Result begin(jm_http_request *request)
{
    if (is_ambiguous(request)) {
        jm_http_add_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
        jm_http_problem(request, 400, "bad_request", NULL,
                        "send one Host, and either one Content-Length or Transfer-Encoding: "
                        "chunked");
    } else if (is_far_too_long(request)) {
        refuse_size(request);
    }
    return request->answered ? queue_answer(request) : MHD_YES;
}

/* Whoever sends a byte now and then could hold a connection for ever: after GRACE times the time in
 * which nothing may come, a body has come at SLOWEST bytes a second in the mean. */
static bool is_too_slow(const jm_http_request *request)
{
    enum { SLOWEST = 1000 };
    int64_t grace_us = (int64_t)timeout_of(&request->httpd->options) * GRACE * 1000000;
    int64_t took_us = jm_mono_us() - request->started_us;
    return took_us > grace_us + (int64_t)request->received * 1000000 / SLOWEST;
}

static enum MHD_Result add_body(jm_http_request *request, const char *upload, size_t *size)
{
    size_t most = max_body(request->httpd);
    request->received += *size;
    if (request->received > PATIENCE * most || is_too_slow(request))
        return MHD_NO; /* it does not stop: neither do we listen */
    if (request->received <= most)
        jm_buf_add(&request->body, upload, *size);
    *size = 0;
    return MHD_YES;
}

/* The body is there. */
static enum MHD_Result hand_over(jm_http_request *request)
{
    if (request->received > max_body(request->httpd)) {
        refuse_size(request);
        return queue_answer(request);
    }
    request->stage = JM_HTTP_WORKING;
    atomic_fetch_add(&request->httpd->working, 1);
    MHD_suspend_connection(request->connection);
    if (jm_http_pool_push(request->httpd->pool, request))
        return MHD_YES;
    jm_http_add_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    jm_http_problem(request, 503, "busy", NULL, "the server is stopping or has too much to do");
    jm_http_finish(request);
    return MHD_YES;
}

/* First with the headers, then with each part of the body, then with none; once more when an answer
 * has been found. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    const jm_httpd *httpd = cls;
    jm_http_request *request = *state;
    (void)version;
    if (request->stage == JM_HTTP_NEW) {
        jm_http_head_came(connection);
        request->method = method;
        request->stage = JM_HTTP_READING;
        request->page = find_route(httpd, url);
        if (httpd->pool && !request->page)
            return begin(request);
        /* No page has a body that is looked at: one that comes is not waited for, and its
         * connection is closed. */
        return has_body(request) ? serve_page(request) : MHD_YES;
    }
    if (request->page || !httpd->pool)
        return *upload_size ? MHD_NO : serve_page(request);
    if (*upload_size)
        return request->stage == JM_HTTP_READING ? add_body(request, upload, upload_size) : MHD_NO;
    return request->stage == JM_HTTP_READING && !request->answered ? hand_over(request)
                                                                   : queue_answer(request);
}

static void on_log(void *cls, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *format, va_list args)
{
    char text[256];
    (void)cls;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = 0;
    jm_log_kv(JM_DEBUG, "httpd", text, NULL);
}

/* ---- listening ---- */

/* host:port, [v6]:port into its parts. */
static int split(const char *listen_text, char *host, size_t size, const char **port, jm_err *err)
{
    const char *colon = strrchr(listen_text, ':');
    const char *from = *listen_text == '[' ? listen_text + 1 : listen_text;
    const char *to = colon && colon > from && colon[-1] == ']' ? colon - 1 : colon;
    if (!colon || to <= from || (size_t)(to - from) >= size)
        return jm_err_set(err, JM_ERR_INVALID, "%s is not host:port", listen_text);
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = 0;
    *port = colon + 1;
    return JM_OK;
}

static int open_socket(const struct addrinfo *info)
{
    int on = 1, fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!bind(fd, info->ai_addr, info->ai_addrlen) && !listen(fd, BACKLOG))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int bound_port(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    char port[16] = "0";
    if (getsockname(fd, (struct sockaddr *)&at, &len) ||
        getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof port, NI_NUMERICSERV))
        return 0;
    return (int)strtol(port, NULL, 10);
}

/* Returns the descriptor, or a negative code. */
static int open_listener(jm_httpd *httpd, jm_err *err)
{
    char host[128];
    const char *port = NULL;
    struct addrinfo *info,
        hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int rc = split(httpd->options.listen, host, sizeof host, &port, err);
    if (rc)
        return rc;
    rc = getaddrinfo(host, port, &hints, &info);
    if (rc)
        return jm_err_set(err, JM_ERR_INVALID, "cannot listen on %s: %s", httpd->options.listen,
                          gai_strerror(rc));
    int fd = open_socket(info);
    if (fd < 0)
        fd = jm_err_errno(err, JM_ERR_IO, "cannot listen on %s", httpd->options.listen);
    else
        snprintf(httpd->address, sizeof httpd->address, strchr(host, ':') ? "[%s]:%d" : "%s:%d",
                 host, bound_port(fd));
    freeaddrinfo(info);
    return fd;
}

static struct MHD_Daemon *start_daemon(jm_httpd *httpd, int fd)
{
    const jm_httpd_options *o = &httpd->options;
    /* Not epoll: libmicrohttpd 0.9.75 takes 128 events at a time, and where there were exactly so
     * many it waits for more before it looks at them. */
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG |
                     MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key},
                                   {MHD_OPTION_END, 0, NULL}};
    if (!o->tls_cert)
        tls[0] = tls[2];
    else
        flags |= MHD_USE_TLS;
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, httpd, MHD_OPTION_EXTERNAL_LOGGER,
                            on_log, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, httpd,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, httpd,
                            MHD_OPTION_NOTIFY_CONNECTION, jm_http_heads_notify, httpd->heads,
                            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)timeout_of(o), MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)(o->max_connections ? o->max_connections : MAX_CONNECTIONS),
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)o->max_connections_per_ip,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

int jm_httpd_new(const jm_httpd_options *options, jm_httpd **out, jm_err *err)
{
    jm_httpd *httpd = jm_calloc(1, sizeof *httpd);
    httpd->options = *options;
    int fd = open_listener(httpd, err);
    if (fd < 0) {
        free(httpd);
        return fd;
    }
    if (options->threads)
        httpd->pool = jm_http_pool_new(options->threads, work, httpd);
    httpd->heads = jm_http_heads_new(GRACE * timeout_of(options));
    httpd->daemon = start_daemon(httpd, fd);
    if (!httpd->daemon) {
        jm_http_heads_free(httpd->heads);
        jm_http_pool_free(httpd->pool);
        close(fd);
        free(httpd);
        return jm_err_set(err, JM_ERR_IO, "cannot start the HTTP server on %s%s", options->listen,
                          options->tls_cert ? ": is the certificate one, and is the key its?" : "");
    }
    *out = httpd;
    return JM_OK;
}

const char *jm_httpd_address(const jm_httpd *httpd)
{
    return httpd->address;
}

void jm_httpd_stop(jm_httpd *httpd)
{
    if (httpd->pool)
        jm_http_pool_close(httpd->pool);
}

void jm_httpd_free(jm_httpd *httpd)
{
    if (!httpd)
        return;
    jm_httpd_stop(httpd);
    for (int64_t until = jm_mono_ms() + LAST_WORDS_MS;
         atomic_load(&httpd->working) && jm_mono_ms() < until;)
        poll(NULL, 0, 5);
    MHD_stop_daemon(httpd->daemon); /* closes the sockets */
    jm_http_heads_free(httpd->heads);
    jm_http_pool_free(httpd->pool);
    free(httpd);
}
