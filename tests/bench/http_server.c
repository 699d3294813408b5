/* Answers every HTTP/1.1 request on a free port of 127.0.0.1 with 200 and a small JSON object, and
 * keeps connections open; prints the port. One thread; ends when its standard input does. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_REQUEST = 65536, EVENTS = 256, FDS = 65536 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 11\r\n\r\n{\"ok\":true}";

typedef struct client {
    size_t n;
    char data[MAX_REQUEST + 1];
} client;

static client *clients[FDS];

static void drop(int fd)
{
    free(clients[fd]);
    clients[fd] = NULL;
    close(fd);
}

/* Bytes of the first whole request in the buffer, or 0. */
static size_t request_bytes(const client *c)
{
    const char *end = strstr(c->data, "\r\n\r\n");
    if (!end)
        return 0;
    size_t body = 0;
    for (const char *line = c->data; line < end; line = strstr(line, "\r\n") + 2)
        if (!strncasecmp(line, "content-length:", 15))
            body = strtoul(line + 15, NULL, 10);
    size_t all = (size_t)(end - c->data) + 4 + body;
    return all <= c->n ? all : 0;
}

static void serve(int fd)
{
    client *c = clients[fd];
    ssize_t n = read(fd, c->data + c->n, MAX_REQUEST - c->n);
    if (n <= 0) {
        if (!(n < 0 && errno == EAGAIN))
            drop(fd);
        return;
    }
    c->n += (size_t)n;
    c->data[c->n] = 0;
    for (size_t used; (used = request_bytes(c));) {
        if (write(fd, answer, sizeof answer - 1) != (ssize_t)sizeof answer - 1) {
            drop(fd);
            return;
        }
        c->n -= used;
        memmove(c->data, c->data + used, c->n + 1);
    }
    if (c->n == MAX_REQUEST)
        drop(fd);
}

static void take_client(int epoll, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= FDS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev)) {
        close(fd);
        return;
    }
    clients[fd] = calloc(1, sizeof(client));
    if (!clients[fd])
        close(fd);
}

static int listen_anywhere(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&at, &len)) {
        perror("http_server");
        exit(1);
    }
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int main(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_anywhere();
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev);
    ev.data.fd = STDIN_FILENO;
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO)
                return 0;
            if (fd == listener)
                take_client(epoll, listener);
            else if (clients[fd])
                serve(fd);
        }
    }
}
