/* jobmill schema: the tables in the database. */
#include <stdio.h>
#include <string.h>

#include "producer/cli/commands.h"
#include "producer/cli/confirm.h"
#include "producer/cli/progress.h"
#include "producer/cli/table.h"
#include "producer/service/schema.h"

static const jm_cli_column status_columns[] = {
    {"Schema", "schema", JM_CLI_TEXT},
    {"State", "state", JM_CLI_STATE},
    {"Version", "version", JM_CLI_TEXT},
    {"This program knows", "program_version", JM_CLI_TEXT},
    {"Needs jobmill", "needs_program", JM_CLI_TEXT},
    {"Not applied", "missing", JM_CLI_TEXT},
    {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column missing_columns[] = {{"Schema", "schema", JM_CLI_TEXT},
                                                {"Version", "version", JM_CLI_TEXT},
                                                {"Would be applied", "missing", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column migrate_columns[] = {{"Schema", "schema", JM_CLI_TEXT},
                                                {"Version", "version", JM_CLI_TEXT},
                                                {"Applied now", "applied", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};

static void say_progress(void *ctx, int64_t done, int64_t of)
{
    jm_cli_progress_at(ctx, done, of);
}

/* What migrate would apply. */
static int print_missing(jm_cli *cli, struct jm_pg *pg)
{
    json_t *shown;
    jm_err err;
    if (jm_schema_show(pg, jm_cli_config(cli), &shown, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_object(cli, shown, missing_columns);
}

static int apply(jm_cli *cli, struct jm_pg *pg)
{
    jm_cli_progress progress;
    const jm_schema_progress how = {.at = say_progress, .ctx = &progress};
    json_t *done;
    jm_err err;
    jm_cli_progress_begin(&progress, "migrations");
    int rc = jm_schema_migrate(pg, jm_cli_config(cli), &how, &done, &err);
    jm_cli_progress_end(&progress);
    if (rc)
        return jm_cli_fail(cli, &err);
    return jm_cli_print_object(cli, done, migrate_columns);
}

static int migrate(jm_cli *cli)
{
    struct jm_pg *pg = jm_cli_pg_unchecked(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    return jm_cli_option_flag(cli, "dry-run") ? print_missing(cli, pg) : apply(cli, pg);
}

static int status(jm_cli *cli)
{
    json_t *shown;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg_unchecked(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_schema_show(pg, jm_cli_config(cli), &shown, &err))
        return jm_cli_fail(cli, &err);
    const char *state = json_string_value(json_object_get(shown, "state"));
    const char *mend = !strcmp(state, "empty")    ? "run jobmill schema init"
                       : !strcmp(state, "behind") ? "run jobmill schema migrate"
                       : !strcmp(state, "too_new")
                           ? "this program is too old for the schema: upgrade it"
                           : NULL;
    int rc = jm_cli_print_object(cli, shown, status_columns);
    if (rc || !mend)
        return rc;
    return jm_cli_say(cli, JM_EXIT_FAILURE, "%s", mend);
}

static int reset(jm_cli *cli)
{
    jm_err err;
    const char *schema = jm_config_str(jm_cli_config(cli), "database.schema");
    int code = jm_cli_confirm_name(cli, schema, "drops schema %s with all jobs and schedules in it",
                                   schema);
    if (code)
        return code;
    struct jm_pg *pg = jm_cli_pg_unchecked(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_cli_option_flag(cli, "dry-run")) {
        fprintf(stderr, "would drop schema %s and make it anew\n", schema);
        return JM_EXIT_OK;
    }
    if (jm_schema_reset(pg, jm_cli_config(cli), &err))
        return jm_cli_fail(cli, &err);
    return apply(cli, pg);
}

const jm_cli_command jm_cli_schema_commands[] = {
    {.verb = "init",
     .summary = "Make the tables in an empty database",
     .description = "Makes the schema, its tables and the project default. Harmless where they are "
                    "there: then "
                    "it applies the migrations that are missing, as schema migrate does.",
     .shares = JM_CLI_DRY_RUN,
     .run = migrate},
    {.verb = "migrate",
     .summary = "Apply the migrations that are missing",
     .description = "Each migration is one transaction, under an advisory lock, so that any number "
                    "of programs may "
                    "do this at once.",
     .shares = JM_CLI_DRY_RUN,
     .run = migrate},
    {.verb = "status",
     .summary = "Show which migrations are applied",
     .description = "Exits 0 when this program runs on the schema as it is, else 1.",
     .run = status},
    {.verb = "reset",
     .summary = "Drop the tables with everything in them, and make them anew",
     .description = "Asks for the name of the schema on a terminal; elsewhere it needs --yes.",
     .shares = JM_CLI_DRY_RUN | JM_CLI_YES,
     .run = reset},
    {.summary = NULL}};
