/* A client of the HTTP API that costs next to nothing, one thread with epoll:
 *   http_client requests ADDRESS CONNECTIONS COUNT METHOD PATH STATUS   (body: standard input)
 * makes COUNT requests over kept-alive connections, one at a time on each, and prints the seconds
 * from the first to the last answer and quantiles of the time of one, as JSON; http_client listen
 * ADDRESS CONNECTIONS                  (a path a connection: standard input) opens streams and
 * prints "open" once each has an answer; then, for each line of standard input, when the first and
 * the last stream has had that text, as seconds since 1970. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, CHUNK = 65536, TAIL = 512, LINE = 512 };

typedef struct connection {
    int fd;
    size_t have; /* of the answer */
    double began_s;
    char *data; /* requests: the answer so far; listen: the end of what came */
    size_t cap;
    int told;
} connection;

static char *request;
static size_t request_len;

static void fail(const char *what)
{
    fprintf(stderr, "http_client: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
    exit(1);
}

static double clock_s(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *grow(void *data, size_t bytes)
{
    void *more = realloc(data, bytes);
    if (!more)
        fail("realloc");
    return more;
}

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    const char *colon = strrchr(text, ':');
    char host[64] = "";
    if (colon && (size_t)(colon - text) < sizeof host)
        memcpy(host, text, (size_t)(colon - text));
    at.sin_port = htons((uint16_t)strtoul(colon ? colon + 1 : "", NULL, 10));
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1)
        fail(text);
    return at;
}

/* Connections that do not block, and who tells of them. */
static connection *connect_all(const char *address, size_t n, int epoll)
{
    struct sockaddr_in at = address_of(address);
    connection *all = grow(NULL, n * sizeof *all);
    memset(all, 0, n * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at))
            fail("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event ev = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
            fail("epoll_ctl");
        all[i].fd = fd;
        all[i].cap = CHUNK;
        all[i].data = grow(NULL, CHUNK + 1);
    }
    return all;
}

/* ---- requests ---- */

static void send_request(connection *c)
{
    c->began_s = clock_s(CLOCK_MONOTONIC);
    c->have = 0;
    for (size_t sent = 0; sent < request_len;) {
        ssize_t n = send(c->fd, request + sent, request_len - sent, MSG_NOSIGNAL);
        if (n < 0)
            fail("send");
        sent += (size_t)n;
    }
}

/* Whether the answer is whole; another status than the expected one ends the program. */
static int take_answer(connection *c, const char *status)
{
    if (c->have == c->cap)
        c->data = grow(c->data, (c->cap *= 2) + 1);
    ssize_t n = recv(c->fd, c->data + c->have, c->cap - c->have, 0);
    if (n <= 0) {
        errno = n ? errno : ECONNRESET;
        fprintf(stderr, "%.3f s after the request\n", clock_s(CLOCK_MONOTONIC) - c->began_s);
        fail(c->have ? "an answer was cut" : "no answer came");
    }
    c->have += (size_t)n;
    c->data[c->have] = 0;
    const char *end = strstr(c->data, "\r\n\r\n");
    if (!end)
        return 0;
    if (strncmp(c->data + 9, status, 3) != 0) {
        errno = 0;
        fail(c->data);
    }
    const char *length = strcasestr(c->data, "\r\nContent-Length:");
    if (!length || length > end) {
        errno = 0;
        fail("an answer without Content-Length");
    }
    return c->have >= (size_t)(end - c->data) + 4 + strtoul(length + 17, NULL, 10);
}

