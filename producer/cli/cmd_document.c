/* jobmill document: JSON of applications, every version kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/rows.h"
#include "producer/cli/change.h"
#include "producer/cli/commands.h"
#include "producer/cli/confirm.h"
#include "producer/cli/input.h"
#include "producer/cli/table.h"
#include "producer/service/documents.h"

static const jm_cli_column list_columns[] = {{"NAME", "name", JM_CLI_TEXT},
                                             {"PROJECT", "project", JM_CLI_TEXT},
                                             {"VERSION", "version", JM_CLI_RIGHT},
                                             {"BYTES", "bytes", JM_CLI_RIGHT},
                                             {"UPDATED", "updated_at", JM_CLI_TIME},
                                             {"DESCRIPTION", "description", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column history_columns[] = {{"VERSION", "version", JM_CLI_RIGHT},
                                                {"AT", "at", JM_CLI_TIME},
                                                {"ACTION", "action", JM_CLI_TEXT},
                                                {"BYTES", "bytes", JM_CLI_RIGHT},
                                                {"BY", "actor", JM_CLI_TEXT},
                                                {"REASON", "reason", JM_CLI_WIDE},
                                                {NULL, NULL, JM_CLI_TEXT}};

/* --if-version: 0 is for a document that is not there yet. Exit code. */
static int read_if_version(jm_cli *cli, int64_t *version)
{
    int code = jm_cli_option_int(cli, "if-version", -1, 0, INT32_MAX, version);
    *version = *version < 0 ? JM_DOCUMENT_ANY : *version ? *version : JM_DOCUMENT_NEW;
    return code;
}

/* Its body alone, or with --json all of it. */
static int print_document(jm_cli *cli, json_t *document)
{
    if (jm_cli_json(cli))
        return jm_cli_print_json(cli, document);
    char *text =
        jm_json_exact_dump(json_object_get(document, "body"), JSON_INDENT(2) | JSON_ENCODE_ANY);
    puts(text ? text : "null");
    free(text);
    json_decref(document);
    return JM_EXIT_OK;
}

static int get(jm_cli *cli)
{
    int64_t version;
    json_t *document;
    jm_err err;
    if (jm_cli_option_int(cli, "version", 0, 1, INT32_MAX, &version))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    const char *name = jm_cli_operand(cli, 0);
    int rc = version ? jm_documents_version(pg, jm_cli_project(cli), name, version, &document, &err)
                     : jm_documents_show(pg, jm_cli_project(cli), name, &document, &err);
    return rc ? jm_cli_fail(cli, &err) : print_document(cli, document);
}

static void say_set(const jm_change *change, jm_document_fate fate, const json_t *document)
{
    static const char *const done[] = {"unchanged, it is version", "now version",
                                       "made, with version"};
    static const char *const would[] = {"nothing would change, it is version", "would be version",
                                        "would be made, with version"};
    fprintf(stderr, "%s: %s %lld\n", json_string_value(json_object_get(document, "name")),
            (change->dry_run ? would : done)[fate],
            (long long)json_integer_value(json_object_get(document, "version")));
}

static int set_body(jm_cli *cli, const char *body)
{
    json_t *document;
    jm_err err;
    jm_change change;
    jm_document_fate fate;
    jm_document_entry entry = {.project = jm_cli_project(cli),
                               .name = jm_cli_operand(cli, 0),
                               .body = body,
                               .description = jm_cli_option_text(cli, "description")};
    if (read_if_version(cli, &entry.if_version))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_documents_set(pg, &entry, &change, &document, &fate, &err))
        return jm_cli_fail(cli, &err);
    say_set(&change, fate, document);
    if (change.dry_run)
        json_object_set_new(document, "dry_run", json_true());
    return jm_cli_print_value(cli, document, "version");
}

static int set(jm_cli *cli)
{
    const char *given = jm_cli_operand(cli, 1);
    jm_buf text = {0};
    int code = JM_EXIT_OK;
    if (*given == '@' || !strcmp(given, "-"))
        code =
            jm_cli_read_file(cli, *given == '@' ? given + 1 : given, JM_DOCUMENT_BYTES_MAX, &text);
    else
        jm_buf_adds(&text, given);
    if (!code)
        code = set_body(cli, jm_buf_str(&text));
    jm_buf_fini(&text);
    return code;
}

static int rollback(jm_cli *cli)
{
    int64_t version, if_version;
    json_t *document;
    jm_err err;
    jm_change change;
    if (jm_cli_option_int(cli, "version", 0, 1, INT32_MAX, &version) ||
        read_if_version(cli, &if_version))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_documents_rollback(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), version, if_version,
                              &change, &document, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_changed(cli, &change, document, "version", "version");
}

static int list(jm_cli *cli)
{
    jm_page page;
    json_t *items;
    char *next;
    jm_err err;
    if (jm_cli_page_get(cli, &page))
        return JM_EXIT_USAGE;
    const jm_documents_page which = {.project = jm_cli_option_text(cli, "project"),
                                     .prefix = jm_cli_option_text(cli, "prefix"),
                                     .cursor = page.cursor,
                                     .limit = page.limit,
                                     .offset = page.offset};
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_documents_list(pg, &which, &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code = jm_cli_print_page(cli, items, next, list_columns, "no documents");
    free(next);
    return code;
}

static int history(jm_cli *cli)
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
    if (jm_documents_versions(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), &page, &items, &next,
                              &err))
        return jm_cli_fail(cli, &err);
    int code = jm_cli_print_page(cli, items, next, history_columns, "no versions");
    free(next);
    return code;
}

static void print_part(const char *sign, const json_t *value)
{
    if (!value)
        return;
    char *text = jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY);
    printf(" %s%s", sign, text ? text : "null");
    free(text);
}

