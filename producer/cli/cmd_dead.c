/* jobmill dead: messages that could not become jobs. */
#include "common/rows.h"
#include "producer/cli/commands.h"
#include "producer/cli/redrive.h"
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
    jm_page page;
    json_t *items;
    char *next;
    jm_err err;
    jm_dead_filter filter = {.reason = jm_cli_option_text(cli, "reason"),
                             .topic = jm_cli_option_text(cli, "topic"),
                             .field = jm_cli_option_text(cli, "field")};
    if (jm_cli_page_get(cli, &page) || jm_cli_option_time(cli, "from", &filter.from_us) ||
        jm_cli_option_time(cli, "to", &filter.to_us))
        return JM_EXIT_USAGE;
    if (jm_cli_option_flag(cli, "open") && jm_cli_option_flag(cli, "redriven"))
        return jm_cli_usage(cli, "give one of --open and --redriven");
    jm_dead_state state = jm_cli_option_flag(cli, "open")       ? JM_DEAD_OPEN
                          : jm_cli_option_flag(cli, "redriven") ? JM_DEAD_REDRIVEN
                                                                : JM_DEAD_ANY;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_dead_letters_list(pg, &filter, state, &page, &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code = jm_cli_print_page(cli, items, next, list_columns, "no dead letters");
    free(next);
    return code;
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
    {.name = "field", .value = "FIELD", .help = "Only those in which this field is at fault."},
    {.name = "from",
     .value = "TIME",
     .help = "Only those put there then or later: a time, or 2h for two hours ago."},
    {.name = "to", .value = "TIME", .help = "Only those put there before that time."},
    {.name = "open", .help = "Only those that were not sent again."},
    {.name = "redriven", .help = "Only those that were."},
    {.name = NULL}};

const jm_cli_command jm_cli_dead_commands[] = {
    {.verb = "list",
     .summary = "List dead letters, newest first",
     .description = "A message that cannot be understood, or that the database refuses, is kept "
                    "whole with the reason, "
                    "and its partition moves on.",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.verb = "show",
     .operands = "ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Show one dead letter, whole",
     .run = show},
    {.verb = "redrive",
     .operands = "[ID...]",
     .max_operands = -1,
     .summary = "Send dead letters to their topics again",
     .description =
         "Give ids, or what to choose by, or --all. Each is sent once: it stays where it is, "
         "marked, "
         "and is left out from then on unless --again says otherwise. Those that would only be put "
         "aside again are left out too, and counted. An interrupted redrive is done over without "
         "harm: what had been sent makes no second job. Exits 1 when one that an id names is left "
         "out. Needs Kafka.",
     .examples =
         "jobmill dead redrive --code unknown_project --dry-run\n"
         "jobmill dead redrive --from 2026-11-01T00:00:00Z --rate 100 --reason 'project made'\n"
         "jobmill dead redrive 01a203e3-074e-7c15-8053-27bdc2d7248e --set-value mended.json",
     .options = jm_cli_redrive_options,
     .shares = JM_CLI_CHANGE,
     .run = jm_cli_redrive},
    {.summary = NULL}};
