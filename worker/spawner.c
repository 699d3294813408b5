/* The worker's end of the spawner: sends orders, hears how children ended. */
#include "spawner.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/spawn_message.h"

enum { MAX_FILES = 65536 };

/* A packet that the socket had no room for. */
typedef struct packet {
    struct packet *next;
    jm_buf bytes;
    int fds[SPAWN_FDS];
    int n_fds;
} packet;

typedef struct living {
    struct living *next;
    uint64_t id;
    jm_spawn_end_fn *fn;
    void *ctx;
} living;

struct jm_spawner {
    int socket;
    pid_t pid;
    jm_watch *watch;
    uint64_t last_id;
    living *living;
    packet *packets, **last_packet; /* waiting for room */
};

/* ---- the helper's life ---- */

/* A child takes four descriptors here and one in the helper, and the usual soft limit is 1024.
 * Children get theirs as it was: programs that use select() count on it. */
static rlim_t raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 1024;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < MAX_FILES ? limit.rlim_max : MAX_FILES;
    if (limit.rlim_cur > before)
        setrlimit(RLIMIT_NOFILE, &limit);
    return before;
}

static void become_helper(int socket, rlim_t child_files)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    spawner_helper_run(socket, child_files);
    _exit(0);
}

int jm_spawner_new(jm_spawner **out, jm_err *err)
{
    int pair[2], size = 1 << 20;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return jm_err_errno(err, JM_ERR_IO, "cannot make the spawner's socket");
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    rlim_t child_files = raise_files();
    pid_t pid = fork();
    if (pid < 0) {
        jm_err_errno(err, JM_ERR_IO, "cannot fork the spawner");
        close(pair[0]);
        close(pair[1]);
        return err ? err->code : JM_ERR_IO;
    }
    if (!pid) {
        close(pair[0]);
        become_helper(pair[1], child_files);
    }
    close(pair[1]);
    jm_spawner *spawner = jm_calloc(1, sizeof *spawner);
    spawner->socket = pair[0];
    spawner->pid = pid;
    spawner->last_packet = &spawner->packets;
    *out = spawner;
    return JM_OK;
}

static void free_packet(packet *p)
{
    for (int i = 0; i < p->n_fds; i++)
        close(p->fds[i]);
    jm_buf_fini(&p->bytes);
    free(p);
}

