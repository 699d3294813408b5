/* Tests of the HTTP server, over real sockets. */
#include "common/httpd.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

static void on_echo(void *ctx, jm_http_request *request)
{
    const char *a = jm_http_query(request, "a");
    jm_buf body = {0};
    jm_buf_addf(&body, "%s:%s", (const char *)ctx, a ? a : "none");
    jm_http_answer(request, 200, "text/plain", &body);
    jm_buf_fini(&body);
}

static void on_nothing(void *ctx, jm_http_request *request)
{
    (void)ctx, (void)request;
}

static const jm_http_route routes[] = {{"/echo", on_echo}, {"/nothing", on_nothing}, {NULL, NULL}};

static jm_httpd *start(const char *listen_text, int timeout_s)
{
    jm_httpd *httpd = NULL;
    jm_err err;
    jm_httpd_options options = {
        .listen = listen_text, .routes = routes, .ctx = (void *)"ctx", .timeout_s = timeout_s};
    ck_assert_msg(!jm_httpd_new(&options, &httpd, &err), "%s", err.msg);
    return httpd;
}

static int dial(const jm_httpd *httpd)
{
    int port = (int)strtol(strrchr(jm_httpd_address(httpd), ':') + 1, NULL, 10);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 20};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* Reads until the other side closes. */
static void read_all(int fd, jm_buf *out)
{
    ssize_t n;
    while ((n = recv(fd, jm_buf_reserve(out, 4096), 4096, 0)) > 0)
        out->len += (size_t)n;
    jm_buf_addc(out, 0);
    close(fd);
}

