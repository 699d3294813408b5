/* jobmill project: tenants. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rows.h"
#include "producer/cli/change.h"
#include "producer/cli/commands.h"
#include "producer/cli/confirm.h"
#include "producer/cli/table.h"
#include "producer/service/projects.h"

static const jm_cli_column list_columns[] = {{"NAME", "name", JM_CLI_TEXT},
                                             {"MIN INTERVAL", "min_interval_s", JM_CLI_RIGHT},
                                             {"SCHEDULES", "schedules", JM_CLI_RIGHT},
                                             {"CREATED", "created_at", JM_CLI_TIME},
                                             {"DESCRIPTION", "description", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column show_columns[] = {{"Name", "name", JM_CLI_TEXT},
                                             {"Description", "description", JM_CLI_TEXT},
                                             {"Min interval", "min_interval_s", JM_CLI_TEXT},
                                             {"Schedules", "schedules", JM_CLI_TEXT},
                                             {"Created", "created_at", JM_CLI_TIME},
                                             {"Updated", "updated_at", JM_CLI_TIME},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column gone_columns[] = {{"Deleted", "name", JM_CLI_TEXT},
                                             {"Schedules", "schedules", JM_CLI_TEXT},
                                             {"Calendars", "calendars", JM_CLI_TEXT},
                                             {"Keys", "keys", JM_CLI_TEXT},
                                             {NULL, NULL, JM_CLI_TEXT}};

static int read_entry(jm_cli *cli, jm_projects_entry *entry)
{
    const char *description = jm_cli_option_text(cli, "description");
    *entry = (jm_projects_entry){.name = jm_cli_operand(cli, 0), .description = description};
    if (description && !*description) {
        entry->description = NULL;
        entry->without_description = true;
    }
    return jm_cli_option_int(cli, "min-interval-s", 0, 1, INT32_MAX, &entry->min_interval_s);
}

/* As jm_cli_fail, with the name of what is at fault in front. */
static int fail(jm_cli *cli, jm_err *err)
{
    if (err->code == JM_ERR_INVALID && !strcmp(err->field, "name"))
        jm_err_prefix(err, "NAME");
    return jm_cli_fail(cli, err);
}

typedef int change_function(struct jm_pg *pg, const jm_projects_entry *entry,
                            const jm_change *change, json_t **project, jm_err *err);

static int save(jm_cli *cli, change_function *function, const char *done)
{
    jm_projects_entry entry;
    jm_change change;
    json_t *project;
    jm_err err = {0};
    if (read_entry(cli, &entry))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (function(pg, &entry, &change, &project, &err))
        return fail(cli, &err);
    return jm_cli_print_changed(cli, &change, project, "name", done);
}

static int add(jm_cli *cli)
{
    return save(cli, jm_projects_add, "added");
}

static int update(jm_cli *cli)
{
    if (!jm_cli_option_text(cli, "description") && !jm_cli_option_text(cli, "min-interval-s"))
        return jm_cli_usage(cli, "give --description or --min-interval-s");
    return save(cli, jm_projects_update, "changed");
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
    if (jm_projects_list(pg, NULL, &page, &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code = jm_cli_print_page(cli, items, next, list_columns, "no projects");
    free(next);
    return code;
}

static int show(jm_cli *cli)
{
    json_t *project;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_projects_show(pg, jm_cli_operand(cli, 0), &project, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_object(cli, project, show_columns);
}

static int delete (jm_cli *cli)
{
    const char *name = jm_cli_operand(cli, 0);
    jm_change change;
    json_t *gone;
    jm_err err;
    int code = jm_cli_confirm_name(
        cli, name, "deletes project %s with its schedules, calendars and keys", name);
    if (code)
        return code;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_projects_delete(pg, name, &change, &gone, &err))
        return jm_cli_fail(cli, &err);
    if (change.dry_run && jm_cli_json(cli))
        json_object_set_new(gone, "dry_run", json_true());
    else if (change.dry_run)
        fputs("would be deleted:\n", stderr);
    return jm_cli_print_object(cli, gone, gone_columns);
}

/* ---- the table ---- */

#define NAME .operands = "NAME", .min_operands = 1, .max_operands = 1

static const jm_cli_option save_options[] = {
    {.name = "description", .value = "TEXT", .help = "For people; \"\" takes it away."},
    {.name = "min-interval-s",
     .value = "N",
     .help = "Shortest interval in seconds that its schedules may have (default 1). Those that are "
             "there keep theirs until they are changed."},
    {.name = NULL}};
const jm_cli_command jm_cli_project_commands[] = {
    {.verb = "add",
     NAME,
     .summary = "Add a project",
     .examples = "jobmill project add imports --min-interval-s 3600",
     .options = save_options,
     .shares = JM_CLI_CHANGE,
     .run = add},
    {.verb = "list",
     .summary = "List projects, newest first",
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.verb = "show", NAME, .summary = "Show one project", .run = show},
    {.verb = "update",
     NAME,
     .summary = "Change a project",
     .description = "What is not given stays as it was.",
     .options = save_options,
     .shares = JM_CLI_CHANGE,
     .run = update},
    {.verb = "delete",
     NAME,
     .summary = "Delete a project with its schedules, calendars, locks and keys",
     .description = "Its jobs stay. Exits 1 while jobs of it have not ended, and for default. Asks "
                    "for the name on a terminal; elsewhere it needs --yes.",
     .examples = "jobmill project delete imports --dry-run",
     .shares = JM_CLI_CHANGE | JM_CLI_YES,
     .run = delete},
    {.summary = NULL}};