void jm_spawner_free(jm_spawner *spawner)
{
    if (!spawner)
        return;
    jm_spawner_detach(spawner);
    for (packet *p = spawner->packets, *next; p; p = next) {
        next = p->next;
        free_packet(p);
    }
    for (living *l = spawner->living, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    close(spawner->socket);
    while (waitpid(spawner->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    free(spawner);
}

/* No child can be started or stopped any more, and forking anew is not safe with threads: ending
 * here is what brings a fresh start by the supervisor, and rescue for the jobs. */
static void helper_is_gone(void)
{
    jm_log_kv(JM_ERROR, "spawner", "the spawner process is gone; this process ends with it", NULL);
    _exit(70);
}

/* ---- orders ---- */

/* True once the packet is on its way. */
static bool send_packet(const jm_spawner *spawner, const packet *p)
{
    union {
        char bytes[CMSG_SPACE(SPAWN_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {p->bytes.data, p->bytes.len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (p->n_fds) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE((size_t)p->n_fds * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN((size_t)p->n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), p->fds, (size_t)p->n_fds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(spawner->socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS)
        helper_is_gone();
    return n >= 0;
}

static void flush_packets(jm_spawner *spawner)
{
    while (spawner->packets && send_packet(spawner, spawner->packets)) {
        packet *sent = spawner->packets;
        spawner->packets = sent->next;
        free_packet(sent);
    }
    if (!spawner->packets)
        spawner->last_packet = &spawner->packets;
    if (spawner->watch)
        jm_watch_set_events(spawner->watch, spawner->packets ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void post_packet(jm_spawner *spawner, packet *p)
{
    p->next = NULL;
    *spawner->last_packet = p;
    spawner->last_packet = &p->next;
    flush_packets(spawner);
}

static void add_string(jm_buf *bytes, const char *s)
{
    jm_buf_add(bytes, s ? s : "", s ? strlen(s) + 1 : 1);
}

static uint32_t add_strings(jm_buf *bytes, const char *const *strings)
{
    uint32_t n = 0;
    for (; strings[n]; n++)
        add_string(bytes, strings[n]);
    return n;
}

int jm_spawner_spawn(jm_spawner *spawner, const jm_spawn_request *request, jm_spawn_end_fn *fn,
                     void *ctx, uint64_t *id, jm_err *err)
{
    packet *p = jm_calloc(1, sizeof *p);
    spawn_order order = {.kind = SPAWN_START,
                         .id = ++spawner->last_id,
                         .cpu_s = request->cpu_s,
                         .memory_bytes = request->memory_bytes,
                         .files = request->files};
    memcpy(p->fds, request->fds, sizeof p->fds);
    p->n_fds = SPAWN_FDS;
    jm_buf_add(&p->bytes, &order, sizeof order);
    add_string(&p->bytes, request->cwd);
    add_string(&p->bytes, request->user);
    add_string(&p->bytes, request->output_dir);
    order.argc = add_strings(&p->bytes, request->argv);
    order.envc = add_strings(&p->bytes, request->env);
    memcpy(p->bytes.data, &order, sizeof order);
    if (p->bytes.len > SPAWN_PACKET_MAX) {
        jm_err_set(err, JM_ERR_INVALID, "arguments and environment are larger than %d bytes",
                   SPAWN_PACKET_MAX);
        free_packet(p);
        return JM_ERR_INVALID;
    }
    living *l = jm_malloc(sizeof *l);
    *l = (living){.next = spawner->living, .id = order.id, .fn = fn, .ctx = ctx};
    spawner->living = l;
    *id = order.id;
    post_packet(spawner, p);
    return JM_OK;
}

void jm_spawner_kill(jm_spawner *spawner, uint64_t id, int signal)
{
    packet *p = jm_calloc(1, sizeof *p);
    spawn_order order = {.kind = SPAWN_KILL, .id = id, .signal = signal};
    jm_buf_add(&p->bytes, &order, sizeof order);
    post_packet(spawner, p);
}

/* ---- reports ---- */

static const char *stage_text(spawn_stage stage)
{
    static const char *const texts[] = {[SPAWN_STAGE_NONE] = NULL,
                                        [SPAWN_STAGE_FORK] = "fork",
                                        [SPAWN_STAGE_USER] = "switch the user",
                                        [SPAWN_STAGE_FDS] = "arrange the descriptors",
                                        [SPAWN_STAGE_LIMITS] = "set the limits",
                                        [SPAWN_STAGE_CWD] = "enter the working directory",
                                        [SPAWN_STAGE_EXEC] = "run the program"};
    return texts[stage];
}

static void take_report(jm_spawner *spawner, const spawn_report *report)
{
    living **at = &spawner->living;
    while (*at && (*at)->id != report->id)
        at = &(*at)->next;
    assert(*at);
    living l = **at;
    free(*at);
    *at = l.next;
    jm_spawn_end end = {
        .status = report->status, .failed = stage_text(report->stage), .error = report->error};
    l.fn(l.ctx, &end);
}

static void on_socket(void *ctx, uint32_t events)
{
    jm_spawner *spawner = ctx;
    if (events & EPOLLOUT)
        flush_packets(spawner);
    for (;;) {
        spawn_report report;
        ssize_t n = recv(spawner->socket, &report, sizeof report, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n != (ssize_t)sizeof report)
            helper_is_gone();
        take_report(spawner, &report);
    }
}

int jm_spawner_attach(jm_spawner *spawner, jm_loop *loop, jm_err *err)
{
    spawner->watch = jm_loop_watch(loop, spawner->socket, EPOLLIN, on_socket, spawner);
    return spawner->watch ? JM_OK
                          : jm_err_errno(err, JM_ERR_IO, "cannot watch the spawner's socket");
}

void jm_spawner_detach(jm_spawner *spawner)
{
    jm_watch_free(spawner->watch);
    spawner->watch = NULL;
}
