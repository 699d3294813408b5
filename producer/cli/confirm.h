/* Asking before what cannot be taken back, in commands that share JM_CLI_YES. */
#ifndef JM_CLI_CONFIRM_H
#define JM_CLI_CONFIRM_H

#include "producer/cli/cli.h"

/* JM_EXIT_OK with --yes or --dry-run; else asks on a terminal: "This <deletes 3 jobs>. Go on?
 * [y/N]". Where there is none: JM_EXIT_USAGE after a message if must, else JM_EXIT_OK. Failure
 * after another answer. */
int jm_cli_confirm(jm_cli *cli, bool must, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what takes much with it: the name has to be typed; must always. */
int jm_cli_confirm_name(jm_cli *cli, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
