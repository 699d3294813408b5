/* jobmill audit: who changed what. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/rows.h"
#include "producer/cli/commands.h"
#include "producer/cli/table.h"
#include "producer/service/audit.h"

static const jm_cli_column list_columns[] = {{"AT", "at", JM_CLI_TIME},
                                             {"ACTOR", "actor", JM_CLI_TEXT},
                                             {"FROM", "address", JM_CLI_TEXT},
                                             {"ACTION", "action", JM_CLI_TEXT},
                                             {"OBJECT", "object", JM_CLI_TEXT},
                                             {"ID", "object_id", JM_CLI_TEXT},
                                             {"VERSION", "version", JM_CLI_RIGHT},
                                             {"REASON", "reason", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};

static int list(jm_cli *cli)
{
    json_t *items;
    char *next;
    jm_page page;
    jm_err err;
    jm_audit_filter filter = {.object = jm_cli_option_text(cli, "object"),
                              .object_id = jm_cli_option_text(cli, "object-id"),
                              .actor = jm_cli_option_text(cli, "actor"),
                              .action = jm_cli_option_text(cli, "action"),
                              .source = jm_cli_option_text(cli, "source"),
                              .project = jm_cli_option_text(cli, "project"),
                              .request_id = jm_cli_option_text(cli, "request-id")};
    if (jm_cli_option_time(cli, "from", &filter.from_us) ||
        jm_cli_option_time(cli, "to", &filter.to_us) || jm_cli_page_get(cli, &page))
        return JM_EXIT_USAGE;
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.cursor = page.cursor;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_audit_list(pg, &filter, &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code =
        jm_cli_print_page(cli, items, next, list_columns, "nothing of that kind was changed");
    free(next);
    return code;
}

static const char *const source_words[] = {"cli", "api", "import", "sync", NULL};

static const jm_cli_option list_options[] = {
    {.name = "object",
     .value = "O",
     .help = "Only changes of such: schedule, calendar, job, lock, project, key, session, ..."},
    {.name = "object-id",
     .value = "ID",
     .help = "Only changes of this one: its id, a project's name, project/name of a calendar or "
             "lock."},
    {.name = "actor", .value = "A", .help = "Only what this one did: cli:alice, key:deploy."},
    {.name = "action", .value = "A", .help = "Only such: create, update, delete, cancel, ..."},
    {.name = "source", .value = "S", .help = "Only by this way.", .choices = source_words},
    {.name = "project", .value = "P", .help = "Only what belongs to this project."},
    {.name = "request-id", .value = "R", .help = "Only what this request of the API did."},
    {.name = "from", .value = "T", .help = "From then on: a time, or 2h for two hours ago."},
    {.name = "to", .value = "T", .help = "Before then."},
    {.name = NULL}};

const jm_cli_command jm_cli_audit_commands[] = {
    {.verb = "list",
     .summary = "List changes, newest first",
     .description = "--json shows what each was before and after, with secrets masked.",
     .examples = "jobmill audit list --object schedule --from 24h\n"
                 "jobmill audit list --actor key:deploy --json",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.summary = NULL}};
