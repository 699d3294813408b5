/* What to do next after an error. */
#ifndef JM_CLI_HINT_H
#define JM_CLI_HINT_H

#include "common/err.h"
#include "producer/cli/commands.h"

#define JM_CLI_HINT_MAX 200

/* Writes a sentence for what helps after err in that command; false: there is none, or the message
 * says it already. */
bool jm_cli_hint(const jm_cli_noun *noun, const jm_cli_command *command, const jm_err *err,
                 char hint[JM_CLI_HINT_MAX]);

#endif
