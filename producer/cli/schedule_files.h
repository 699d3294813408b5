/* Commands about schedules in files: their lines in the table of jobmill schedule. */
#ifndef JM_CLI_SCHEDULE_FILES_H
#define JM_CLI_SCHEDULE_FILES_H

#include "producer/cli/commands.h"

extern const jm_cli_option jm_cli_schedule_export_options[], jm_cli_schedule_import_options[];

int jm_cli_schedule_export(jm_cli *cli);
int jm_cli_schedule_import(jm_cli *cli);

#define JM_CLI_SCHEDULE_FILE_COMMANDS                                                              \
    {.verb = "export",                                                                             \
     .summary = "Write schedules and calendars as a document",                                     \
     .description =                                                                                \
         "The document says all that defines them, in an order that stays, and nothing "           \
         "of what they have run: it is made for git. Importing it again changes "                  \
         "nothing.",                                                                               \
     .examples = "jobmill schedule export --project shop > shop.json\n"                            \
                 "jobmill schedule export --output schedules/",                                    \
     .options = jm_cli_schedule_export_options,                                                    \
     .run = jm_cli_schedule_export},                                                               \
    {                                                                                              \
        .verb = "import", .operands = "FILE|DIR|-", .min_operands = 1, .max_operands = 1,          \
        .summary = "Make the schedules what a document says",                                      \
        .description =                                                                             \
            "All of the document is judged first, then what changes is printed, then it is done "  \
            "in one transaction: all or nothing. What a schedule does not name is as by "          \
            "default. Of a directory every *.json is read, those below it too.",                   \
        .examples = "jobmill schedule import schedules/ --prune --dry-run\n"                       \
                    "jobmill schedule export | jobmill schedule import -",                         \
        .options = jm_cli_schedule_import_options, .run = jm_cli_schedule_import                   \
    }

#endif
