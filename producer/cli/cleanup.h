/* What jobmill job delete --older-than shares with jobmill cleanup. */
#ifndef JM_CLI_CLEANUP_H
#define JM_CLI_CLEANUP_H

#include "producer/cli/cli.h"

/* With the options older-than, project, status, dry-run, yes and reason: deletes ended jobs, and
 * prints how many. Exit code. */
int jm_cli_delete_jobs(jm_cli *cli);

#endif
