/* jobmill lock: the locks of jobs, for people and scripts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/rows.h"
#include "producer/cli/change.h"
#include "producer/cli/commands.h"
#include "producer/cli/lock_run.h"
#include "producer/cli/table.h"
#include "producer/service/lock_changes.h"
#include "common/locks.h"

enum { TTL_MAX_S = 31 * 86400, CAPACITY_MAX = 100000 };

static const jm_cli_column list_columns[] = {
    {"PROJECT", "project", JM_CLI_TEXT},  {"NAME", "name", JM_CLI_TEXT},
    {"SLOT", "slot", JM_CLI_RIGHT},       {"OF", "capacity", JM_CLI_RIGHT},
    {"TOKEN", "token", JM_CLI_RIGHT},     {"EXPIRES", "expires_at", JM_CLI_TIME},
    {"WAITING", "waiting", JM_CLI_RIGHT}, {"BLOCKED BY", "blocked_by", JM_CLI_TEXT},
    {"HELD BY", "owner", JM_CLI_WIDE},    {NULL, NULL, JM_CLI_TEXT}};

/* Seconds: a duration such as 90s or 5m, or a bare number of them. */
static int option_seconds(jm_cli *cli, const char *name, double def, double min, double *out)
{
    const char *text = jm_cli_option_text(cli, name);
    char *end = NULL;
    int64_t us;
    jm_err err;
    *out = def;
    if (!text)
        return JM_EXIT_OK;
    *out = strtod(text, &end);
    if (end == text || *end) {
        if (jm_duration_parse(text, &us, &err))
            return jm_cli_usage(cli, "--%s \"%s\" is no time such as 30, 90s or 5m", name, text);
        *out = (double)us / 1e6;
    }
    if (!(*out >= min && *out <= TTL_MAX_S))
        return jm_cli_usage(cli, "--%s must be from %g s to 31 days", name, min);
    return JM_EXIT_OK;
}

/* Who takes a lock unless --owner says: user, host and process. */
static const char *owner_of(jm_cli *cli, pid_t pid, char *text, size_t size)
{
    jm_change change;
    const char *given = jm_cli_option_text(cli, "owner");
    if (given)
        return given;
    jm_cli_change(cli, &change);
    snprintf(text, size, "%s@%s pid %d", change.actor + strlen("cli:"), change.address, (int)pid);
    return text;
}

static int list(jm_cli *cli)
{
    jm_page page;
    json_t *items;
    char *next;
    jm_err err;
    if (jm_cli_page_get(cli, &page))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_locks_list(pg, jm_cli_option_text(cli, "project"), jm_cli_operand(cli, 0), &page, &items,
                      &next, &err))
        return jm_cli_fail(cli, &err);
    int code =
        jm_cli_print_page(cli, items, next, list_columns, "no lock is held, and no limit is set");
    free(next);
    return code;
}

static int set(jm_cli *cli)
{
    int64_t capacity;
    jm_change change;
    jm_err err;
    if (jm_cli_option_int(cli, "capacity", 1, 1, CAPACITY_MAX, &capacity))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_lock_changes_set(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), capacity, &change,
                            &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_fate(cli, &change,
                             json_pack("{s:s, s:s, s:I}", "project", jm_cli_project(cli), "name",
                                       jm_cli_operand(cli, 0), "capacity", (json_int_t)capacity),
                             "set");
}

static int acquire(jm_cli *cli)
{
    double ttl_s, wait_s;
    char owner[300];
    json_t *lock;
    jm_err err = {0};
    if (option_seconds(cli, "ttl", 60, 0.1, &ttl_s) || option_seconds(cli, "wait", 0, 0, &wait_s))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_locks_acquire(pg, jm_cli_project(cli), jm_cli_operand(cli, 0),
                         owner_of(cli, getppid(), owner, sizeof owner), ttl_s, wait_s, &lock, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_value(cli, lock, "token");
}

static int token_of(jm_cli *cli, int64_t *token)
{
    return jm_cli_option_int(cli, "token", 0, 1, INT64_MAX, token);
}

static int extend(jm_cli *cli)
{
    int64_t token;
    double ttl_s;
    json_t *lock;
    jm_err err = {0};
    if (token_of(cli, &token) || option_seconds(cli, "ttl", 60, 0.1, &ttl_s))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_locks_extend(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), token, ttl_s, &lock, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_value(cli, lock, "expires_at");
}

static int release(jm_cli *cli)
{
    int64_t token;
    jm_err err = {0};
    jm_change change;
    bool force = jm_cli_option_flag(cli, "force");
    if (force == (jm_cli_option_text(cli, "token") != NULL))
        return jm_cli_usage(cli, "either --token or --force says what to release");
    if (!force && jm_cli_option_flag(cli, "dry-run"))
        return jm_cli_usage(cli, "--dry-run goes with --force");
    if (token_of(cli, &token))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    int rc = force ? jm_lock_changes_force(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), &change,
                                           &err)
                   : jm_locks_release(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), token, &err);
    if (rc)
        return jm_cli_fail(cli, &err);
    return jm_cli_print_fate(
        cli, &change,
        json_pack("{s:s, s:s}", "project", jm_cli_project(cli), "name", jm_cli_operand(cli, 0)),
        "released");
}

