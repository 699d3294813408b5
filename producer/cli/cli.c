/* One call of the command line: parses its arguments by the table and prints its answer. */
#include "producer/cli/cli.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json_scan.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/nearest.h"
#include "common/rows.h"
#include "producer/cli/commands.h"
#include "producer/cli/hint.h"
#include "producer/cli/table.h"
#include "common/json_exact.h"
#include "producer/service/session.h"

#define MAX_OPTIONS 48

struct jm_cli {
    const jm_cli_noun *noun;
    const jm_cli_command *command;
    const jm_config *config;
    enum { NO_JSON, JSON_DOCUMENT, JSON_LINES } json;
    bool color;
    const char *values[MAX_OPTIONS]; /* by jm_cli_option_at; NULL: not given; of a flag: "" */
    char **operands;
    int n_operands;
    struct jm_pg *pg;
    char actor[100], host[256];
};

/* ---- messages ---- */

static void say_va(const char *fmt, va_list ap)
{
    char text[1200];
    vsnprintf(text, sizeof text, fmt, ap);
    jm_mask_secrets(text);
    for (char *p = text; *p; p++) /* of a job's error: what a terminal would obey */
        if (iscntrl((unsigned char)*p) && *p != '\n')
            *p = ' ';
    fprintf(stderr, "jobmill: %s\n", text);
}

int jm_cli_say(const jm_cli *cli, int code, const char *fmt, ...)
{
    (void)cli;
    va_list ap;
    va_start(ap, fmt);
    say_va(fmt, ap);
    va_end(ap);
    return code;
}

int jm_cli_usage(const jm_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_va(fmt, ap);
    va_end(ap);
    const char *verb = cli->command->verb;
    fprintf(stderr, "jobmill: see jobmill %s%s%s --help\n", cli->noun->name, verb ? " " : "",
            verb ? verb : "");
    return JM_EXIT_USAGE;
}

int jm_cli_fail(jm_cli *cli, const jm_err *err)
{
    int code = err->code == JM_ERR_NOT_FOUND ? JM_EXIT_NOT_FOUND
               : err->code == JM_ERR_INVALID ? JM_EXIT_USAGE
                                             : JM_EXIT_FAILURE;
    char hint[JM_CLI_HINT_MAX];
    jm_cli_say(cli, code, "%s", err->msg);
    if (jm_cli_hint(cli->noun, cli->command, err, hint))
        jm_cli_say(cli, code, "%s", hint);
    return code;
}

/* The name of an option as it is written. */
static const char *dashed(const char *name, char to[JM_CLI_NAME_MAX])
{
    return jm_cli_option_name(&(jm_cli_option){.name = name}, to);
}

/* ---- parsing ---- */

/* Whether the len bytes at given are that option's name, '_' and '-' being the same. */
static bool is_named(const char *name, const char *given, size_t len)
{
    size_t i = 0;
    for (; i < len && name[i]; i++)
        if (name[i] != given[i] && !(strchr("_-", name[i]) && strchr("_-", given[i])))
            return false;
    return i == len && !name[i];
}

static int find_option(const jm_cli *cli, const char *name, size_t len, jm_cli_option *out)
{
    for (int i = 0; jm_cli_option_at(cli->command, i, out); i++)
        if (is_named(out->name, name, len))
            return i;
    return -1;
}

static int unknown_option(const jm_cli *cli, const char *arg)
{
    char names[MAX_OPTIONS][JM_CLI_NAME_MAX];
    const char *known[MAX_OPTIONS + 3] = {"json", "help", "color"};
    jm_cli_option option;
    int n = 0;
    for (; n < MAX_OPTIONS && jm_cli_option_at(cli->command, n, &option); n++)
        known[n + 3] = jm_cli_option_name(&option, names[n]);
    char *name = jm_strndup(arg, strcspn(arg, "="));
    const char *near = jm_nearest(name + strspn(name, "-"), known, (size_t)n + 3);
    int rc = jm_cli_usage(cli, "unknown option %s%s%s%s", name, near ? "; did you mean --" : "",
                          near ? near : "", near ? "?" : "");
    free(name);
    return rc;
}

