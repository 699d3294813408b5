/* jobmill job update. */
#ifndef JM_CLI_JOB_UPDATE_H
#define JM_CLI_JOB_UPDATE_H

#include "producer/cli/cli.h"

/* With the operand ID and the options metadata and priority. Exit code. */
int jm_cli_update_job(jm_cli *cli);

#endif
