/* Starting, watching and ending other programs. */
#include "producer/cli/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

enum { TICK_MS = 100 };

void jm_cli_program_find(const char *name, char path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len > 0) {
        self[len] = 0;
        if (snprintf(path, PATH_MAX, "%s/%s", dirname(self), name) < PATH_MAX &&
            access(path, X_OK) == 0)
            return;
    }
    snprintf(path, PATH_MAX, "%s", name);
}

/* ---- in the child ---- */

static int become_user(const char *name)
{
    const struct passwd *user = getpwnam(name);
    if (!user)
        return errno = ENOENT, -1;
    if (setgroups(0, NULL) || setgid(user->pw_gid) || setuid(user->pw_uid))
        return -1;
    return chdir("/");
}

static int write_to(const char *log)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (null < 0 || file < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(file, STDOUT_FILENO) < 0)
        return -1;
    return dup2(file, STDERR_FILENO);
}

static _Noreturn void exec_child(const jm_cli_program *program, pid_t parent, char *const *argv)
{
    sigset_t none;
    setpgid(0, 0);
    int rc = program->log ? write_to(program->log) : 0;
    if (rc >= 0 && program->user)
        rc = become_user(program->user);
    /* After the change of user, which takes it back. */
    prctl(PR_SET_PDEATHSIG, program->stop_signal);
    if (getppid() != parent)
        _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (rc >= 0)
        execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "jobmill: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* ---- in the parent ---- */

int jm_cli_program_start(jm_cli_program *program, char *const *argv)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0)
        exec_child(program, parent, argv);
    setpgid(pid, pid);
    program->pid = pid;
    return 0;
}

int jm_cli_program_ended(jm_cli_program *program, int *status)
{
    if (waitpid(program->pid, status, WNOHANG) != program->pid)
        return 0;
    program->pid = 0;
    return 1;
}

int jm_cli_program_run(jm_cli_program *program, char *const *argv)
{
    int status;
    if (jm_cli_program_start(program, argv))
        return -1;
    if (waitpid(program->pid, &status, 0) < 0)
        return -1;
    program->pid = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int jm_cli_program_signal(int ms)
{
    const struct timespec most = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    sigset_t waited;
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGTERM);
    int signal = sigtimedwait(&waited, NULL, &most);
    return signal > 0 ? signal : 0;
}

void jm_cli_program_stop(jm_cli_program *program, int timeout_s)
{
    int64_t until_us = jm_boot_us() + timeout_s * INT64_C(1000000);
    int status;
    if (program->pid)
        kill(program->pid, program->stop_signal);
    while (program->pid && !jm_cli_program_ended(program, &status)) {
        int signal = jm_cli_program_signal(TICK_MS);
        if (signal == SIGINT || signal == SIGTERM)
            kill(program->pid, program->stop_signal);
        if (jm_boot_us() > until_us)
            kill(-program->pid, SIGKILL);
    }
}
