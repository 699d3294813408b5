/* The spawner process: one thread, nothing of the worker's but a socket. It forks children, reaps
 * them, and kills what outlives its job. All signals are blocked here; SIGCHLD comes by descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "worker/spawn_message.h"

enum { MAX_GROUPS = 256, FIRST_FREE_FD = 10, STATUS_FD = 4, LAST_WORDS_MS = 5000, SWEEP_MS = 20 };
enum { CHILD_STACK_BYTES = 2 << 20 }; /* execvp may copy all arguments on it */

static const char job_id_var[] = "JOBMILL_JOB_ID=";

/* A child that was asked for, until it is reaped. */
typedef struct child {
    struct child *next;
    uint64_t id;
    pid_t pid;
    int status_fd; /* readable: it failed before its program ran, and this is how */
    char *job_id;  /* the variable as it is in its environment, or NULL */
} child;

typedef struct helper {
    int socket, signal_fd;
    rlim_t child_files; /* soft limit of descriptors as the worker found it */
    child *children;
    char *packet;
    char *child_stack; /* of the one child that is between clone and exec */
    bool swept;        /* there is no stray since the last child ended */
} helper;

/* Whom a child is to be. */
typedef struct identity {
    bool switched;
    uid_t uid;
    gid_t gid;
    gid_t groups[MAX_GROUPS];
    int n_groups;
    char vars[3][300]; /* HOME, USER, LOGNAME as variables */
} identity;

/* An order to start, taken apart; strings lie in the packet. */
typedef struct start {
    spawn_order order;
    const char *cwd, *user, *output_dir;
    char **argv, **env;
    int fds[SPAWN_FDS];
    identity who;
} start;

typedef struct failure {
    spawn_stage stage;
    int error;
} failure;

/* ---- inside the child, between clone and exec: it writes to its stack and to environ only ---- */

#define ON_OWN_STACK __attribute__((no_sanitize("address"))) /* which it would warn about */

ON_OWN_STACK static _Noreturn void give_up(int status_fd, spawn_stage stage)
{
    failure why = {stage, errno};
    ssize_t n = write(status_fd, &why, sizeof why);
    (void)n;
    for (;;) /* not _exit, in which a sanitizer would look at our parent's memory */
        syscall(SYS_exit_group, 127);
}

/* Puts fds at 0 to 3 and the status pipe at 4, and closes the rest. */
static int arrange_fds(const int fds[SPAWN_FDS], int status_fd)
{
    int moved[SPAWN_FDS];
    int status = fcntl(status_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    for (int i = 0; i < SPAWN_FDS; i++)
        moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    for (int i = 0; i < SPAWN_FDS; i++)
        if (dup2(moved[i], i) < 0)
            return status_fd;
    if (dup3(status, STATUS_FD, O_CLOEXEC) < 0)
        return status_fd;
    if (close_range(STATUS_FD + 1, ~0u, 0))
        for (int fd = STATUS_FD + 1; fd < 65536; fd++)
            close(fd);
    return STATUS_FD;
}

static bool limit(int what, int64_t soft, int64_t hard)
{
    struct rlimit now, wanted = {(rlim_t)soft, (rlim_t)hard};
    if (!soft)
        return true;
    if (getrlimit((__rlimit_resource_t)what, &now))
        return false;
    if (wanted.rlim_max > now.rlim_max)
        wanted.rlim_max = now.rlim_max;
    if (wanted.rlim_cur > wanted.rlim_max)
        wanted.rlim_cur = wanted.rlim_max;
    return !setrlimit((__rlimit_resource_t)what, &wanted);
}

/* The hard limit of CPU time is a little later, so that a child may answer SIGXCPU. */
static bool set_limits(const spawn_order *order)
{
    return limit(RLIMIT_CPU, order->cpu_s, order->cpu_s + 5) &&
           limit(RLIMIT_AS, order->memory_bytes, order->memory_bytes) &&
           limit(RLIMIT_NOFILE, order->files, order->files);
}

static bool switch_user(const identity *who)
{
    return !who->switched ||
           (!setgroups((size_t)who->n_groups, who->groups) &&
            !setresgid(who->gid, who->gid, who->gid) && !setresuid(who->uid, who->uid, who->uid));
}

ON_OWN_STACK static _Noreturn void run_child(const start *s, rlim_t files, pid_t helper_pid,
                                             int status_fd)
{
    struct rlimit now;
    sigset_t none;
    setsid();
    status_fd = arrange_fds(s->fds, status_fd);
    if (status_fd != STATUS_FD)
        give_up(status_fd, SPAWN_STAGE_FDS);
    if (!getrlimit(RLIMIT_NOFILE, &now))
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){files, now.rlim_max});
    if (!set_limits(&s->order))
        give_up(status_fd, SPAWN_STAGE_LIMITS);
    if (!switch_user(&s->who))
        give_up(status_fd, SPAWN_STAGE_USER);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* Changing the user clears it, so it is asked for here; then the helper may be gone already. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != helper_pid)
        _exit(127);
    if (*s->cwd && chdir(s->cwd))
        give_up(status_fd, SPAWN_STAGE_CWD);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    environ = s->env; /* execvp looks for PATH there */
    execvp(s->argv[0], s->argv);
    give_up(status_fd, SPAWN_STAGE_EXEC);
}

