/* jobmill job logs: the log lines of a job, those that are there or as they come. */
#ifndef JM_CLI_JOB_LOGS_H
#define JM_CLI_JOB_LOGS_H

#include "producer/cli/commands.h"

int jm_cli_job_logs(jm_cli *cli);

extern const jm_cli_option jm_cli_job_logs_options[];

#endif
