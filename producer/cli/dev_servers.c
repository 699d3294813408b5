/* A PostgreSQL and an embedded broker of our own, in a directory of their own. */
#include "producer/cli/dev_servers.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

enum { READY_S = 60, STOP_S = 20, TICK_MS = 20, DIRECTORY_MAX = 128 };

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

void jm_dev_servers_print_log(const char *path)
{
    char line[1024];
    FILE *log = fopen(path, "r");
    while (log && fgets(line, sizeof line, log))
        fprintf(stderr, "  %s", line);
    if (log)
        fclose(log);
}

static int make_directory(jm_dev_servers *servers, jm_err *err)
{
    /* Not below $TMPDIR: the path of a socket may have 107 bytes. */
    snprintf(servers->dir, sizeof servers->dir, "/tmp/jobmill-dev.XXXXXX");
    if (!mkdtemp(servers->dir)) {
        servers->dir[0] = 0;
        return jm_err_errno(err, JM_ERR_IO, "cannot make a directory in /tmp");
    }
    /* Its name is known to PostgreSQL's user, who passes through it. */
    if (chmod(servers->dir, 0711))
        return jm_err_errno(err, JM_ERR_IO, "%s", servers->dir);
    return JM_OK;
}

/* ---- waiting ---- */

/* Until ready() says so, the program ends, or a signal asks us to. */
static int await(jm_cli_program *program, bool (*ready)(jm_dev_servers *), jm_dev_servers *servers,
                 jm_err *err)
{
    int64_t until_us = jm_boot_us() + READY_S * INT64_C(1000000);
    int status;
    while (!ready(servers)) {
        bool ended = jm_cli_program_ended(program, &status);
        if (ended || jm_boot_us() > until_us) {
            jm_dev_servers_print_log(program->log);
            return jm_err_set(err, JM_ERR_IO, ended ? "%s has ended" : "%s does not get ready",
                              program->name);
        }
        int signal = jm_cli_program_signal(TICK_MS);
        if (signal == SIGINT || signal == SIGTERM)
            return jm_err_set(err, JM_ERR_CLOSED, "interrupted");
    }
    return JM_OK;
}

/* As pg_ctl does: the eighth line of postmaster.pid says what it is at. */
static bool postgres_is_ready(jm_dev_servers *servers)
{
    char path[80], line[256] = "";
    snprintf(path, sizeof path, "%s/postgres/postmaster.pid", servers->dir);
    FILE *file = fopen(path, "r");
    int n = 0;
    while (n < 8 && file && fgets(line, sizeof line, file))
        n++;
    if (file)
        fclose(file);
    return n == 8 && !strncmp(line, "ready", 5);
}

/* The broker has written where it listens. */
static bool broker_listens(jm_dev_servers *servers)
{
    char path[80], line[sizeof servers->bootstrap_servers];
    snprintf(path, sizeof path, "%s/broker", servers->dir);
    FILE *file = fopen(path, "r");
    bool whole = file && fgets(line, sizeof line, file) && strchr(line, '\n');
    if (file)
        fclose(file);
    if (!whole)
        return false;
    line[strcspn(line, "\n")] = 0;
    memcpy(servers->bootstrap_servers, line, sizeof line);
    return true;
}

/* ---- PostgreSQL ---- */

/* The directory of the newest server's programs with a slash behind it; "" when they are to be
 * looked for in PATH. */
static void find_postgres(char directory[DIRECTORY_MAX])
{
    glob_t found;
    long newest = -1;
    directory[0] = 0;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        long version = strtol(path + strlen("/usr/lib/postgresql/"), NULL, 10);
        if (version <= newest)
            continue;
        newest = version;
        snprintf(directory, DIRECTORY_MAX, "%.*s", (int)(strrchr(path, '/') + 1 - path), path);
    }
    globfree(&found);
}

/* PostgreSQL refuses to run as root: then it runs as the user that its package has made. */
static int give_to_user(jm_cli_program *program, const char *data, jm_err *err)
{
    if (geteuid() != 0)
        return JM_OK;
    program->user = getpwnam("postgres") ? "postgres" : "nobody";
    const struct passwd *user = getpwnam(program->user);
    if (!user || chown(data, user->pw_uid, user->pw_gid))
        return jm_err_errno(err, JM_ERR_IO, "cannot give %s to user %s", data, program->user);
    return JM_OK;
}

