/* jobmill backup and jobmill restore. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "producer/cli/commands.h"
#include "producer/cli/input.h"
#include "producer/service/backup.h"
#include "producer/service/file_write.h"

static const char *const kinds[] = {"projects", "documents", "calendars", "schedules"};

enum { KINDS = sizeof kinds / sizeof *kinds };

static int backup(jm_cli *cli)
{
    json_t *backup;
    jm_err err;
    const char *path = jm_cli_option_text(cli, "file");
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_backup(pg, jm_cli_option_text(cli, "project"), &backup, &err))
        return jm_cli_fail(cli, &err);
    if (!path)
        return jm_cli_print_json(cli, backup);
    char *text = jm_json_exact_dump(backup, JSON_INDENT(2));
    int code = jm_file_write(path, text, &err) ? jm_cli_fail(cli, &err) : JM_EXIT_OK;
    for (int i = 0; !code && i < KINDS; i++)
        fprintf(stderr, "%zu %s%s", json_array_size(json_object_get(backup, kinds[i])), kinds[i],
                i + 1 < KINDS ? ", " : " written\n");
    free(text);
    json_decref(backup);
    return code;
}

static void print_names(char sign, const char *kind, const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
        printf("%c %.*s %s\n", sign, (int)strlen(kind) - 1, kind, json_string_value(name));
}

/* "+ schedule default/nightly", "~ document …"; then how many. */
static int print_restored(jm_cli *cli, json_t *restored)
{
    if (jm_cli_json(cli))
        return jm_cli_print_json(cli, restored);
    size_t created = 0, changed = 0, unchanged = 0;
    for (int i = 0; i < KINDS; i++) {
        const json_t *it = json_object_get(restored, kinds[i]);
        const json_t *made = json_object_get(it, "created"),
                     *other = json_object_get(it, "changed");
        print_names('+', kinds[i], made);
        print_names('~', kinds[i], other);
        created += json_array_size(made);
        changed += json_array_size(other);
        unchanged += (size_t)json_integer_value(json_object_get(it, "unchanged"));
    }
    fprintf(stderr, "%zu %s, %zu changed, %zu unchanged\n", created,
            json_is_true(json_object_get(restored, "dry_run")) ? "would be made" : "made", changed,
            unchanged);
    json_decref(restored);
    return JM_EXIT_OK;
}

static int restore_text(jm_cli *cli, const char *path, const jm_buf *text)
{
    json_t *restored;
    jm_err err;
    jm_change change;
    jm_findings findings = {0};
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    jm_cli_change(cli, &change);
    int rc = jm_restore(pg, path, jm_buf_str(text), text->len, &change, &restored, &findings, &err);
    int code = JM_EXIT_OK;
    if (rc && findings.total)
        code = jm_cli_refuse(cli, &findings, rc);
    else if (rc)
        code = jm_cli_fail(cli, &err);
    jm_findings_fini(&findings);
    return code ? code : print_restored(cli, restored);
}

static int restore(jm_cli *cli)
{
    const char *path = jm_cli_operand(cli, 0);
    jm_buf text = {0};
    int code = jm_cli_read_file(cli, path, JM_BACKUP_BYTES_MAX, &text);
    if (!code)
        code = restore_text(cli, strcmp(path, "-") != 0 ? path : "standard input", &text);
    jm_buf_fini(&text);
    return code;
}

static const jm_cli_option backup_options[] = {
    {.name = "file", .value = "FILE", .help = "Write to this file (default: standard output)."},
    {.name = "project", .value = "P", .help = "Only what belongs to this project."},
    {.name = NULL}};

const jm_cli_command jm_cli_backup_commands[] = {
    {.summary = "Write projects, documents, calendars and schedules to one file",
     .description = "As they are at one moment, as JSON. Not in it: keys, jobs and what belongs to "
                    "them, earlier versions of documents and schedules, and schedules that a sync "
                    "owns, which it brings back itself.",
     .examples = "jobmill backup --file jobmill-backup.json",
     .options = backup_options,
     .run = backup},
    {.summary = NULL}};

const jm_cli_command jm_cli_restore_commands[] = {
    {.operands = "FILE",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Make projects, documents, calendars and schedules what a backup says",
     .description = "In one transaction: all of it or nothing. What the backup names is made or "
                    "changed, what it does not name stays; the same backup twice changes nothing. "
                    "FILE - is standard input.",
     .examples = "jobmill restore jobmill-backup.json --dry-run",
     .shares = JM_CLI_CHANGE,
     .run = restore},
    {.summary = NULL}};