/* ---- starting ---- */

static void tell(const helper *h, const spawn_report *report)
{
    while (send(h->socket, report, sizeof *report, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ; /* any other error: the worker is gone, which the next receive says too */
}

/* Takes the strings of the packet apart. False if it is not what we send. */
static bool split(start *s, char *packet, size_t len)
{
    size_t at = sizeof s->order;
    const char *heads[3];
    for (int i = 0; i < 3; i++) {
        heads[i] = packet + at;
        at += strnlen(packet + at, len - at) + 1;
    }
    s->cwd = heads[0];
    s->user = heads[1];
    s->output_dir = heads[2];
    s->argv = jm_calloc(s->order.argc + 1, sizeof(char *));
    s->env = jm_calloc(s->order.envc + 1 + 3, sizeof(char *));
    for (uint32_t i = 0; i < s->order.argc + s->order.envc && at < len; i++) {
        char *string = packet + at;
        at += strnlen(string, len - at) + 1;
        if (i < s->order.argc)
            s->argv[i] = string;
        else
            s->env[i - s->order.argc] = string;
    }
    return at == len && s->order.argc;
}

static const char *find_var(char *const *env, const char *name_and_sign)
{
    for (; *env; env++)
        if (!strncmp(*env, name_and_sign, strlen(name_and_sign)))
            return *env;
    return NULL;
}

/* Resolves the user, where one is wanted who is not us. */
static bool find_user(start *s)
{
    static const char *const names[] = {"HOME=", "USER=", "LOGNAME="};
    identity *who = &s->who;
    if (!*s->user)
        return true;
    errno = 0;
    const struct passwd *pw = getpwnam(s->user); /* cppcheck-suppress getpwnamCalled; one thread */
    if (!pw) {
        errno = errno ? errno : ENOENT;
        return false;
    }
    const char *values[] = {pw->pw_dir, pw->pw_name, pw->pw_name};
    for (uint32_t i = 0, n = s->order.envc; i < 3; i++) {
        snprintf(who->vars[i], sizeof who->vars[i], "%s%s", names[i], values[i]);
        if (!find_var(s->env, names[i]))
            s->env[n++] = who->vars[i];
    }
    if (pw->pw_uid == geteuid())
        return true;
    who->switched = true;
    who->uid = pw->pw_uid;
    who->gid = pw->pw_gid;
    who->n_groups = MAX_GROUPS;
    if (getgrouplist(pw->pw_name, pw->pw_gid, who->groups, &who->n_groups) < 0)
        who->n_groups = MAX_GROUPS;
    return !*s->output_dir || !chown(s->output_dir, who->uid, who->gid);
}

/* What a child needs on its way to its program. */
typedef struct birth {
    const start *start;
    rlim_t files;
    pid_t helper_pid;
    int status_fd;
} birth;

ON_OWN_STACK static int be_born(void *arg)
{
    const birth *b = arg;
    run_child(b->start, b->files, b->helper_pid, b->status_fd);
}

static bool fork_child(helper *h, const start *s, failure *why)
{
    int pipe_fds[2];
    pid_t self = getpid();
    *why = (failure){SPAWN_STAGE_FORK, 0};
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK)) {
        why->error = errno;
        return false;
    }
    char **own_environ = environ;
    birth born = {s, h->child_files, self, pipe_fds[1]};
    /* Not fork: copying the page tables of this process, and taking them apart again, costs as much
     * as the rest of starting a small program. Until it runs, or has given up, it has our memory
     * (and a stack of its own) and we wait. */
    pid_t pid =
        clone(be_born, h->child_stack + CHILD_STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, &born);
    environ = own_environ;
    why->error = errno;
    close(pipe_fds[1]);
    if (pid < 0) {
        close(pipe_fds[0]);
        return false;
    }
    child *c = jm_calloc(1, sizeof *c);
    *c = (child){.next = h->children,
                 .id = s->order.id,
                 .pid = pid,
                 .status_fd = pipe_fds[0],
                 .job_id = jm_strdup(find_var(s->env, job_id_var))};
    h->children = c;
    return true;
}

