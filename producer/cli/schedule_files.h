/* Commands about schedules in files: their lines in the table of jobmill schedule. */
#ifndef JM_CLI_SCHEDULE_FILES_H
#define JM_CLI_SCHEDULE_FILES_H

#include "producer/cli/commands.h"

extern const jm_cli_option jm_cli_schedule_export_options[], jm_cli_schedule_import_options[],
    jm_cli_schedule_sync_options[];

int jm_cli_schedule_export(jm_cli *cli);
int jm_cli_schedule_import(jm_cli *cli);
int jm_cli_schedule_sync(jm_cli *cli);

struct jm_schedule_changes;
/* Prints what is to change, for people or as JSON. Returns an exit code. */
int jm_cli_schedule_print_changes(jm_cli *cli, const struct jm_schedule_changes *changes);

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
        {.verb = "import",                                                                         \
         .operands = "FILE|DIR|-",                                                                 \
         .min_operands = 1,                                                                        \
         .max_operands = 1,                                                                        \
         .summary = "Make the schedules what a document says",                                     \
         .description =                                                                            \
             "All of the document is judged first, then what changes is printed, then it is done " \
             "in one transaction: all or nothing. What a schedule does not name is as by "         \
             "default. Of a directory every *.json is read, those below it too.",                  \
         .examples = "jobmill schedule import schedules/ --prune --dry-run\n"                      \
                     "jobmill schedule export | jobmill schedule import -",                        \
         .options = jm_cli_schedule_import_options,                                                \
         .shares = JM_CLI_CHANGE,                                                                  \
         .run = jm_cli_schedule_import},                                                           \
    {                                                                                              \
        .verb = "sync", .summary = "Fetch the schedules that another system owns, now",            \
        .description = "One round of what producers do by themselves ([schedule_sync]), also "     \
                       "when nothing has changed upstream: what was changed here by hand is put "  \
                       "right. Without --once it goes on, a round each interval, until it is "     \
                       "interrupted.",                                                             \
        .examples = "jobmill schedule sync --once --dry-run\n"                                     \
                    "jobmill schedule sync --once --allow-deletes",                                \
        .options = jm_cli_schedule_sync_options, .shares = JM_CLI_DRY_RUN,                         \
        .run = jm_cli_schedule_sync                                                                \
    }

#endif
