/* The table of commands: from it come the parser, the help of every level and docs/cli.md.
 *
 * A noun is a file cmd_<noun>.c that defines its part of the table and the functions behind it:
 *
 *     static const jm_cli_option add_options[] = {
 *         {.name = "type", .value = "T", .help = "Job type that it fires.", .required = true},
 *         {.name = "overlap", .value = "POLICY", .help = "What ...", .choices = overlap_words},
 *         {.name = "disabled", .help = "Add it disabled."}, // no value: a flag
 *         {0}};
 *
 *     static int add(jm_cli *cli)
 *     {
 *         const char *type = jm_cli_option_text(cli, "type");    // never NULL: it is required
 *         struct jm_pg *pg = jm_cli_pg(cli);                     // connects, checks the schema
 *         if (!pg)
 *             return JM_EXIT_FAILURE;                            // it has said why
 *         json_t *schedule = NULL;
 *         jm_err err;
 *         if (jm_schedules_add(pg, jm_cli_operand(cli, 0), type, &schedule, &err))
 *             return jm_cli_fail(cli, &err);                     // message, exit code by err.code
 *         return jm_cli_print_value(cli, schedule, "id");        // --json: all of it; else the id
 *     }
 *
 *     const jm_cli_command jm_cli_schedule_commands[] = {
 *         {.verb = "add", .operands = "NAME", .min_operands = 1, .max_operands = 1,
 *          .summary = "Add a schedule", .options = add_options, .shares = JM_CLI_CHANGE, .run =
 * add, .examples = "jobmill schedule add nightly --cron '0 3 * * *' --type report"}, {0}};
 *
 * and a line in the table of nouns in commands.c. A noun whose first command has no verb is a
 * command by itself (doctor). --json, --help, --config and --section.key=value need no entry;
 * options that many commands have (pages, --dry-run, --reason, --yes, --watch) are named by shares.
 */
#ifndef JM_CLI_COMMANDS_H
#define JM_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include "producer/cli/cli.h"

typedef struct jm_cli_option {
    const char *name;  /* without the dashes; NULL ends the list */
    const char *value; /* what stands for the value in help; NULL: a flag */
    const char *help;  /* sentences */
    bool required;
    const char *const *choices; /* NULL-terminated words, or NULL: any text */
    char letter;                /* -f means the same; 0: none */
    bool bare; /* the value may be left out; it is the next word only if that begins with a digit */
} jm_cli_option;

/* Options that many commands have in common. */
enum {
    JM_CLI_PAGE = 1,    /* --limit, --offset: jm_cli_page_get */
    JM_CLI_CURSOR = 2,  /* --cursor, with JM_CLI_PAGE */
    JM_CLI_WATCH = 4,   /* --watch: run is called again and again */
    JM_CLI_DRY_RUN = 8, /* --dry-run: jm_change.dry_run of jm_cli_change */
    JM_CLI_REASON = 16, /* --reason: jm_change.reason */
    JM_CLI_YES = 32,    /* --yes: jm_cli_confirm does not ask */
    JM_CLI_LIST = JM_CLI_PAGE | JM_CLI_WATCH,
    JM_CLI_CHANGE = JM_CLI_DRY_RUN | JM_CLI_REASON
};

typedef struct jm_cli_command {
    const char *verb;               /* NULL in a noun that is a command by itself */
    const char *operands;           /* as in help: "ID", "[QUEUE...]"; NULL: none */
    int min_operands, max_operands; /* -1: no upper bound */
    const char *summary;            /* one line, no period; NULL ends the list */
    const char *description;        /* paragraphs, or NULL */
    const char *examples;           /* lines, or NULL */
    const jm_cli_option *options;   /* or NULL */
    unsigned shares;                /* JM_CLI_..., whose options stand behind its own */
    bool job_fields; /* before them, every field of the job message is an option too */
    /* For commands that another program runs: argv as given goes to it, and run gets no options. */
    bool pass;
    int (*run)(jm_cli *cli); /* returns an exit code */
} jm_cli_command;

typedef struct jm_cli_noun {
    const char *name;
    const char *summary;
    const jm_cli_command *commands;
} jm_cli_noun;

extern const jm_cli_noun jm_cli_nouns[]; /* ends with a NULL name */

const jm_cli_noun *jm_cli_noun_find(const char *name);                                /* or NULL */
const jm_cli_command *jm_cli_command_find(const jm_cli_noun *noun, const char *verb); /* or NULL */

/* Option i of a command, job fields and shared ones included; false past the last. Names are equal
 * when they are so with '_' as '-'; dashes are what is shown. */
bool jm_cli_option_at(const jm_cli_command *command, int i, jm_cli_option *out);
#define JM_CLI_NAME_MAX 40
const char *jm_cli_option_name(const jm_cli_option *option, char name[JM_CLI_NAME_MAX]);

/* The words that a mistyped one is compared with; NULL when none is near. */
const char *jm_cli_noun_near(const char *name);
const char *jm_cli_verb_near(const jm_cli_noun *noun, const char *verb);

/* Help: of the program (noun NULL), of a noun (command NULL), of a command. */
void jm_cli_print_help(FILE *to, const jm_cli_noun *noun, const jm_cli_command *command);
/* docs/cli.md, the whole table. */
void jm_cli_print_markdown(FILE *to);

/* Each noun's part of the table. */
extern const jm_cli_command jm_cli_schema_commands[];
extern const jm_cli_command jm_cli_topics_commands[];
extern const jm_cli_command jm_cli_job_commands[];
extern const jm_cli_command jm_cli_schedule_commands[];
extern const jm_cli_command jm_cli_calendar_commands[];
extern const jm_cli_command jm_cli_worker_commands[];
extern const jm_cli_command jm_cli_type_commands[];
extern const jm_cli_command jm_cli_run_commands[];
extern const jm_cli_command jm_cli_dev_commands[];
extern const jm_cli_command jm_cli_lock_commands[];
extern const jm_cli_command jm_cli_document_commands[];
extern const jm_cli_command jm_cli_dead_commands[];
extern const jm_cli_command jm_cli_backup_commands[];
extern const jm_cli_command jm_cli_restore_commands[];
extern const jm_cli_command jm_cli_cleanup_commands[];
extern const jm_cli_command jm_cli_doctor_commands[];
extern const jm_cli_command jm_cli_key_commands[];
extern const jm_cli_command jm_cli_project_commands[];
extern const jm_cli_command jm_cli_audit_commands[];

#endif