static void read_body_and_build(const char *method, const char *path)
{
    size_t len = 0, cap = CHUNK, n;
    char *body = grow(NULL, cap);
    while ((n = fread(body + len, 1, cap - len, stdin)) > 0)
        if ((len += n) == cap)
            body = grow(body, cap *= 2);
    request = grow(NULL, len + 2048);
    request_len = (size_t)snprintf(request, 2048,
                                   "%s %s HTTP/1.1\r\nHost: bench\r\nContent-Type: "
                                   "application/json\r\nContent-Length: %zu\r\n\r\n",
                                   method, path, len);
    memcpy(request + request_len, body, len);
    request_len += len;
    free(body);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void requests(connection *all, size_t connections, int epoll, size_t count,
                     const char *status)
{
    size_t sent = 0, done = 0;
    double *took = grow(NULL, count * sizeof *took), began_s = clock_s(CLOCK_MONOTONIC);
    for (size_t i = 0; i < connections && sent < count; i++, sent++)
        send_request(&all[i]);
    while (done < count) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, 30000);
        if (n <= 0)
            fail("no answer for 30 s");
        for (int i = 0; i < n; i++) {
            connection *c = &all[events[i].data.u64];
            if (!take_answer(c, status))
                continue;
            took[done++] = clock_s(CLOCK_MONOTONIC) - c->began_s;
            if (sent < count) {
                send_request(c);
                sent++;
            }
        }
    }
    double seconds = clock_s(CLOCK_MONOTONIC) - began_s;
    qsort(took, count, sizeof *took, by_value);
    printf("{\"seconds\": %.6f, \"cpu_s\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": "
           "%.3f}\n",
           seconds, clock_s(CLOCK_PROCESS_CPUTIME_ID), took[count / 2] * 1e3,
           took[count * 99 / 100] * 1e3, took[count - 1] * 1e3);
    free(took);
}

/* ---- streams ---- */

/* Keeps the end of what came; whether the text is in it. */
static int take_stream(connection *c, const char *text)
{
    if (c->have > TAIL) {
        memmove(c->data, c->data + c->have - TAIL, TAIL);
        c->have = TAIL;
    }
    ssize_t n = recv(c->fd, c->data + c->have, c->cap - c->have, 0);
    if (n <= 0 && !c->told) {
        fprintf(stderr, "%s\n", c->data);
        fail("a stream ended");
    }
    if (n <= 0) { /* it has had what it was for */
        shutdown(c->fd, SHUT_RDWR);
        close(c->fd);
        c->fd = -1;
        return 1;
    }
    c->have += (size_t)n;
    c->data[c->have] = 0;
    return strstr(c->data, text) != NULL;
}

/* Until each stream has had the text. */
static void wait_for(connection *all, size_t connections, int epoll, const char *text,
                     double *first_s, double *last_s)
{
    size_t told = 0;
    for (size_t i = 0; i < connections; i++)
        told += (size_t)(all[i].told = all[i].have && strstr(all[i].data, text) != NULL);
    while (told < connections) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, 60000);
        if (n <= 0) {
            fprintf(stderr, "http_client: %zu of %zu streams have had \"%s\"\n", told, connections,
                    text);
            exit(1);
        }
        for (int i = 0; i < n; i++) {
            connection *c = &all[events[i].data.u64];
            if (!take_stream(c, text) || c->told)
                continue;
            *last_s = clock_s(CLOCK_REALTIME);
            if (!told++)
                *first_s = *last_s;
            c->told = 1;
        }
    }
}

static int read_line(char *line)
{
    if (!fgets(line, LINE, stdin))
        return 0;
    line[strcspn(line, "\n")] = 0;
    return 1;
}

static void streams(connection *all, size_t connections, int epoll)
{
    char line[LINE], head[LINE + 64];
    double first_s = 0, last_s = 0;
    for (size_t i = 0; i < connections; i++) {
        if (!read_line(line))
            fail("a path a connection is needed");
        request_len =
            (size_t)snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", line);
        request = head;
        send_request(&all[i]);
    }
    wait_for(all, connections, epoll, "HTTP/1.1 200", &first_s, &last_s);
    puts("open");
    fflush(stdout);
    while (read_line(line)) {
        wait_for(all, connections, epoll, line, &first_s, &last_s);
        printf("%.6f %.6f\n", first_s, last_s);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    int requesting = argc == 8 && !strcmp(argv[1], "requests");
    if (!requesting && !(argc == 4 && !strcmp(argv[1], "listen"))) {
        fprintf(stderr, "usage: http_client requests ADDRESS CONNECTIONS COUNT METHOD PATH STATUS\n"
                        "       http_client listen ADDRESS CONNECTIONS\n");
        return 2;
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t connections = strtoul(argv[3], NULL, 10);
    connection *all = connect_all(argv[2], connections, epoll);
    if (requesting) {
        read_body_and_build(argv[5], argv[6]);
        requests(all, connections, epoll, strtoul(argv[4], NULL, 10), argv[7]);
        free(request);
    } else {
        streams(all, connections, epoll);
    }
    for (size_t i = 0; i < connections; i++) {
        if (all[i].fd >= 0)
            close(all[i].fd);
        free(all[i].data);
    }
    free(all);
    close(epoll);
    return 0;
}
