/* jobmill key: keys of the HTTP API. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/rows.h"
#include "producer/cli/change.h"
#include "producer/cli/commands.h"
#include "producer/cli/confirm.h"
#include "producer/cli/table.h"
#include "producer/service/keys.h"

static const jm_cli_column list_columns[] = {{"PREFIX", "prefix", JM_CLI_TEXT},
                                             {"NAME", "name", JM_CLI_TEXT},
                                             {"SCOPE", "scope", JM_CLI_TEXT},
                                             {"PROJECT", "project", JM_CLI_TEXT},
                                             {"STATE", "state", JM_CLI_TEXT},
                                             {"EXPIRES", "expires_at", JM_CLI_TIME},
                                             {"LAST USED", "last_used_at", JM_CLI_TIME},
                                             {"CREATED", "created_at", JM_CLI_TIME},
                                             {"BY", "created_by", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column show_columns[] = {{"Id", "id", JM_CLI_TEXT},
                                             {"Prefix", "prefix", JM_CLI_TEXT},
                                             {"Name", "name", JM_CLI_TEXT},
                                             {"Scope", "scope", JM_CLI_TEXT},
                                             {"Project", "project", JM_CLI_TEXT},
                                             {"State", "state", JM_CLI_TEXT},
                                             {"Sessions", "sessions", JM_CLI_TEXT},
                                             {"Expires", "expires_at", JM_CLI_TIME},
                                             {"Last used", "last_used_at", JM_CLI_TIME},
                                             {"Revoked", "revoked_at", JM_CLI_TIME},
                                             {"Created", "created_at", JM_CLI_TIME},
                                             {"By", "created_by", JM_CLI_TEXT},
                                             {NULL, NULL, JM_CLI_TEXT}};

/* A duration from now, or an instant. Exit code. */
static int read_expiry(jm_cli *cli, int64_t *us)
{
    const char *text = jm_cli_option_text(cli, "expires");
    jm_err err;
    *us = 0;
    if (!text || !jm_rfc3339_parse(text, strlen(text), us, &err))
        return JM_EXIT_OK;
    if (jm_duration_parse(text, us, &err) || *us <= 0)
        return jm_cli_usage(cli,
                            "--expires \"%s\": a duration such as 30d or a time such as "
                            "2027-01-31T00:00:00Z expected",
                            text);
    *us += jm_utc_us();
    return JM_EXIT_OK;
}

/* As jm_cli_fail, with the option at fault in front. */
static int fail(jm_cli *cli, jm_err *err)
{
    if (err->code == JM_ERR_INVALID && *err->field)
        jm_err_prefix(err, "--%s", strcmp(err->field, "expires_at") ? err->field : "expires");
    return jm_cli_fail(cli, err);
}

/* ---- a key without a database ---- */

/* Whether a line of the file has that name, which is its last word. */
static bool has_name(const char *path, const char *name)
{
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && !found && getline(&line, &size, file) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        const char *last = strrchr(line, ' ');
        found = last && *line != '#' && !strcmp(last + 1, name);
    }
    free(line);
    if (file)
        fclose(file);
    return found;
}

static int append(jm_cli *cli, const char *path, const jm_keys_entry *entry, const jm_key *key)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "a");
    if (!file) {
        int cause = errno;
        if (fd >= 0)
            close(fd);
        return jm_cli_say(cli, JM_EXIT_FAILURE, "%s: %s", path, strerror(cause));
    }
    fprintf(file, "%s %s %s %s\n", key->hex, entry->scope, entry->project ? entry->project : "*",
            entry->name);
    if (fclose(file))
        return jm_cli_say(cli, JM_EXIT_FAILURE, "%s: %s", path, strerror(errno));
    return JM_EXIT_OK;
}

static int print_key(jm_cli *cli, json_t *made, const jm_key *key)
{
    json_object_set_new(made, "key", json_string(key->text));
    return jm_cli_print_value(cli, made, "key");
}

