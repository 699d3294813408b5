/* The HTTP server. */
#include "common/httpd.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

enum {
    TIMEOUT_S = 10,
    MAX_CONNECTIONS = 64,
    CONNECTION_BYTES = 32768, /* request line and headers of one connection */
    BACKLOG = 64
};

struct jm_httpd {
    jm_httpd_options options;
    struct MHD_Daemon *daemon;
    char address[160];
};

struct jm_http_request {
    jm_httpd *httpd;
    struct MHD_Connection *connection;
    const char *path;
    bool answered;
    enum MHD_Result result;
};

/* ---- answers ---- */

static void queue(jm_http_request *request, int status, struct MHD_Response *response)
{
    request->answered = true;
    request->result = MHD_queue_response(request->connection, (unsigned)status, response);
    MHD_destroy_response(response);
}

static struct MHD_Response *new_response(const jm_buf *body, const char *content_type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->len, (void *)(uintptr_t)jm_buf_str(body), MHD_RESPMEM_MUST_COPY);
    if (!response)
        return NULL;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    return response;
}

void jm_http_answer(jm_http_request *request, int status, const char *content_type,
                    const jm_buf *body)
{
    struct MHD_Response *response = new_response(body, content_type);
    if (response && !request->answered)
        queue(request, status, response);
}

void jm_http_answer_json(jm_http_request *request, int status, const jm_buf *body)
{
    jm_http_answer(request, status, "application/json", body);
}

static const char *title_of(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

static void add_member(jm_buf *body, const char *name, const char *value)
{
    jm_buf_addf(body, ",\"%s\":", name);
    jm_buf_add_json(body, value, strlen(value));
}

static void write_problem(jm_buf *body, int status, const char *code, const char *parameter,
                          const char *detail)
{
    jm_buf_addf(body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d", title_of(status),
                status);
    add_member(body, "code", code);
    add_member(body, "detail", detail);
    if (parameter) {
        jm_buf_adds(body, ",\"errors\":[{\"parameter\":");
        jm_buf_add_json(body, parameter, strlen(parameter));
        add_member(body, "detail", detail);
        jm_buf_adds(body, "}]");
    }
    jm_buf_adds(body, "}\n");
}

void jm_http_problem(jm_http_request *request, int status, const char *code, const char *parameter,
                     const char *detail)
{
    jm_buf body = {0};
    write_problem(&body, status, code, parameter, detail);
    struct MHD_Response *response = new_response(&body, "application/problem+json");
    if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (response && !request->answered)
        queue(request, status, response);
    jm_buf_fini(&body);
}

const char *jm_http_query(jm_http_request *request, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name,
                                      strlen(name), &value, &len) != MHD_YES)
        return NULL;
    return value ? value : "";
}

/* ---- requests ---- */

static const jm_http_route *find_route(const jm_httpd *httpd, const char *path)
{
    for (const jm_http_route *route = httpd->options.routes; route->path; route++)
        if (!strcmp(route->path, path))
            return route;
    return NULL;
}

static void serve(jm_http_request *request, const char *method)
{
    const jm_http_route *route = find_route(request->httpd, request->path);
    if (!route)
        jm_http_problem(request, 404, "not_found", NULL, "there is nothing at this path");
    else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        jm_http_problem(request, 405, "method_not_allowed", NULL,
                        "this path takes GET and HEAD only");
    else
        route->handler(request->httpd->options.ctx, request);
    if (!request->answered)
        jm_http_problem(request, 500, "internal", NULL, "this request was not answered");
}

/* Called once its headers are there: no request has a body that is looked at, so each is answered
 * at once, and a connection that goes on sending is closed. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    (void)version, (void)upload, (void)upload_size, (void)state;
    jm_http_request request = {
        .httpd = cls, .connection = connection, .path = url, .result = MHD_NO};
    serve(&request, method);
    return request.result;
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
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, httpd, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(o->timeout_s ? o->timeout_s : TIMEOUT_S),
        MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(o->max_connections ? o->max_connections : MAX_CONNECTIONS),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
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
    httpd->daemon = start_daemon(httpd, fd);
    if (!httpd->daemon) {
        close(fd);
        free(httpd);
        return jm_err_set(err, JM_ERR_IO, "cannot start the HTTP server on %s", options->listen);
    }
    *out = httpd;
    return JM_OK;
}

const char *jm_httpd_address(const jm_httpd *httpd)
{
    return httpd->address;
}

void jm_httpd_free(jm_httpd *httpd)
{
    if (!httpd)
        return;
    MHD_stop_daemon(httpd->daemon); /* closes the socket */
    free(httpd);
}
