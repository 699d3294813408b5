/* jobmill dev: all of jobmill on this machine, for people who write handlers. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "producer/cli/commands.h"
#include "producer/cli/dev_servers.h"
#include "producer/cli/file_watch.h"

/* An editor saves in several steps: what follows within this time is one change. */
enum { SETTLE_MS = 100, STOP_S = 60, FIXED_OPTIONS = 9 };

typedef struct jm_dev {
    jm_cli *cli;
    char directory[PATH_MAX];
    jm_dev_servers servers;
    jm_cli_program producer, worker;
    jm_file_watch watch;
    int signals;
    /* --section.key=value for every program: the fixed ones, then those that were given. */
    char fixed[FIXED_OPTIONS][PATH_MAX + 40];
    int n_fixed;
} jm_dev;

static void say(const char *what)
{
    fprintf(stderr, "jobmill dev: %s\n", what);
}

/* ---- what the programs are given ---- */

static void fix(jm_dev *dev, const char *key, const char *value)
{
    snprintf(dev->fixed[dev->n_fixed++], sizeof dev->fixed[0], "--%s=%s", key, value);
}

static void fix_options(jm_dev *dev)
{
    char spool[80];
    snprintf(spool, sizeof spool, "%s/spool", dev->servers.dir);
    snprintf(dev->fixed[dev->n_fixed++], sizeof dev->fixed[0], "--config=/dev/null");
    fix(dev, "database.url", dev->servers.database_url);
    fix(dev, "kafka.bootstrap.servers", dev->servers.bootstrap_servers);
    fix(dev, "worker.jobs_dir", dev->directory);
    fix(dev, "worker.spool_dir", spool);
    fix(dev, "http.auth", "off");
    /* The embedded broker answers a fetch only when this time is over, and holds a group that
     * changes for the session's time less a second. */
    fix(dev, "kafka.fetch.wait.max.ms", "10");
    fix(dev, "kafka.session.timeout.ms", "3000");
    fix(dev, "kafka.heartbeat.interval.ms", "300");
}

/* {path, words..., options..., NULL}; the caller frees the array. */
static char **arguments(jm_dev *dev, char *path, const char *noun, const char *verb)
{
    int n = jm_cli_n_operands(dev->cli), k = 0;
    char **argv = jm_calloc((size_t)(n + dev->n_fixed) + 4, sizeof *argv);
    argv[k++] = path;
    if (noun) {
        argv[k++] = (char *)noun;
        argv[k++] = (char *)verb;
    }
    for (int i = 0; i < dev->n_fixed; i++)
        argv[k++] = dev->fixed[i];
    for (int i = 0; i < n; i++)
        if (!strncmp(jm_cli_operand(dev->cli, i), "--", 2))
            argv[k++] = (char *)jm_cli_operand(dev->cli, i);
    return argv;
}

/* What the shell has set for other servers is not meant for these. */
static void clear_environment(void)
{
    extern char **environ;
    char name[256];
    for (size_t i = 0; environ[i];) {
        size_t len = strcspn(environ[i], "=");
        if (strncmp(environ[i], "JOBMILL_", 8) != 0 || len >= sizeof name) {
            i++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)len, environ[i]);
        unsetenv(name);
    }
}

/* ---- starting ---- */

static int start_program(jm_dev *dev, jm_cli_program *program, const char *name)
{
    char path[PATH_MAX];
    jm_cli_program_find(name, path);
    char **argv = arguments(dev, path, NULL, NULL);
    *program = (jm_cli_program){.name = name, .stop_signal = SIGTERM};
    int rc = jm_cli_program_start(program, argv);
    free(argv);
    return rc ? jm_cli_say(dev->cli, JM_EXIT_FAILURE, "cannot start %s: %s", name, strerror(errno))
              : JM_EXIT_OK;
}

static int make_schema(jm_dev *dev)
{
    char path[PATH_MAX], log[80];
    jm_cli_program_find("jobmill", path);
    snprintf(log, sizeof log, "%s/schema.log", dev->servers.dir);
    jm_cli_program program = {.name = "schema init", .stop_signal = SIGTERM, .log = log};
    char **argv = arguments(dev, path, "schema", "init");
    int status = jm_cli_program_run(&program, argv);
    free(argv);
    if (status == 0)
        return JM_EXIT_OK;
    jm_dev_servers_print_log(log);
    return status == JM_EXIT_USAGE ? JM_EXIT_USAGE : JM_EXIT_FAILURE;
}

static void where_to_look(const jm_dev *dev)
{
    fprintf(stderr,
            "jobmill dev: watching %s; all that it keeps is gone when it ends. In another "
            "terminal:\n"
            "  export JOBMILL_DATABASE_URL='%s' JOBMILL_KAFKA_BOOTSTRAP_SERVERS='%s'\n"
            "  jobmill job submit --type noop; jobmill job list; psql \"$JOBMILL_DATABASE_URL\"\n",
            dev->directory, dev->servers.database_url, dev->servers.bootstrap_servers);
}

