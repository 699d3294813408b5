/* Signals, systemd's notifications and the first steps of a daemon. */
#include "common/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "common/clock.h"

static void handled(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
}

void jm_daemon_init(void)
{
    sigset_t set;
    handled(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

jm_daemon_event jm_daemon_wait(int timeout_ms)
{
    sigset_t set;
    handled(&set);
    int64_t until = jm_mono_ms() + timeout_ms;
    for (;;) {
        int64_t left = until - jm_mono_ms();
        left = left > 0 ? left : 0;
        struct timespec ts = {.tv_sec = left / 1000, .tv_nsec = (left % 1000) * 1000000};
        int sig = sigtimedwait(&set, NULL, &ts);
        if (sig == SIGTERM || sig == SIGINT)
            return JM_DAEMON_STOP;
        if (sig == SIGHUP)
            return JM_DAEMON_RELOAD;
        if (sig == SIGUSR1)
            return JM_DAEMON_STATUS;
        if (errno != EINTR) /* EAGAIN: the time is over */
            return JM_DAEMON_TICK;
    }
}

void jm_daemon_notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void jm_daemon_notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void jm_daemon_notify_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

void jm_daemon_notify_watchdog(void)
{
    static _Atomic int64_t last_ms; /* process-wide as systemd's watchdog is */
    int64_t now = jm_mono_ms(), last = atomic_load(&last_ms);
    if ((!last || now - last >= 1000) && atomic_compare_exchange_strong(&last_ms, &last, now))
        sd_notify(0, "WATCHDOG=1");
}

static bool has_flag(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], flag))
            return true;
    return false;
}

static void print_help(const char *usage)
{
    printf("%s\n\n", usage);
    puts("  --config FILE     read this configuration instead of /etc/jobmill/jobmill.conf\n"
         "  --print-config    print the effective configuration and where it came from, and exit\n"
         "  --help            print this, and exit\n"
         "  --version         print the version, and exit\n");
    jm_config_print_help(stdout);
}

bool jm_daemon_start(jm_config **config, int argc, char **argv, const char *program,
                     const char *usage, int *exit_code)
{
    *config = NULL;
    *exit_code = 0;
    if (has_flag(argc, argv, "--help") || has_flag(argc, argv, "-h")) {
        print_help(usage);
        return false;
    }
    if (has_flag(argc, argv, "--version")) {
        printf("%s %s\n", program, JM_VERSION);
        return false;
    }
    jm_err err;
    if (jm_config_load(config, &argc, argv, &err)) {
        fprintf(stderr, "%s: %s\n", program, err.msg);
        *exit_code = 2;
        return false;
    }
    if (argc == 2 && !strcmp(argv[1], "--print-config")) {
        jm_config_print(*config, stdout);
    } else if (argc > 1) {
        fprintf(stderr, "%s: unexpected argument %s; see %s --help\n", program, argv[1], program);
        *exit_code = 2;
    } else {
        jm_config_apply_log(*config);
        return true;
    }
    jm_config_free(*config);
    *config = NULL;
    return false;
}