/* The operands behind the name of the lock, NULL-terminated. */
static char **command_of(const jm_cli *cli)
{
    int n = jm_cli_n_operands(cli);
    char **argv = calloc((size_t)n, sizeof *argv);
    for (int i = 1; argv && i < n; i++)
        argv[i - 1] = (char *)(uintptr_t)jm_cli_operand(cli, i);
    return argv;
}

static int run(jm_cli *cli)
{
    double ttl_s, wait_s;
    char owner[300];
    jm_err err = {0};
    if (option_seconds(cli, "ttl", 30, 1, &ttl_s) || option_seconds(cli, "wait", 0, 0, &wait_s))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    jm_lock_run options = {.pg = pg,
                           .project = jm_cli_project(cli),
                           .name = jm_cli_operand(cli, 0),
                           .owner = owner_of(cli, getpid(), owner, sizeof owner),
                           .ttl_s = ttl_s,
                           .wait_s = wait_s,
                           .argv = command_of(cli)};
    int status;
    int rc = jm_lock_run_command(&options, &status, &err);
    free(options.argv);
    return rc ? jm_cli_fail(cli, &err) : status;
}

#define PROJECT                                                                                    \
    {                                                                                              \
        .name = "project", .value = "P", .help = "Project of the lock (default: default)."         \
    }
#define TTL(of)                                                                                    \
    {                                                                                              \
        .name = "ttl", .value = "S", .help = "Seconds, or a time such as 5m, " of                  \
    }
#define WAIT                                                                                       \
    {                                                                                              \
        .name = "wait", .value = "S",                                                              \
        .help = "How long to wait until it is free (default 0: not at all)."                       \
    }
#define OWNER                                                                                      \
    {                                                                                              \
        .name = "owner", .value = "O",                                                             \
        .help = "Who holds it, for people (default: user, host and process)."                      \
    }

static const jm_cli_option list_options[] = {
    {.name = "project", .value = "P", .help = "Only those of this project."}, {.name = NULL}};
static const jm_cli_option set_options[] = {{.name = "capacity",
                                             .value = "N",
                                             .help = "How many may hold it at once (1 to 100000).",
                                             .required = true},
                                            PROJECT,
                                            {.name = NULL}};
static const jm_cli_option acquire_options[] = {
    TTL("after which it is free again unless it is extended (default 60)."),
    WAIT,
    OWNER,
    PROJECT,
    {.name = NULL}};
static const jm_cli_option extend_options[] = {
    {.name = "token", .value = "T", .help = "What lock acquire has printed.", .required = true},
    TTL("from now (default 60)."),
    PROJECT,
    {.name = NULL}};
static const jm_cli_option release_options[] = {
    {.name = "token", .value = "T", .help = "What lock acquire has printed."},
    {.name = "force",
     .help = "Whatever its token is: a lock that was forgotten, or a key (order:TYPE/KEY) that a "
             "failed job blocks. Never what a running job holds."},
    PROJECT,
    {.name = NULL}};
static const jm_cli_option run_options[] = {
    TTL("for which the lock is held ahead (default 30)."), WAIT, OWNER, PROJECT, {.name = NULL}};

const jm_cli_command jm_cli_lock_commands[] = {
    {.verb = "list",
     .operands = "[NAME]",
     .max_operands = 1,
     .summary = "List locks that are held, limits, and keys that a failed job blocks",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.verb = "set",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Say how many may hold a lock at once",
     .description = "A lock that was never set has a capacity of 1. With more it limits how many "
                    "jobs with that exclusive name run anywhere. Holders above a lowered capacity "
                    "keep it until they let go.",
     .options = set_options,
     .shares = JM_CLI_CHANGE,
     .run = set,
     .examples = "jobmill lock set api.example.org --capacity 5"},
    {.verb = "acquire",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Take a lock and print its token",
     .description =
         "The same locks that jobs take by their field exclusive. Tokens only grow: hand "
         "yours to whatever you write to, so that it can refuse an older one. Exit code "
         "1 when others hold the lock.",
     .options = acquire_options,
     .run = acquire,
     .examples = "token=$(jobmill lock acquire deploy --ttl 5m --wait 30s)"},
    {.verb = "extend",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Keep a lock for longer",
     .description = "Exit code 1 when the token does not hold the lock any more.",
     .options = extend_options,
     .run = extend},
    {.verb = "release",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Let a lock go",
     .description = "Exit code 1 when the token does not hold the lock any more.",
     .options = release_options,
     .shares = JM_CLI_CHANGE,
     .run = release},
    {.verb = "run",
     .operands = "NAME -- COMMAND [ARGUMENT...]",
     .min_operands = 2,
     .max_operands = -1,
     .summary = "Run a command while holding a lock",
     .description = "Extends the lock in the background and exits as the command does. A lock that "
                    "is lost ends the command (SIGTERM, then SIGKILL) before others can have it, "
                    "and exits with 1. The command finds its token in JOBMILL_LOCK_TOKEN.",
     .options = run_options,
     .run = run,
     .examples = "jobmill lock run deploy --wait 60 -- ./deploy.sh"},
    {.summary = NULL}};
