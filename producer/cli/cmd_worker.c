/* jobmill worker, type and run: who runs what. The last, and type check, are run by jobmill-worker.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/rows.h"
#include "producer/cli/commands.h"
#include "producer/cli/programs.h"
#include "producer/cli/table.h"
#include "producer/service/types.h"
#include "producer/service/workers.h"

static const jm_cli_column worker_columns[] = {{"ID", "id", JM_CLI_TEXT},
                                               {"KIND", "kind", JM_CLI_TEXT},
                                               {"HOST", "host", JM_CLI_TEXT},
                                               {"PID", "pid", JM_CLI_RIGHT},
                                               {"STATE", "state", JM_CLI_STATE},
                                               {"ALIVE", "alive", JM_CLI_TEXT},
                                               {"RUNNING", "running", JM_CLI_RIGHT},
                                               {"PROCESSES", "concurrency", JM_CLI_RIGHT},
                                               {"QUEUES", "queues", JM_CLI_WIDE},
                                               {"TYPES", "types", JM_CLI_WIDE},
                                               {"HEARTBEAT", "heartbeat_at", JM_CLI_TIME},
                                               {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column type_columns[] = {{"NAME", "name", JM_CLI_TEXT},
                                             {"WORKERS", "workers", JM_CLI_RIGHT},
                                             {"DEFINITIONS", "definitions", JM_CLI_RIGHT},
                                             {"ATTEMPTS", "max_attempts", JM_CLI_RIGHT},
                                             {"ANNOUNCED", "announced_at", JM_CLI_TIME},
                                             {"DESCRIPTION", "description", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};

static int worker_list(jm_cli *cli)
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
    if (jm_workers_list(pg, jm_cli_option_flag(cli, "all"), &page, &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code =
        jm_cli_print_page(cli, items, next, worker_columns, "no workers: start jobmill-worker");
    free(next);
    return code;
}

static int type_list(jm_cli *cli)
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
    if (jm_types_list(pg, &page, &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code = jm_cli_print_page(cli, items, next, type_columns,
                                 "no types: workers announce theirs when they start");
    free(next);
    return code;
}

static const jm_cli_column type_show_columns[] = {{"Name", "name", JM_CLI_TEXT},
                                                  {"Description", "description", JM_CLI_TEXT},
                                                  {"Workers", "workers", JM_CLI_TEXT},
                                                  {"Definitions", "definitions", JM_CLI_TEXT},
                                                  {"Attempts", "max_attempts", JM_CLI_TEXT},
                                                  {"Searchable", "searchable", JM_CLI_TEXT},
                                                  {"Profiles", "profiles", JM_CLI_TEXT},
                                                  {"Params", "params_schema", JM_CLI_TEXT},
                                                  {"Backoff", "backoff", JM_CLI_TEXT},
                                                  {"Ordered", "ordered", JM_CLI_TEXT},
                                                  {"Hash", "definition_hash", JM_CLI_TEXT},
                                                  {"Announced", "announced_at", JM_CLI_TIME},
                                                  {NULL, NULL, JM_CLI_TEXT}};

static int type_show(jm_cli *cli)
{
    json_t *type;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_types_show(pg, jm_cli_operand(cli, 0), &type, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_object(cli, type, type_show_columns);
}

/* Runs jobmill-worker in the place of this program, with verb and the arguments as they were given.
 */
static int become_worker(jm_cli *cli, const char *verb)
{
    char path[PATH_MAX];
    int n = jm_cli_n_operands(cli);
    char **argv = jm_calloc((size_t)n + 3, sizeof *argv);
    argv[0] = (char *)"jobmill-worker";
    argv[1] = (char *)verb;
    for (int i = 0; i < n; i++)
        argv[2 + i] = (char *)jm_cli_operand(cli, i);
    jm_cli_program_find(argv[0], path);
    execvp(path, argv);
    free(argv);
    return jm_cli_say(cli, JM_EXIT_FAILURE,
                      "cannot run jobmill-worker: %s (looked beside jobmill and in PATH)",
                      strerror(errno));
}

