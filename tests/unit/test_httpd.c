/* Tests of the HTTP server, over real sockets. */
#include "common/httpd.h"

#include <arpa/inet.h>
#include <check.h>
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

int main(void)
{
    Suite *suite = suite_create("httpd");
    TCase *tcase = tcase_create("httpd");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, routes_and_answers);
    tcase_add_test(tcase, slow_clients_are_let_go);
    tcase_add_test(tcase, addresses);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
