/* What commands say that change something, or with --dry-run would. */
#ifndef JM_CLI_CHANGE_H
#define JM_CLI_CHANGE_H

#include "producer/cli/cli.h"

/* The connection (NULL after a message), and who gives this command. */
struct jm_pg *jm_cli_change_begin(jm_cli *cli, jm_change *change);

/* --project, or default. */
const char *jm_cli_project(const jm_cli *cli);

/* Prints what was changed and gives its reference up: with --json all of it, with "dry_run" where
 * it was only tried, else the member named, after "would be <done>" on stderr where it was only
 * tried. An exit code. */
int jm_cli_print_changed(jm_cli *cli, const jm_change *change, json_t *what, const char *member,
                         const char *done);
/* The same of what is no object any more, or was none: a word says what became of it, the member
 * "fate" of what. */
int jm_cli_print_fate(jm_cli *cli, const jm_change *change, json_t *what, const char *fate);

#endif