static int type_check(jm_cli *cli)
{
    return become_worker(cli, "check");
}

static int type_test(jm_cli *cli)
{
    return become_worker(cli, "test");
}

static int run(jm_cli *cli)
{
    return become_worker(cli, "run");
}

static const jm_cli_option worker_options[] = {
    {.name = "all", .help = "Also those that have stopped or are lost."}, {.name = NULL}};

/* What the worker reads; here for those who ask for help. */
static const jm_cli_option test_options[] = {
    {.name = "fixtures", .value = "FILE", .help = "These cases, not those beside FILE."},
    {.name = "document",
     .value = "NAME=FILE",
     .help = "A document that the definition names; more than once for several."},
    {.name = NULL}};
static const jm_cli_option run_options[] = {
    {.name = "params", .value = "JSON", .help = "An object; default {}."},
    {.name = "profile", .value = "NAME", .help = "Default params, of the definition's profiles."},
    {.name = "metadata", .value = "JSON", .help = "An object of scalars."},
    {.name = "project", .value = "NAME", .help = "Default default."},
    {.name = "document",
     .value = "NAME=FILE",
     .help = "A document that the definition names; more than once for several."},
    {.name = "timeout", .value = "SECONDS", .help = "Instead of the definition's timeout_s."},
    {.name = "attempts",
     .value = "N",
     .help = "Tries, with the definition's backoff between them; default 1."},
    {.name = NULL}};

const jm_cli_command jm_cli_worker_commands[] = {
    {.verb = "list",
     .summary = "List workers and producers",
     .description = "RUNNING is as of the last heartbeat. One that is not ALIVE has let its lease "
                    "lapse; its jobs are "
                    "rescued by a producer.",
     .options = worker_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = worker_list},
    {.summary = NULL}};

const jm_cli_command jm_cli_type_commands[] = {
    {.verb = "list",
     .summary = "List the job types that workers have announced",
     .description = "WORKERS is how many that are alive can run it. More than one of DEFINITIONS "
                    "means that workers "
                    "had different ones, now or before.",
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = type_list},
    {.verb = "show",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Show a job type as a worker announced it last",
     .run = type_show},
    {.verb = "check",
     .operands = "FILE...",
     .min_operands = 1,
     .max_operands = -1,
     .summary = "Check definitions of job types",
     .description = "Says file, line and reason of what is wrong; exits 1 then.",
     .examples = "jobmill type check /etc/jobmill/jobs.d/*.json",
     .pass = true,
     .run = type_check},
    {.verb = "test",
     .operands = "FILE",
     .options = test_options,
     .min_operands = 1,
     .max_operands = -1,
     .summary = "Run a job type against fixtures",
     .description = "Runs the cases of <type>.tests.json beside FILE (or of --fixtures) with the "
                    "worker's step runner, prints TAP with what differs, and exits 1 then.",
     .examples = "jobmill type test jobs.d/import.json",
     .pass = true,
     .run = type_test},
    {.summary = NULL}};

const jm_cli_command jm_cli_run_commands[] = {
    {.operands = "TYPE",
     .options = run_options,
     .min_operands = 1,
     .max_operands = -1,
     .summary = "Run a job type here and now, with neither Kafka nor database",
     .description =
         "Runs one job with the worker's own step runner, from [worker] jobs_dir: for "
         "people who write "
         "handlers. Steps and log lines go to standard error, the result to standard "
         "output. TYPE is a type of [worker] jobs_dir, a built-in one, or a definition's file "
         "(with a / or .json).",
     .examples = "jobmill run hello --params '{\"name\": \"you\"}' --worker.jobs_dir=./jobs.d",
     .pass = true,
     .run = run},
    {.summary = NULL}};
