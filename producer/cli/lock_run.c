/* Runs a command while holding a lock: one thread keeps the lock, the other watches the command. */
#include "producer/cli/lock_run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/locks.h"

enum { GRACE_MAX_US = 5000000, TICK_MS = 50 };

struct keeper {
    const jm_lock_run *run;
    int64_t token;
    _Atomic bool over;
    _Atomic int64_t until_us; /* jm_boot_us() at which the command is told to end */
    jm_err err;               /* why it could not be kept; read after the thread's end */
};

/* Of the time that the lock is held ahead the command is left at most a quarter for its end, and a
 * tenth is for clocks that do not run alike. */
static int64_t grace_us(const jm_lock_run *run)
{
    int64_t quarter_us = (int64_t)(run->ttl_s * 250000);
    return quarter_us < GRACE_MAX_US ? quarter_us : GRACE_MAX_US;
}

static int64_t hold_us(const jm_lock_run *run)
{
    return (int64_t)(run->ttl_s * 900000) - grace_us(run);
}

static void sleep_ms(int ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&ts, NULL);
}

/* false: the lock is somebody else's now. */
static bool extend(struct keeper *keeper)
{
    const jm_lock_run *run = keeper->run;
    int64_t asked_us = jm_boot_us();
    json_t *lock = NULL;
    jm_err err = {0};
    int rc = jm_pg_is_up(run->pg) ? JM_OK : jm_pg_connect(run->pg, &err);
    rc = rc ? rc
            : jm_locks_extend(run->pg, run->project, run->name, keeper->token, run->ttl_s, &lock,
                              &err);
    json_decref(lock);
    if (rc)
        keeper->err = err;
    else
        atomic_store(&keeper->until_us, asked_us + hold_us(run));
    return rc != JM_ERR_CONFLICT;
}

static void *keep(void *arg)
{
    struct keeper *keeper = arg;
    int64_t every_us = (int64_t)(keeper->run->ttl_s * 1e6 / 3);
    int64_t next_us = jm_boot_us() + every_us;
    while (!atomic_load(&keeper->over)) {
        sleep_ms(TICK_MS);
        if (jm_boot_us() < next_us)
            continue;
        if (!extend(keeper)) {
            atomic_store(&keeper->until_us, 0);
            break;
        }
        bool kept = atomic_load(&keeper->until_us) > jm_boot_us() + hold_us(keeper->run) - every_us;
        next_us = jm_boot_us() + (kept ? every_us : every_us / 10);
    }
    return NULL;
}

/* The environment with the token in it. The caller frees both. */
static char **environment(int64_t token, char *text, size_t size)
{
    extern char **environ;
    size_t n = 0;
    while (environ[n])
        n++;
    char **env = jm_calloc(n + 2, sizeof *env);
    snprintf(text, size, "JOBMILL_LOCK_TOKEN=%lld", (long long)token);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "JOBMILL_LOCK_TOKEN=", 19) != 0)
            env[k++] = environ[i];
    env[k] = text;
    return env;
}

/* Without a terminal the command has a process group of its own, which is ended as a whole. It does
 * not outlive us: nobody would keep its lock. */
static pid_t start(const jm_lock_run *run, char **env, const sigset_t *signals, bool group,
                   jm_err *err)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return jm_err_errno(err, JM_ERR_IO, "cannot fork"), -1;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(127);
        if (group)
            setpgid(0, 0);
        sigprocmask(SIG_SETMASK, signals, NULL);
        execvpe(run->argv[0], run->argv, env);
        dprintf(STDERR_FILENO, "jobmill: cannot run %s: %s\n", run->argv[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }
    if (group)
        setpgid(pid, pid);
    return pid;
}

static void end(pid_t pid, bool group, int signal)
{
    kill(group ? -pid : pid, signal);
}

/* Until the command has ended: hands signals on, and ends it when the lock cannot be kept. */
static int watch(struct keeper *keeper, pid_t pid, const sigset_t *waited, bool group, bool *lost)
{
    int status = 0;
    int64_t kill_us = INT64_MAX;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
        int signal = sigtimedwait(waited, NULL, &tick);
        if (signal > 0 && signal != SIGCHLD && group)
            end(pid, group, signal);
        int64_t now_us = jm_boot_us();
        if (!*lost && now_us >= atomic_load(&keeper->until_us)) {
            *lost = true;
            kill_us = now_us + grace_us(keeper->run);
            end(pid, group, SIGTERM);
        }
        if (now_us >= kill_us) {
            kill_us = INT64_MAX;
            end(pid, group, SIGKILL);
        }
    }
    if (*lost && group)
        end(pid, group, SIGKILL); /* what it has left behind */
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_held(struct keeper *keeper, int *status, jm_err *err)
{
    const jm_lock_run *run = keeper->run;
    sigset_t waited, before;
    pthread_t thread;
    char token[48];
    bool lost = false, group = !isatty(STDIN_FILENO);
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGHUP);
    sigprocmask(SIG_BLOCK, &waited, &before);
    char **env = environment(keeper->token, token, sizeof token);
    pid_t pid = start(run, env, &before, group, err);
    free(env);
    if (pid < 0)
        return err->code;
    jm_pg_set_timeout(run->pg, (int)(run->ttl_s * 1000 / 3));
    bool kept = !pthread_create(&thread, NULL, keep, keeper);
    if (!kept)
        atomic_store(&keeper->until_us, 0);
    *status = watch(keeper, pid, &waited, group, &lost);
    atomic_store(&keeper->over, true);
    if (kept)
        pthread_join(thread, NULL);
    if (!lost)
        return JM_OK;
    return jm_err_set(err, JM_ERR_CONFLICT,
                      "the lock could not be kept, and the command was ended: %s",
                      keeper->err.msg[0] ? keeper->err.msg : "no thread could be started");
}

int jm_lock_run_command(const jm_lock_run *run, int *status, jm_err *err)
{
    struct keeper keeper = {.run = run};
    json_t *lock = NULL;
    jm_err ignored;
    int rc;
    int64_t asked_us;
    /* What is asked for is what is waited for: one try at a time, so that asked_us is that of the
     * one that has the lock. */
    int64_t until_us = jm_boot_us() + (int64_t)(run->wait_s * 1e6);
    do {
        asked_us = jm_boot_us();
        rc = jm_locks_acquire(run->pg, run->project, run->name, run->owner, run->ttl_s, 0, &lock,
                              err);
        if (rc == JM_ERR_CONFLICT && jm_boot_us() < until_us)
            sleep_ms(2 * TICK_MS);
    } while (rc == JM_ERR_CONFLICT && jm_boot_us() < until_us);
    if (rc)
        return rc;
    keeper.token = json_integer_value(json_object_get(lock, "token"));
    json_decref(lock);
    atomic_store(&keeper.until_us, asked_us + hold_us(run));
    rc = run_held(&keeper, status, err);
    if (!jm_pg_is_up(run->pg))
        (void)jm_pg_connect(run->pg, &ignored);
    (void)jm_locks_release(run->pg, run->project, run->name, keeper.token, &ignored);
    return rc;
}