/* "~ /a/b 1 -> 2", "+ /c 3", "- /d 4": a line each. */
static void print_changes(const json_t *changes)
{
    size_t i;
    json_t *change;
    json_array_foreach(changes, i, change)
    {
        const json_t *was = json_object_get(change, "was"), *is = json_object_get(change, "value");
        const char *path = json_string_value(json_object_get(change, "path"));
        printf("%s %s", !was ? "+" : is ? "~" : "-", *path ? path : "(all of it)");
        print_part("", was);
        print_part(was ? "-> " : "", is);
        putchar('\n');
    }
}

static int diff(jm_cli *cli)
{
    int64_t from, to;
    json_t *diff;
    jm_err err;
    if (jm_cli_option_int(cli, "from", 0, 1, INT32_MAX, &from) ||
        jm_cli_option_int(cli, "to", 0, 1, INT32_MAX, &to))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_documents_diff(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), from, to, &diff, &err))
        return jm_cli_fail(cli, &err);
    if (jm_cli_json(cli))
        return jm_cli_print_json(cli, diff);
    const json_t *changes = json_object_get(diff, "changes");
    if (!json_array_size(changes))
        fprintf(stderr, "no difference\n");
    print_changes(changes);
    json_decref(diff);
    return JM_EXIT_OK;
}

static int delete (jm_cli *cli)
{
    int64_t if_version;
    jm_err err;
    jm_change change;
    if (read_if_version(cli, &if_version))
        return JM_EXIT_USAGE;
    int code = jm_cli_confirm(cli, false, "deletes document %s; its versions stay",
                              jm_cli_operand(cli, 0));
    struct jm_pg *pg = code ? NULL : jm_cli_change_begin(cli, &change);
    if (!pg)
        return code ? code : JM_EXIT_FAILURE;
    if (jm_documents_delete(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), if_version, &change,
                            &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_fate(
        cli, &change,
        json_pack("{s:s, s:s}", "project", jm_cli_project(cli), "name", jm_cli_operand(cli, 0)),
        "deleted");
}

/* ---- the table ---- */

#define PROJECT                                                                                    \
    {                                                                                              \
        .name = "project", .value = "P", .help = "Project of the document (default: default)."     \
    }
#define IF_VERSION                                                                                 \
    {                                                                                              \
        .name = "if-version", .value = "N",                                                        \
        .help = "Only if it is at this version, so that nobody's change is lost; 0: only if "      \
                "there is none."                                                                   \
    }

static const jm_cli_option get_options[] = {
    {.name = "version", .value = "N", .help = "As this version made it (default: as it is)."},
    PROJECT,
    {.name = NULL}};
static const jm_cli_option set_options[] = {
    {.name = "description", .value = "TEXT", .help = "For people."},
    PROJECT,
    IF_VERSION,
    {.name = NULL}};
static const jm_cli_option rollback_options[] = {
    {.name = "version",
     .value = "N",
     .help = "The version to go back to (jobmill document history).",
     .required = true},
    PROJECT,
    IF_VERSION,
    {.name = NULL}};
static const jm_cli_option list_options[] = {
    {.name = "project", .value = "P", .help = "Only those of this project."},
    {.name = "prefix", .value = "TEXT", .help = "Only those whose names begin so."},
    {.name = NULL}};
static const jm_cli_option history_options[] = {PROJECT, {.name = NULL}};
static const jm_cli_option diff_options[] = {
    {.name = "from", .value = "N", .help = "Earlier version (default: the one before)."},
    {.name = "to", .value = "N", .help = "Later version (default: the newest)."},
    PROJECT,
    {.name = NULL}};
static const jm_cli_option delete_options[] = {PROJECT, IF_VERSION, {.name = NULL}};

#define ONE .operands = "NAME", .min_operands = 1, .max_operands = 1

const jm_cli_command jm_cli_document_commands[] = {
    {.verb = "set",
     .operands = "NAME JSON|@FILE|-",
     .min_operands = 2,
     .max_operands = 2,
     .summary = "Make a document, or a new version of it",
     .description = "Any JSON value of at most 1 MiB; every version is kept. Jobs whose type names "
                    "the document (\"documents\" in its definition) are handed its newest version "
                    "as they start. Prints the version.",
     .examples = "jobmill document set limits '{\"rows\": 1000}'\n"
                 "jobmill document set mapping @mapping.json --if-version 3 --reason 'new columns'",
     .options = set_options,
     .shares = JM_CLI_CHANGE,
     .run = set},
    {.verb = "get",
     ONE,
     .summary = "Print the body of a document; with --json all of it",
     .options = get_options,
     .run = get},
    {.verb = "list",
     .summary = "List documents",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.verb = "history",
     ONE,
     .summary = "List the versions of a document: who changed it, when and why",
     .description = "Also of one that was deleted.",
     .options = history_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = history},
    {.verb = "diff",
     ONE,
     .summary = "Show what differs between two versions of a document",
     .description = "A line for each place: + added, - removed, ~ changed. With --json the changes "
                    "are a JSON Patch (RFC 6902).",
     .examples = "jobmill document diff limits --from 1 --to 3",
     .options = diff_options,
     .run = diff},
    {.verb = "rollback",
     ONE,
     .summary = "Make a document what an earlier version was",
     .description = "That is a new version. Brings back one that was deleted, too.",
     .options = rollback_options,
     .shares = JM_CLI_CHANGE,
     .run = rollback},
    {.verb = "delete",
     ONE,
     .summary = "Delete a document; its versions stay",
     .description = "Jobs that start afterwards and whose type names it fail.",
     .options = delete_options,
     .shares = JM_CLI_CHANGE | JM_CLI_YES,
     .run = delete},
    {.summary = NULL}};