static int check_choice(const jm_cli *cli, const jm_cli_option *option, const char *value)
{
    size_t n = 0;
    jm_buf words = {0};
    for (; option->choices[n]; n++) {
        if (!strcmp(option->choices[n], value)) {
            jm_buf_fini(&words);
            return JM_EXIT_OK;
        }
        jm_buf_addf(&words, "%s%s", n ? (option->choices[n + 1] ? ", " : " or ") : "",
                    option->choices[n]);
    }
    const char *near = jm_nearest(value, option->choices, n);
    int rc =
        jm_cli_usage(cli, "--%s is \"%s\", needs %s%s%s%s", option->name, value, jm_buf_str(&words),
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    jm_buf_fini(&words);
    return rc;
}

/* --json, --json=lines. */
static int take_json(jm_cli *cli, const char *form)
{
    if (!form || !strcmp(form, "document"))
        cli->json = JSON_DOCUMENT;
    else if (!strcmp(form, "lines"))
        cli->json = JSON_LINES;
    else
        return jm_cli_usage(cli, "--json is \"%s\", needs nothing, document or lines", form);
    return JM_EXIT_OK;
}

static bool is_color_terminal(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

static int take_color(jm_cli *cli, const char *when)
{
    if (when && !strcmp(when, "always"))
        cli->color = true;
    else if (when && !strcmp(when, "never"))
        cli->color = false;
    else if (when && !strcmp(when, "auto"))
        cli->color = is_color_terminal();
    else
        return jm_cli_usage(cli, "--color needs one of auto, always and never");
    return JM_EXIT_OK;
}

/* -f: a flag by its letter. */
static int take_letter(jm_cli *cli, const char *arg)
{
    jm_cli_option option;
    for (int i = 0; !arg[2] && jm_cli_option_at(cli->command, i, &option); i++) {
        if (!option.letter || option.letter != arg[1])
            continue;
        if (cli->values[i])
            return jm_cli_usage(cli, "-%c is given twice", option.letter);
        cli->values[i] = "";
        return JM_EXIT_OK;
    }
    return unknown_option(cli, arg);
}

/* Takes the option argv[*i], with its value. */
static int take_option(jm_cli *cli, int argc, char **argv, int *i)
{
    const char *arg = argv[*i] + 2, *eq = strchr(arg, '=');
    size_t len = eq ? (size_t)(eq - arg) : strlen(arg);
    if (is_named("json", arg, len))
        return take_json(cli, eq ? eq + 1 : NULL);
    if (is_named("color", arg, len))
        return take_color(cli, eq ? eq + 1 : argv[*i + 1] ? argv[++*i] : NULL);
    jm_cli_option option;
    char name[JM_CLI_NAME_MAX];
    int at = find_option(cli, arg, len, &option);
    if (at < 0 || at >= MAX_OPTIONS)
        return unknown_option(cli, argv[*i]);
    jm_cli_option_name(&option, name);
    if (cli->values[at])
        return jm_cli_usage(cli, "--%s is given twice", name);
    if (!option.value) {
        if (eq)
            return jm_cli_usage(cli, "--%s takes no value", name);
        cli->values[at] = "";
        return JM_EXIT_OK;
    }
    if (option.bare && !eq && (*i + 1 >= argc || !strchr("0123456789", argv[*i + 1][0]))) {
        cli->values[at] = "";
        return JM_EXIT_OK;
    }
    if (!eq && *i + 1 >= argc)
        return jm_cli_usage(cli, "--%s needs a value: --%s %s", name, name, option.value);
    cli->values[at] = eq ? eq + 1 : argv[++*i];
    return option.choices ? check_choice(cli, &option, cli->values[at]) : JM_EXIT_OK;
}

/* Whether it may be any bytes: names of files are, and what is passed on to another program. */
static bool is_bytes(const char *what, const char *given)
{
    if (strstr(what, "JSON") && *given != '@')
        return false;
    return strstr(what, "FILE") || strstr(what, "DIR") || strstr(what, "COMMAND") ||
           strstr(what, "ARGUMENT");
}

/* What the i-th operand is called: the word of that place, or the last one. */
static void operand_name(const jm_cli_command *command, int i, char to[JM_CLI_NAME_MAX])
{
    const char *word = command->operands ? command->operands : "";
    for (;;) {
        word += strspn(word, " [");
        const char *behind = word + strcspn(word, " ");
        bool dashes = !strncmp(word, "-- ", 3);
        if (!*behind || (i == 0 && !dashes))
            break;
        i -= !dashes;
        word = behind;
    }
    snprintf(to, JM_CLI_NAME_MAX, "%.*s", (int)strcspn(word, " ]."), word);
}

/* The database has text only: what is none is said here, by its name. */
static int check_text(const jm_cli *cli)
{
    char name[JM_CLI_NAME_MAX];
    jm_cli_option option;
    for (int i = 0; i < MAX_OPTIONS && jm_cli_option_at(cli->command, i, &option); i++) {
        const char *value = cli->values[i];
        if (value && option.value && !is_bytes(option.value, value) &&
            !jm_utf8_is_valid(value, strlen(value), NULL))
            return jm_cli_usage(cli, "--%s is not valid UTF-8", jm_cli_option_name(&option, name));
    }
    for (int i = 0; i < cli->n_operands; i++) {
        operand_name(cli->command, i, name);
        if (!is_bytes(name, cli->operands[i]) &&
            !jm_utf8_is_valid(cli->operands[i], strlen(cli->operands[i]), NULL))
            return jm_cli_usage(cli, "%s is not valid UTF-8", name);
    }
    return JM_EXIT_OK;
}

static int missing_operand(const jm_cli *cli)
{
    char name[JM_CLI_NAME_MAX];
    operand_name(cli->command, cli->n_operands, name);
    return jm_cli_usage(cli, "%s is missing", name);
}

static int check_complete(jm_cli *cli)
{
    const jm_cli_command *command = cli->command;
    jm_cli_option option;
    char name[JM_CLI_NAME_MAX];
    for (int i = 0; jm_cli_option_at(command, i, &option); i++)
        if (option.required && !cli->values[i])
            return jm_cli_usage(cli, "--%s %s is missing", jm_cli_option_name(&option, name),
                                option.value);
    if (cli->n_operands < command->min_operands)
        return missing_operand(cli);
    if (command->max_operands >= 0 && cli->n_operands > command->max_operands)
        return jm_cli_usage(cli, "unexpected argument %s", cli->operands[command->max_operands]);
    return check_text(cli);
}

static int parse(jm_cli *cli, int argc, char **argv)
{
    bool only_operands = cli->command->pass;
    cli->operands = jm_calloc((size_t)argc + 1, sizeof *cli->operands);
    for (int i = 1; i < argc; i++) {
        if (!only_operands && !strcmp(argv[i], "--")) {
            only_operands = true;
        } else if (!only_operands && !strncmp(argv[i], "--", 2)) {
            int rc = take_option(cli, argc, argv, &i);
            if (rc)
                return rc;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
            int rc = take_letter(cli, argv[i]);
            if (rc)
                return rc;
        } else {
            cli->operands[cli->n_operands++] = argv[i];
        }
    }
    return cli->command->pass ? JM_EXIT_OK : check_complete(cli);
}

int jm_cli_new(const jm_cli_noun *noun, const jm_cli_command *command, const jm_config *config,
               int argc, char **argv, jm_cli **out)
{
    jm_cli *cli = jm_calloc(1, sizeof *cli);
    cli->noun = noun;
    cli->command = command;
    cli->config = config;
    cli->color = is_color_terminal();
    int rc = parse(cli, argc, argv);
    if (rc) {
        jm_cli_free(cli);
        cli = NULL;
    }
    *out = cli;
    return rc;
}

void jm_cli_free(jm_cli *cli)
{
    if (!cli)
        return;
    jm_cli_drop_pg(cli);
    free(cli->operands);
    free(cli);
}

/* ---- what was given ---- */

const jm_config *jm_cli_config(const jm_cli *cli)
{
    return cli->config;
}

bool jm_cli_json(const jm_cli *cli)
{
    return cli->json != NO_JSON;
}

bool jm_cli_json_lines(const jm_cli *cli)
{
    return cli->json == JSON_LINES;
}

bool jm_cli_color(const jm_cli *cli)
{
    return cli->color;
}

int jm_cli_n_operands(const jm_cli *cli)
{
    return cli->n_operands;
}

const char *jm_cli_operand(const jm_cli *cli, int i)
{
    return i < cli->n_operands ? cli->operands[i] : NULL;
}

const char *jm_cli_option_text(const jm_cli *cli, const char *name)
{
    jm_cli_option option;
    int at = find_option(cli, name, strlen(name), &option);
    assert(at >= 0);
    return at >= 0 ? cli->values[at] : NULL;
}

bool jm_cli_has_option(const jm_cli *cli, const char *name)
{
    jm_cli_option option;
    return find_option(cli, name, strlen(name), &option) >= 0;
}

void jm_cli_change(jm_cli *cli, jm_change *change)
{
    const char *sudo = getenv("SUDO_USER"); /* who became root */
    struct passwd entry, *user = NULL;
    char names[1024];
    if (getpwuid_r(getuid(), &entry, names, sizeof names, &user))
        user = NULL;
    snprintf(cli->actor, sizeof cli->actor, "cli:%s",
             sudo && *sudo ? sudo
             : user        ? user->pw_name
                           : "?");
    if (gethostname(cli->host, sizeof cli->host - 1))
        snprintf(cli->host, sizeof cli->host, "?");
    *change = (jm_change){.actor = cli->actor, .source = "cli", .address = cli->host};
    if (jm_cli_has_option(cli, "reason"))
        change->reason = jm_cli_option_text(cli, "reason");
    if (jm_cli_has_option(cli, "dry-run"))
        change->dry_run = jm_cli_option_flag(cli, "dry-run");
}

bool jm_cli_option_flag(const jm_cli *cli, const char *name)
{
    return jm_cli_option_text(cli, name) != NULL;
}

int jm_cli_option_int(jm_cli *cli, const char *name, int64_t def, int64_t min, int64_t max,
                      int64_t *out)
{
    const char *text = jm_cli_option_text(cli, name);
    char *end, shown[JM_CLI_NAME_MAX];
    *out = def;
    if (!text)
        return JM_EXIT_OK;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < min || v > max)
        return jm_cli_usage(cli, "--%s is \"%s\", needs a whole number from %lld to %lld",
                            dashed(name, shown), text, (long long)min, (long long)max);
    *out = v;
    return JM_EXIT_OK;
}

int jm_cli_option_time(jm_cli *cli, const char *name, int64_t *us)
{
    const char *text = jm_cli_option_text(cli, name);
    char shown[JM_CLI_NAME_MAX];
    jm_err err, no_duration;
    int64_t ago_us;
    if (!text || !jm_rfc3339_parse(text, strlen(text), us, &err))
        return JM_EXIT_OK;
    if (jm_duration_parse(text, &ago_us, &no_duration))
        return jm_cli_usage(cli, "--%s \"%s\" %s, and no duration such as 2h, which is so long ago",
                            dashed(name, shown), text, err.msg);
    *us = jm_utc_us() - ago_us;
    return JM_EXIT_OK;
}

int jm_cli_option_json(jm_cli *cli, const char *name, json_type type, const char **out)
{
    json_t *value;
    jm_err err;
    char shown[JM_CLI_NAME_MAX];
    *out = NULL;
    const char *text = jm_cli_option_text(cli, name);
    if (!text)
        return JM_EXIT_OK;
    if (jm_json_exact_load(text, strlen(text), &value, &err))
        return jm_cli_usage(cli, "--%s is not JSON: %s", dashed(name, shown), err.msg);
    json_type is = json_typeof(value);
    json_decref(value);
    if (jm_json_exact_check(text, strlen(text), &err))
        return jm_cli_usage(cli, "--%s: %s", dashed(name, shown), err.msg);
    if (is != type)
        return jm_cli_usage(cli, "--%s needs a JSON %s, such as %s", dashed(name, shown),
                            type == JSON_ARRAY ? "array" : "object",
                            type == JSON_ARRAY ? "'[1, 2]'" : "'{\"n\": 1}'");
    *out = text;
    return JM_EXIT_OK;
}

int jm_cli_page_get(jm_cli *cli, jm_page *page)
{
    *page = (jm_page){0};
    if (jm_cli_option_int(cli, "limit", 50, 1, 10000, &page->limit) ||
        jm_cli_option_int(cli, "offset", 0, 0, INT32_MAX, &page->offset))
        return JM_EXIT_USAGE;
    if (!jm_cli_has_option(cli, "cursor"))
        return JM_EXIT_OK;
    page->cursor = jm_cli_option_text(cli, "cursor");
    return page->cursor && jm_cli_option_text(cli, "offset")
               ? jm_cli_usage(cli, "give one of --cursor and --offset")
               : JM_EXIT_OK;
}

/* ---- the database ---- */

struct jm_pg *jm_cli_pg_unchecked(jm_cli *cli)
{
    jm_err err;
    if (!cli->pg && jm_session_open(cli->config, &cli->pg, &err))
        jm_cli_fail(cli, &err);
    return cli->pg;
}

struct jm_pg *jm_cli_pg(jm_cli *cli)
{
    jm_err err;
    if (!cli->pg && jm_cli_pg_unchecked(cli) && jm_session_check(cli->pg, cli->config, &err)) {
        jm_cli_fail(cli, &err);
        jm_cli_drop_pg(cli);
    }
    return cli->pg;
}

void jm_cli_drop_pg(jm_cli *cli)
{
    if (cli->pg)
        jm_session_close(cli->pg);
    cli->pg = NULL;
}

/* ---- answers ---- */

static int finish(const jm_cli *cli)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return JM_EXIT_OK;
    return jm_cli_say(cli, JM_EXIT_FAILURE, "cannot write the answer: %s", strerror(errno));
}