static int create_in_file(jm_cli *cli, const char *path, const jm_keys_entry *entry)
{
    jm_key key;
    jm_err err = {0};
    if (jm_cli_option_flag(cli, "dry-run"))
        return jm_cli_usage(cli, "--dry-run is for keys in the database");
    if (entry->expires_us)
        return jm_cli_usage(cli, "a key in a file does not expire: take its line out of it");
    if (jm_keys_check(entry, &err) || jm_key_make(&key, &err))
        return fail(cli, &err);
    if (has_name(path, entry->name))
        return jm_cli_say(cli, JM_EXIT_FAILURE,
                          "%s has a key \"%s\" already: take its line out, or take another name",
                          path, entry->name);
    int code = append(cli, path, entry, &key);
    if (code)
        return code;
    return print_key(cli,
                     json_pack("{s:s, s:s, s:s?}", "name", entry->name, "scope", entry->scope,
                               "project", entry->project),
                     &key);
}

/* ---- commands ---- */

static int create(jm_cli *cli)
{
    const char *path = jm_cli_option_text(cli, "keys-file");
    jm_keys_entry entry = {.name = jm_cli_option_text(cli, "name"),
                           .scope = jm_cli_option_text(cli, "scope"),
                           .project = jm_cli_option_text(cli, "project")};
    jm_key key;
    jm_change change;
    json_t *made;
    jm_err err = {0};
    int code = read_expiry(cli, &entry.expires_us);
    if (code)
        return code;
    if (path)
        return create_in_file(cli, path, &entry);
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_keys_create(pg, &entry, &change, &key, &made, &err))
        return fail(cli, &err);
    if (change.dry_run) /* the key is none */
        return jm_cli_print_changed(cli, &change, made, "name", "made");
    return print_key(cli, made, &key);
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
    if (jm_keys_list(pg, jm_cli_option_flag(cli, "all"), jm_cli_option_text(cli, "project"), &page,
                     &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code = jm_cli_print_page(cli, items, next, list_columns, "no keys");
    free(next);
    return code;
}

static int show(jm_cli *cli)
{
    json_t *key;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_keys_show(pg, jm_cli_operand(cli, 0), NULL, &key, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_object(cli, key, show_columns);
}

static int revoke_key(jm_cli *cli)
{
    jm_change change;
    json_t *key;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    int code = jm_cli_confirm(cli, false, "ends key %s and its sessions", jm_cli_operand(cli, 0));
    if (code)
        return code;
    jm_cli_change(cli, &change);
    if (jm_keys_revoke(pg, jm_cli_operand(cli, 0), NULL, &change, &key, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_changed(cli, &change, key, "name", "revoked");
}

/* ---- the table ---- */

static const char *const scope_words[] = {"read", "submit", "admin", NULL};

static const jm_cli_option create_options[] = {
    {.name = "name",
     .value = "N",
     .help =
         "Whose key it is, as the audit log will say it; one key of a name holds in a project, and "
         "one of those that see all.",
     .required = true},
    {.name = "scope",
     .value = "S",
     .help = "What it may do: read; submit: also submit, cancel and retry jobs; admin: everything.",
     .required = true,
     .choices = scope_words},
    {.name = "project", .value = "P", .help = "The only project that it sees (default: all)."},
    {.name = "expires", .value = "T", .help = "A duration such as 30d, or a time (default never)."},
    {.name = "keys-file",
     .value = "FILE",
     .help = "For a producer without a database: append the key's line to this file "
             "([http] keys_file) instead."},
    {.name = NULL}};
static const jm_cli_option list_options[] = {
    {.name = "all", .help = "Also those that were revoked or have expired."},
    {.name = "project", .value = "P", .help = "Only those bound to this project."},
    {.name = NULL}};

#define KEY .operands = "ID|PREFIX|NAME", .min_operands = 1, .max_operands = 1

const jm_cli_command jm_cli_key_commands[] = {
    {.verb = "create",
     .summary = "Make a key and print it",
     .description = "The key is shown this once: what is kept is its hash.",
     .examples = "jobmill key create --name deploy --scope submit --project imports --expires 90d",
     .options = create_options,
     .shares = JM_CLI_CHANGE,
     .run = create},
    {.verb = "list",
     .summary = "List keys, newest first",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.verb = "show", KEY, .summary = "Show one key", .run = show},
    {.verb = "revoke",
     KEY,
     .summary = "End a key with its sessions",
     .description = "Every producer refuses it within a second.",
     .shares = JM_CLI_CHANGE | JM_CLI_YES,
     .run = revoke_key},
    {.summary = NULL}};
