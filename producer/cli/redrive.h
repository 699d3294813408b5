/* jobmill dead redrive. */
#ifndef JM_CLI_REDRIVE_H
#define JM_CLI_REDRIVE_H

#include "producer/cli/commands.h"

extern const jm_cli_option jm_cli_redrive_options[];
int jm_cli_redrive(jm_cli *cli);

#endif
