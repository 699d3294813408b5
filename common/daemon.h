/* What a long-running program needs around its threads: signals, systemd, one line of status. */
#ifndef JM_DAEMON_H
#define JM_DAEMON_H

#include <stdbool.h>

#include "common/config.h"

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1 in the calling thread (call before any thread starts, so
 * that all inherit it), ignores SIGPIPE. */
void jm_daemon_init(void);

typedef enum jm_daemon_event {
    JM_DAEMON_TICK,   /* timeout_ms passed */
    JM_DAEMON_STOP,   /* SIGTERM or SIGINT; the second one says so again */
    JM_DAEMON_RELOAD, /* SIGHUP */
    JM_DAEMON_STATUS  /* SIGUSR1: print the status line */
} jm_daemon_event;

/* Waits for a signal, at most timeout_ms. */
jm_daemon_event jm_daemon_wait(int timeout_ms);

/* READY=1, STOPPING=1, STATUS=..., WATCHDOG=1 to systemd where it listens; the status is one line.
 */
void jm_daemon_notify_ready(const char *status);
void jm_daemon_notify_stopping(void);
void jm_daemon_notify_status(const char *status);
void jm_daemon_notify_watchdog(void); /* at most once a second is sent */

/* Handles --help, --version and --print-config for a daemon and loads the configuration. Returns
 * true to go on; otherwise the program exits with *exit_code (0 or 2; errors were printed).
 * Arguments left over are errors. usage is the text in front of the table of options. */
bool jm_daemon_start(jm_config **config, int argc, char **argv, const char *program,
                     const char *usage, int *exit_code);

#endif