static void ask(const jm_httpd *httpd, const char *request, jm_buf *out)
{
    int fd = dial(httpd);
    jm_buf_clear(out);
    ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    read_all(fd, out);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

START_TEST(routes_and_answers)
{
    jm_httpd *httpd = start("127.0.0.1:0", 0);
    jm_buf out = {0};
    ask(httpd, GET("/echo?a=1%202&b"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 200 OK\r\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "ctx:1 2"));
    ask(httpd, GET("/echo?a"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "\r\n\r\nctx:"));
    ask(httpd, GET("/echo"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "ctx:none"));
    ask(httpd, GET("/echo/"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 404 Not Found\r\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "application/problem+json"));
    ask(httpd, GET("/nothing"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 500 "));
    ask(httpd, "HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    ck_assert_ptr_nonnull(strstr(out.data, "Content-Length: 8\r\n"));
    ck_assert_ptr_null(strstr(out.data, "ctx"));
    ask(httpd,
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 405 "));
    ck_assert_ptr_nonnull(strstr(out.data, "Allow: GET, HEAD\r\n"));
    jm_buf_fini(&out);
    jm_httpd_free(httpd);
}
END_TEST

/* A client that says nothing, or half a request, is let go after the timeout. */
START_TEST(slow_clients_are_let_go)
{
    jm_httpd *httpd = start("127.0.0.1:0", 1);
    jm_buf out = {0};
    int64_t from_ms = jm_mono_ms();
    int silent = dial(httpd), half = dial(httpd);
    ck_assert_int_eq(send(half, "GET /echo HTTP/1.1\r\nHo", 22, MSG_NOSIGNAL), 22);
    ask(httpd, GET("/echo"), &out); /* served beside them */
    ck_assert_ptr_nonnull(strstr(out.data, "ctx:none"));
    read_all(silent, &out);
    read_all(half, &out);
    ck_assert_int_lt(jm_mono_ms() - from_ms, 15000);
    jm_buf_fini(&out);
    jm_httpd_free(httpd);
}
END_TEST

START_TEST(addresses)
{
    jm_httpd *httpd = start("127.0.0.1:0", 0), *second = NULL;
    jm_err err;
    ck_assert(!strncmp(jm_httpd_address(httpd), "127.0.0.1:", 10));
    jm_httpd_options taken = {.listen = jm_httpd_address(httpd), .routes = routes};
    ck_assert_int_eq(jm_httpd_new(&taken, &second, &err), JM_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.msg, "in use"));
    jm_httpd_options odd = {.listen = "no.such.host.invalid:0", .routes = routes};
    ck_assert_int_eq(jm_httpd_new(&odd, &second, &err), JM_ERR_INVALID);
    jm_httpd_free(httpd);
    jm_httpd_free(NULL);
}
END_TEST

/* ---- the pool ---- */

static jm_http_stream *_Atomic stream; /* of the request that was answered with one */

/* Answers with what came. /stream: with a stream; /silent: not at all. */
static void on_rest(void *ctx, jm_http_request *request)
{
    const jm_buf *body = jm_http_body(request);
    jm_buf text = {0};
    (void)ctx;
    if (!strcmp(jm_http_path(request), "/stream")) {
        atomic_store(&stream, jm_http_answer_stream(request, 200, "text/event-stream"));
    } else if (strcmp(jm_http_path(request), "/silent") != 0) {
        jm_http_add_header(request, "X-Was", jm_http_method(request));
        jm_buf_addf(&text, "%s %.*s %s", jm_http_path(request), (int)body->len, jm_buf_str(body),
                    jm_http_peer(request));
        jm_http_answer(request, 200, "text/plain", &text);
    }
    jm_buf_fini(&text);
    if (!jm_http_is_answered(request))
        jm_http_problem(request, 500, "internal", NULL, "silent");
    jm_http_finish(request);
}

static jm_httpd *start_pool(int threads)
{
    jm_httpd *httpd = NULL;
    jm_err err;
    jm_httpd_options options = {.listen = "127.0.0.1:0",
                                .routes = routes,
                                .ctx = (void *)"ctx",
                                .threads = threads,
                                .rest = on_rest,
                                .max_body_bytes = 10};
    ck_assert_msg(!jm_httpd_new(&options, &httpd, &err), "%s", err.msg);
    return httpd;
}

#define POST(path, body)                                                                           \
    "POST " path                                                                                   \
    " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" body

START_TEST(the_pool_gets_the_whole_request)
{
    jm_httpd *httpd = start_pool(3);
    jm_buf out = {0};
    ask(httpd, POST("/a%2fb?c", "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "\r\n\r\n/a%2fb abc 127.0.0.1"));
    ck_assert_ptr_nonnull(strstr(out.data, "X-Was: POST\r\n"));
    ask(httpd, GET("/echo"), &out); /* pages stay pages */
    ck_assert_ptr_nonnull(strstr(out.data, "ctx:none"));
    ask(httpd, POST("/a", "b\r\n01234567890\r\n0\r\n\r\n"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 413 "));
    ask(httpd,
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 400 "));
    ask(httpd, GET("/silent"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 500 "));
    jm_buf_fini(&out);
    jm_httpd_free(httpd);
}
END_TEST

START_TEST(a_stopped_pool_says_so)
{
    jm_httpd *httpd = start_pool(1);
    jm_buf out = {0};
    jm_httpd_stop(httpd);
    ask(httpd, GET("/a"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 503 "));
    ck_assert_ptr_nonnull(strstr(out.data, "Retry-After: 1\r\n"));
    ask(httpd, GET("/echo"), &out);
    ck_assert_ptr_nonnull(strstr(out.data, "ctx:none"));
    jm_buf_fini(&out);
    jm_httpd_free(httpd);
}
END_TEST

static jm_http_stream *open_stream(const jm_httpd *httpd, int *fd)
{
    jm_http_stream *got;
    *fd = dial(httpd);
    atomic_store(&stream, NULL);
    ck_assert_int_gt(send(*fd, GET("/stream"), strlen(GET("/stream")), MSG_NOSIGNAL), 0);
    while (!(got = atomic_load(&stream)))
        usleep(1000);
    return got;
}

START_TEST(streams_go_on_until_they_are_ended)
{
    jm_httpd *httpd = start_pool(1);
    jm_buf out = {0};
    int fd;
    jm_http_stream *got = open_stream(httpd, &fd);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(jm_http_stream_write(got, "0123456789\n", 11), JM_OK);
    jm_http_stream_end(got);
    read_all(fd, &out);
    size_t lines = 0;
    for (const char *at = out.data; (at = strstr(at, "0123456789\n")); at++)
        lines++;
    ck_assert_uint_eq(lines, 1000);
    jm_buf_fini(&out);
    jm_httpd_free(httpd);
}
END_TEST

START_TEST(streams_of_those_who_do_not_read)
{
    static char block[4096];
    jm_httpd *httpd = start_pool(1);
    jm_buf out = {0};
    int fd, rc = JM_OK;
    jm_http_stream *got = open_stream(httpd, &fd);
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 100000 && !rc; i++) /* the socket's buffers first, then ours */
        rc = jm_http_stream_write(got, block, sizeof block);
    ck_assert_int_eq(rc, JM_ERR_TIMEOUT);
    jm_http_stream_drop(got, "last word");
    read_all(fd, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "last word"));
    /* And of one who has gone. */
    got = open_stream(httpd, &fd);
    close(fd);
    for (rc = JM_OK; !rc;) {
        rc = jm_http_stream_write(got, ":\n", 2);
        usleep(1000);
    }
    ck_assert_int_eq(rc, JM_ERR_CLOSED);
    jm_http_stream_end(got);
    jm_buf_fini(&out);
    jm_httpd_free(httpd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("httpd");
    TCase *tcase = tcase_create("httpd");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, routes_and_answers);
    tcase_add_test(tcase, slow_clients_are_let_go);
    tcase_add_test(tcase, addresses);
    tcase_add_test(tcase, the_pool_gets_the_whole_request);
    tcase_add_test(tcase, a_stopped_pool_says_so);
    tcase_add_test(tcase, streams_go_on_until_they_are_ended);
    tcase_add_test(tcase, streams_of_those_who_do_not_read);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