static int start(jm_dev *dev)
{
    jm_err err;
    say("starting a PostgreSQL and an embedded broker");
    if (jm_dev_servers_start(&dev->servers, &err))
        return err.code == JM_ERR_CLOSED ? JM_EXIT_FAILURE
                                         : jm_cli_say(dev->cli, JM_EXIT_FAILURE, "%s", err.msg);
    fix_options(dev);
    int code = make_schema(dev);
    code = code ? code : start_program(dev, &dev->producer, "jobmill-producer");
    code = code ? code : start_program(dev, &dev->worker, "jobmill-worker");
    if (!code)
        where_to_look(dev);
    return code;
}

/* ---- while it runs ---- */

static bool has_ended(jm_cli_program *program)
{
    int status;
    if (!program->pid || !jm_cli_program_ended(program, &status))
        return false;
    if (WIFSIGNALED(status))
        fprintf(stderr, "jobmill dev: %s was ended by signal %d\n", program->name,
                WTERMSIG(status));
    else
        fprintf(stderr, "jobmill dev: %s has ended with %d\n", program->name, WEXITSTATUS(status));
    return true;
}

static bool any_has_ended(jm_dev *dev)
{
    return has_ended(&dev->worker) || has_ended(&dev->producer) ||
           has_ended(&dev->servers.broker) || has_ended(&dev->servers.postgres);
}

/* Whether a signal asks for the end; takes what there is. */
static bool asked_to_end(const jm_dev *dev)
{
    struct signalfd_siginfo info;
    bool end = false;
    while (read(dev->signals, &info, sizeof info) == (ssize_t)sizeof info)
        end = end || info.ssi_signo != SIGCHLD;
    return end;
}

static int watch(jm_dev *dev)
{
    bool changed = false;
    struct pollfd fds[] = {{.fd = dev->signals, .events = POLLIN},
                           {.fd = dev->watch.fd, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, 2, changed ? SETTLE_MS : -1);
        if (asked_to_end(dev))
            return JM_EXIT_OK;
        if (any_has_ended(dev))
            return JM_EXIT_FAILURE;
        if (fds[1].revents)
            changed = jm_file_watch_take(&dev->watch) || changed;
        if (n == 0 && changed) {
            changed = false;
            kill(dev->worker.pid, SIGHUP);
        }
    }
}

static void stop(jm_dev *dev)
{
    if (dev->worker.pid)
        say("ending; running jobs may finish, another Ctrl-C does not wait for them");
    jm_cli_program_stop(&dev->worker, STOP_S);
    jm_cli_program_stop(&dev->producer, STOP_S);
    jm_dev_servers_stop(&dev->servers);
}

/* ---- the command ---- */

/* The directory among the operands, by default jobs.d. */
static int find_directory(jm_dev *dev)
{
    const char *given = NULL;
    for (int i = 0; i < jm_cli_n_operands(dev->cli); i++) {
        const char *operand = jm_cli_operand(dev->cli, i);
        if (!strncmp(operand, "--", 2))
            continue;
        if (given)
            return jm_cli_usage(dev->cli, "unexpected argument %s", operand);
        given = operand;
    }
    given = given ? given : "jobs.d";
    if (!realpath(given, dev->directory) || jm_file_watch_open(&dev->watch, dev->directory))
        return jm_cli_say(dev->cli, JM_EXIT_USAGE,
                          "%s: %s; it is the directory of your job types: mkdir -p %s makes it",
                          given, strerror(errno), given);
    return JM_EXIT_OK;
}

static int run(jm_cli *cli)
{
    jm_dev dev = {.cli = cli};
    sigset_t taken;
    int code = find_directory(&dev);
    if (code)
        return code;
    sigemptyset(&taken);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGCHLD);
    sigprocmask(SIG_BLOCK, &taken, NULL);
    dev.signals = signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC);
    clear_environment();
    code = start(&dev);
    code = code ? code : watch(&dev);
    stop(&dev);
    close(dev.signals);
    jm_file_watch_close(&dev.watch);
    return code;
}

const jm_cli_command jm_cli_dev_commands[] = {
    {.operands = "[DIRECTORY] [--SECTION.KEY=VALUE...]",
     .max_operands = -1,
     .summary = "Run all of jobmill here, to write handlers against",
     .description =
         "Starts a PostgreSQL of its own (its server programs must be installed), an embedded "
         "broker, a producer and a worker with the job types of DIRECTORY (jobs.d), and has the "
         "worker load them anew whenever a file below it changes. The API asks for no key. Their "
         "logs go to standard error. Ctrl-C ends it, and all that it kept is gone.",
     .examples = "jobmill dev\n"
                 "jobmill dev ./jobs.d --worker.concurrency=2 --http.listen=127.0.0.1:0",
     .pass = true,
     .run = run},
    {.summary = NULL}};
