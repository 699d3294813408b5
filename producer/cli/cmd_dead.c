/* jobmill dead: messages that could not become jobs. */
#include "producer/cli/commands.h"
#include "producer/cli/table.h"
#include "producer/service/dead_letters.h"

static const jm_cli_column list_columns[] = {{"ID", "id", JM_CLI_TEXT},
                                             {"AT", "at", JM_CLI_TIME},
                                             {"REASON", "reason", JM_CLI_TEXT},
                                             {"FIELD", "field", JM_CLI_TEXT},
                                             {"TOPIC", "topic", JM_CLI_TEXT},
                                             {"PARTITION", "partition", JM_CLI_RIGHT},
                                             {"OFFSET", "record_offset", JM_CLI_RIGHT},
                                             {"DETAIL", "detail", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column show_columns[] = {{"Id", "id", JM_CLI_TEXT},
                                             {"Reason", "reason", JM_CLI_TEXT},
                                             {"Field", "field", JM_CLI_TEXT},
                                             {"Detail", "detail", JM_CLI_TEXT},
                                             {"At", "at", JM_CLI_TIME},
                                             {"Topic", "topic", JM_CLI_TEXT},
                                             {"Partition", "partition", JM_CLI_TEXT},
                                             {"Offset", "record_offset", JM_CLI_TEXT},
                                             {"Headers", "headers", JM_CLI_TEXT},
                                             {"Sent again", "redriven_at", JM_CLI_TIME},
                                             {"As job", "redriven_as", JM_CLI_TEXT},
                                             {"Key", "key", JM_CLI_TEXT},
                                             {"Value", "value", JM_CLI_TEXT},
                                             {NULL, NULL, JM_CLI_TEXT}};

static int list(jm_cli *cli)
{
    jm_cli_page page;
    json_t *items;
    jm_err err;
    if (jm_cli_page_get(cli, &page))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_dead_letters_list(pg, jm_cli_option_text(cli, "reason"),
                             jm_cli_option_text(cli, "topic"), page.limit, page.offset, &items,
                             &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_list(cli, items, list_columns, "no dead letters");
}

static int show(jm_cli *cli)
{
    json_t *letter;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_dead_letters_show(pg, jm_cli_operand(cli, 0), &letter, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_object(cli, letter, show_columns);
}

static const jm_cli_option list_options[] = {
    {.name = "reason", .value = "CODE", .help = "Only those with this reason, such as bad_json."},
    {.name = "topic", .value = "TOPIC", .help = "Only those from this topic."},
    {.name = NULL}};

const jm_cli_command jm_cli_dead_commands[] = {
    {.verb = "list",
     .summary = "List dead letters, newest first",
     .description = "A message that cannot be understood, or that the database refuses, is kept "
                    "whole with the reason, "
                    "and its partition moves on.",
     .options = list_options,
     .shares = JM_CLI_LIST,
     .run = list},
    {.verb = "show",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Show one dead letter, whole",
     .run = show},
    {.summary = NULL}};