int jm_cli_print_json(jm_cli *cli, json_t *value)
{
    char *text = jm_json_exact_dump(value, cli->json == JSON_LINES ? JSON_COMPACT : JSON_INDENT(2));
    puts(text ? text : "null");
    free(text);
    json_decref(value);
    return finish(cli);
}

int jm_cli_print_value(jm_cli *cli, json_t *value, const char *member)
{
    if (cli->json)
        return jm_cli_print_json(cli, value);
    char *cell = jm_cli_table_cell(json_object_get(value, member), JM_CLI_TEXT);
    puts(cell);
    free(cell);
    json_decref(value);
    return finish(cli);
}

int jm_cli_print_object(jm_cli *cli, json_t *value, const jm_cli_column *columns)
{
    if (cli->json)
        return jm_cli_print_json(cli, value);
    jm_cli_print_fields(cli, value, columns);
    json_decref(value);
    return finish(cli);
}

void jm_cli_print_table(const jm_cli *cli, const json_t *items, const jm_cli_column *columns)
{
    jm_cli_table_print(stdout, items, columns, cli->color);
}

void jm_cli_print_fields(const jm_cli *cli, const json_t *value, const jm_cli_column *columns)
{
    jm_cli_table_print_object(stdout, value, columns, cli->color);
}

/* One item a line. */
static int print_lines(jm_cli *cli, json_t *items)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        char *text = jm_json_exact_dump(item, JSON_COMPACT);
        puts(text);
        free(text);
    }
    json_decref(items);
    return finish(cli);
}

int jm_cli_print_list(jm_cli *cli, json_t *items, const jm_cli_column *columns, const char *empty)
{
    if (cli->json == JSON_LINES)
        return print_lines(cli, items);
    if (cli->json)
        return jm_cli_print_json(cli, json_pack("{s:o}", "items", items));
    bool none = json_array_size(items) == 0;
    if (!none)
        jm_cli_print_table(cli, items, columns);
    json_decref(items);
    int code = finish(cli);
    if (none)
        fprintf(stderr, "%s\n", empty);
    return code;
}

int jm_cli_print_page(jm_cli *cli, json_t *items, const char *next, const jm_cli_column *columns,
                      const char *empty)
{
    if (cli->json == JSON_DOCUMENT)
        return jm_cli_print_json(cli, json_pack("{s:o, s:s?}", "items", items, "next", next));
    int code = jm_cli_print_list(cli, items, columns, empty);
    if (!code && next)
        fprintf(stderr, "more with --cursor %s\n", next);
    return code;
}
