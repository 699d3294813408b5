/* Texts that help, reference page and man pages have in common. */
#ifndef JM_CLI_HELP_H
#define JM_CLI_HELP_H

#include "common/buf.h"
#include "producer/cli/commands.h"

extern const char jm_cli_everywhere[]; /* the options of every command, as lines */

/* Appends its help as sentences, with its choices in quotes of that kind. */
void jm_cli_option_help(jm_buf *text, const jm_cli_option *option, const char *quote);

#endif
