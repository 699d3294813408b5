/* --metadata of lists. */
#ifndef JM_CLI_METADATA_H
#define JM_CLI_METADATA_H

#include "producer/cli/commands.h"

#define JM_CLI_METADATA_VALUE "KEY=VALUE|JSON"

/* KEY=VALUE, or an object for several, as texts by name; *out NULL where it was not given, else the
 * caller's. An exit code, after a message where that is none of success. */
int jm_cli_option_metadata(jm_cli *cli, json_t **out);

#endif