static void start_child(helper *h, start *s, size_t len)
{
    failure why = {SPAWN_STAGE_FORK, EPROTO};
    bool ok = split(s, h->packet, len);
    if (ok && !(ok = find_user(s)))
        why = (failure){SPAWN_STAGE_USER, errno};
    if (ok)
        ok = fork_child(h, s, &why);
    free(s->argv);
    free(s->env);
    if (!ok)
        tell(h, &(spawn_report){.id = s->order.id, .stage = why.stage, .error = why.error});
}

/* ---- orders ---- */

/* A child that has not got its own group yet has the signals blocked, and finds this one waiting.
 */
static void kill_group(pid_t pid, int signal)
{
    if (kill(-pid, signal))
        kill(pid, signal);
}

static void take_fds(struct msghdr *msg, int fds[SPAWN_FDS])
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg))
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
            cmsg->cmsg_len == CMSG_LEN(SPAWN_FDS * sizeof(int)))
            memcpy(fds, CMSG_DATA(cmsg), SPAWN_FDS * sizeof(int));
}

/* One packet. False when there is none now; *gone when the worker is. */
static bool take_order(helper *h, bool *gone)
{
    union {
        char bytes[CMSG_SPACE(SPAWN_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {h->packet, SPAWN_PACKET_MAX};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(h->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    start s = {.fds = {-1, -1, -1, -1}};
    if (n < (ssize_t)sizeof s.order) {
        *gone = true;
        return false;
    }
    memcpy(&s.order, h->packet, sizeof s.order);
    take_fds(&msg, s.fds);
    if (s.order.kind == SPAWN_START) {
        start_child(h, &s, (size_t)n);
    } else {
        for (const child *c = h->children; c; c = c->next)
            if (c->id == s.order.id)
                kill_group(c->pid, s.order.signal);
    }
    for (int i = 0; i < SPAWN_FDS; i++)
        if (s.fds[i] >= 0)
            close(s.fds[i]);
    return true;
}

/* ---- reaping ---- */

static child **find_child(helper *h, pid_t pid)
{
    child **at = &h->children;
    while (*at && (*at)->pid != pid)
        at = &(*at)->next;
    return at;
}

static void child_ended(helper *h, child **at, int status)
{
    child *c = *at;
    failure why = {SPAWN_STAGE_NONE, 0};
    spawn_report report = {.id = c->id, .status = status};
    if (read(c->status_fd, &why, sizeof why) == (ssize_t)sizeof why) {
        report.stage = why.stage;
        report.error = why.error;
    }
    *at = c->next;
    close(c->status_fd);
    free(c->job_id);
    free(c);
    tell(h, &report);
}

/* Whether the process belongs to a job that has a child running. One whose environment tells
 * nothing is spared while anything runs. */
static bool has_living_job(const helper *h, pid_t pid)
{
    char path[40], env[8192];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, env, sizeof env - 1);
    if (fd >= 0)
        close(fd);
    env[n > 0 ? n : 0] = 0;
    const char *var = env, *end = env + (n > 0 ? n : 0);
    while (var < end && strncmp(var, job_id_var, sizeof job_id_var - 1) != 0)
        var += strlen(var) + 1;
    if (var >= end)
        return h->children != NULL;
    for (const child *c = h->children; c; c = c->next)
        if (c->job_id && !strcmp(c->job_id, var))
            return true;
    return false;
}

/* Processes that left their group come to us when their parent dies (we are the subreaper): those
 * whose job is over are killed. */
static void kill_strays(helper *h)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    h->swept = true;
    char *list = NULL, *end;
    size_t size = 0;
    if (!file)
        return;
    if (getline(&list, &size, file) > 0) {
        long pid;
        for (char *p = list; (pid = strtol(p, &end, 10)) > 0; p = end)
            if (!*find_child(h, (pid_t)pid) && !has_living_job(h, (pid_t)pid))
                kill((pid_t)pid, SIGKILL);
    }
    free(list);
    fclose(file);
}

/* The group is killed while the dead child still holds its number, so no other can have it. */
static void reap(helper *h)
{
    siginfo_t info = {0};
    int status = 0;
    h->swept = false;
    while (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid) {
        pid_t pid = info.si_pid;
        child **at = find_child(h, pid);
        if (*at)
            kill(-pid, SIGKILL);
        waitpid(pid, &status, 0);
        if (*at)
            child_ended(h, at, status);
        info.si_pid = 0;
    }
}

/* The worker is gone: so is everything it started. */
static void kill_all(helper *h)
{
    for (int waited_ms = 0; waited_ms < LAST_WORDS_MS; waited_ms += 5) {
        for (const child *c = h->children; c; c = c->next)
            kill_group(c->pid, SIGKILL);
        reap(h);
        kill_strays(h);
        if (waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) && errno == ECHILD)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

/* ---- the loop ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void detach(helper *h)
{
    sigset_t child_signal;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    /* Nothing else of the worker's stays open here, and so in no child. */
    h->socket = dup3(h->socket, STDERR_FILENO + 1, O_CLOEXEC) < 0 ? h->socket : STDERR_FILENO + 1;
    close_range((unsigned)h->socket + 1, ~0u, 0);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    h->signal_fd = signalfd(-1, &child_signal, SFD_NONBLOCK | SFD_CLOEXEC);
    prctl(PR_SET_NAME, "jobmill-spawner", 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void spawner_helper_run(int socket, rlim_t child_files)
{
    helper h = {.socket = socket,
                .child_files = child_files,
                .packet = jm_malloc(SPAWN_PACKET_MAX + 1),
                .child_stack = jm_malloc(CHILD_STACK_BYTES)};
    bool gone = false;
    int64_t swept_ms = 0;
    h.swept = true;
    detach(&h);
    while (!gone) {
        struct pollfd fds[] = {{.fd = h.socket, .events = POLLIN},
                               {.fd = h.signal_fd, .events = POLLIN}};
        int n = poll(fds, 2, h.swept ? -1 : SWEEP_MS);
        if (!n || now_ms() - swept_ms >= SWEEP_MS) {
            if (!h.swept)
                kill_strays(&h);
            swept_ms = now_ms();
        }
        if (fds[1].revents) {
            struct signalfd_siginfo info;
            while (read(h.signal_fd, &info, sizeof info) > 0)
                ;
            reap(&h);
        }
        while (fds[0].revents && take_order(&h, &gone))
            ;
    }
    kill_all(&h);
    free(h.child_stack);
    free(h.packet);
}