static int init_database(const jm_dev_servers *servers, const char *programs, const char *data,
                         jm_err *err)
{
    char initdb[DIRECTORY_MAX + 16];
    snprintf(initdb, sizeof initdb, "%sinitdb", programs);
    char *argv[] = {initdb,
                    (char *)"-D",
                    (char *)data,
                    (char *)"-U",
                    (char *)"postgres",
                    (char *)"--auth=trust",
                    (char *)"--encoding=UTF8",
                    (char *)"--locale=C.UTF-8",
                    (char *)"--no-sync",
                    (char *)"--no-instructions",
                    NULL};
    jm_cli_program program = servers->postgres;
    int status = jm_cli_program_run(&program, argv);
    if (status == 127)
        return jm_err_set(err, JM_ERR_NOT_FOUND,
                          "PostgreSQL's server programs are not installed (looked in "
                          "/usr/lib/postgresql and PATH): apt-get install postgresql");
    if (status) {
        jm_dev_servers_print_log(program.log);
        return jm_err_set(err, JM_ERR_IO, "initdb failed");
    }
    return JM_OK;
}

static int start_postgres(jm_dev_servers *servers, char *log, jm_err *err)
{
    char programs[DIRECTORY_MAX], postgres[DIRECTORY_MAX + 16], data[80];
    find_postgres(programs);
    snprintf(data, sizeof data, "%s/postgres", servers->dir);
    snprintf(log, PATH_MAX, "%s/postgres.log", servers->dir);
    servers->postgres = (jm_cli_program){.name = "PostgreSQL", .log = log, .stop_signal = SIGINT};
    if (mkdir(data, 0700))
        return jm_err_errno(err, JM_ERR_IO, "%s", data);
    int rc = give_to_user(&servers->postgres, data, err);
    rc = rc ? rc : init_database(servers, programs, data, err);
    if (rc)
        return rc;
    snprintf(postgres, sizeof postgres, "%spostgres", programs);
    snprintf(servers->database_url, sizeof servers->database_url,
             "postgresql://postgres@/postgres?host=%s", data);
    char *argv[] = {
        postgres, (char *)"-D", data, (char *)"-k", data, (char *)"-c", (char *)"listen_addresses=",
        NULL};
    if (jm_cli_program_start(&servers->postgres, argv))
        return jm_err_errno(err, JM_ERR_IO, "cannot fork");
    return await(&servers->postgres, postgres_is_ready, servers, err);
}

/* ---- the broker ---- */

static int start_broker(jm_dev_servers *servers, char *log, jm_err *err)
{
    char broker[PATH_MAX], port_file[80];
    jm_cli_program_find("jobmill-broker", broker);
    snprintf(port_file, sizeof port_file, "%s/broker", servers->dir);
    snprintf(log, PATH_MAX, "%s/broker.log", servers->dir);
    servers->broker = (jm_cli_program){.name = "broker", .log = log, .stop_signal = SIGTERM};
    char *argv[] = {broker, (char *)"--port-file", port_file, NULL};
    if (jm_cli_program_start(&servers->broker, argv))
        return jm_err_errno(err, JM_ERR_IO, "cannot fork");
    return await(&servers->broker, broker_listens, servers, err);
}

int jm_dev_servers_start(jm_dev_servers *servers, jm_err *err)
{
    char log[PATH_MAX];
    *servers = (jm_dev_servers){0};
    int rc = make_directory(servers, err);
    rc = rc ? rc : start_broker(servers, log, err);
    rc = rc ? rc : start_postgres(servers, log, err);
    servers->broker.log = servers->postgres.log = NULL;
    return rc;
}

void jm_dev_servers_stop(jm_dev_servers *servers)
{
    jm_cli_program_stop(&servers->postgres, STOP_S);
    jm_cli_program_stop(&servers->broker, STOP_S);
    if (servers->dir[0])
        (void)nftw(servers->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
