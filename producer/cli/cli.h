/* One call of the command line: what was given, and how its answer is printed. */
#ifndef JM_CLI_CLI_H
#define JM_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "producer/service/change.h"

enum { JM_EXIT_OK = 0, JM_EXIT_FAILURE = 1, JM_EXIT_USAGE = 2, JM_EXIT_NOT_FOUND = 3 };

struct jm_page;
struct jm_pg;
struct jm_cli_noun;
struct jm_cli_command;
struct jm_cli_column;

typedef struct jm_cli jm_cli;

/* Parses argv (argv[0] is the program; configuration is taken out already) against the table. On a
 * usage error prints it and returns JM_EXIT_USAGE. Borrows config and argv. */
int jm_cli_new(const struct jm_cli_noun *noun, const struct jm_cli_command *command,
               const jm_config *config, int argc, char **argv, jm_cli **out);
void jm_cli_free(jm_cli *cli);

const jm_config *jm_cli_config(const jm_cli *cli);
bool jm_cli_json(const jm_cli *cli); /* --json was given */
/* --json=lines: what is printed is one compact object a line, of lists one an item. */
bool jm_cli_json_lines(const jm_cli *cli);
bool jm_cli_color(const jm_cli *cli); /* of what goes to stdout: --color, else a terminal's */

int jm_cli_n_operands(const jm_cli *cli);
const char *jm_cli_operand(const jm_cli *cli, int i); /* NULL past the last */
/* Value of an option, NULL when it was not given. The option must be in the command's table
 * (assert). */
const char *jm_cli_option_text(const jm_cli *cli, const char *name);
bool jm_cli_option_flag(const jm_cli *cli, const char *name);
/* A whole number from min to max; def when not given. JM_EXIT_OK, or JM_EXIT_USAGE after a message.
 */
int jm_cli_option_int(jm_cli *cli, const char *name, int64_t def, int64_t min, int64_t max,
                      int64_t *out);
/* A time (RFC 3339), or a duration such as 2h: so long ago. *us stays when it was not given. */
int jm_cli_option_time(jm_cli *cli, const char *name, int64_t *us);
/* JSON of that type (JSON_OBJECT, ...); *out NULL when not given, else text borrowed from argv:
 * exactly as it was given, so that no number loses a digit. */
int jm_cli_option_json(jm_cli *cli, const char *name, json_type type, const char **out);

/* The page that --limit, --offset and --cursor ask for, of a command that shares JM_CLI_PAGE;
 * its cursor lives as long as cli.
 * Returns JM_EXIT_OK, or JM_EXIT_USAGE after a message. */
int jm_cli_page_get(jm_cli *cli, struct jm_page *page);

/* Who gives this command, with --reason and --dry-run where the command has them. Lives as long as
 * cli. */
void jm_cli_change(jm_cli *cli, jm_change *change);
/* Whether the command has an option of that name. */
bool jm_cli_has_option(const jm_cli *cli, const char *name);

/* The connection to the database, opened on the first call; the schema has been checked to be one
 * that this program runs on. NULL after a message on stderr. Owned by cli. */
struct jm_pg *jm_cli_pg(jm_cli *cli);
/* The same without looking at the schema (schema init, doctor). */
struct jm_pg *jm_cli_pg_unchecked(jm_cli *cli);
/* Closes it; it is opened again when it is asked for. */
void jm_cli_drop_pg(jm_cli *cli);

/* Prints "jobmill: message" and returns the exit code for err->code: JM_ERR_NOT_FOUND 3,
 * JM_ERR_INVALID 2, others 1. */
int jm_cli_fail(jm_cli *cli, const jm_err *err);
/* Prints "jobmill: message" with a hint at --help; returns JM_EXIT_USAGE. */
int jm_cli_usage(const jm_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints "jobmill: message"; returns code. */
int jm_cli_say(const jm_cli *cli, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints one object and gives its reference up: with --json all of it, else only the member named
 * (a string or number), on a line of its own. Returns JM_EXIT_OK, or failure when stdout is gone.
 */
int jm_cli_print_value(jm_cli *cli, json_t *value, const char *member);
/* Prints one object as "name: value" lines in the order of columns, or --json. Takes the reference.
 */
int jm_cli_print_object(jm_cli *cli, json_t *value, const struct jm_cli_column *columns);
/* Prints a list of objects: a table, or {"items": [...]} with --json. empty is said on stderr when
 * there are none. Takes the reference. */
int jm_cli_print_list(jm_cli *cli, json_t *items, const struct jm_cli_column *columns,
                      const char *empty);
/* The same of a page; next is the cursor of the page behind it, NULL on the last: {"items", "next"}
 * with --json, else said on stderr. */
int jm_cli_print_page(jm_cli *cli, json_t *items, const char *next,
                      const struct jm_cli_column *columns, const char *empty);
/* Prints a table as lists are printed, of less than a whole answer; items is borrowed. */
void jm_cli_print_table(const jm_cli *cli, const json_t *items,
                        const struct jm_cli_column *columns);
/* The same of one object, as jm_cli_print_object. */
void jm_cli_print_fields(const jm_cli *cli, const json_t *value,
                         const struct jm_cli_column *columns);
/* Prints any JSON document. Takes the reference. */
int jm_cli_print_json(jm_cli *cli, json_t *value);

#endif
