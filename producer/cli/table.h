/* Tables of JSON objects: fitted to a terminal, plain columns of text in a pipe. */
#ifndef JM_CLI_TABLE_H
#define JM_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef enum jm_cli_format {
    JM_CLI_TEXT,
    JM_CLI_RIGHT, /* numbers: to the right */
    JM_CLI_TIME,  /* RFC 3339 in the data, "2026-11-22 14:30:00" (UTC) in the table */
    JM_CLI_MS,    /* milliseconds in the data, "1.2 s" in the table */
    JM_CLI_STATE, /* a status, an outcome or the like: coloured where there are colours */
    JM_CLI_WIDE   /* text that may be cut to fit a terminal */
} jm_cli_format;

typedef struct jm_cli_column {
    const char *title;  /* NULL ends the list */
    const char *member; /* of the objects */
    jm_cli_format format;
} jm_cli_column;

/* One row an object of items. Null and missing members are "-". Where to is no terminal nothing is
 * cut and columns are padded with spaces, so that awk and cut -c read them. color: statuses have
 * theirs. */
void jm_cli_table_print(FILE *to, const json_t *items, const jm_cli_column *columns, bool color);
/* "Title:  value" lines of one object; members that are null are left out. */
void jm_cli_table_print_object(FILE *to, const json_t *value, const jm_cli_column *columns,
                               bool color);
/* A member's value as a cell shows it; the caller frees. */
char *jm_cli_table_cell(const json_t *value, jm_cli_format format);
/* What switches a terminal to the colour of that status, until "\033[m"; "" where it has none. */
const char *jm_cli_table_color(const char *status);

#endif
