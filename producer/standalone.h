/* A producer without a database: fires the schedules of a file, and serves health and metrics. */
#ifndef JM_STANDALONE_H
#define JM_STANDALONE_H

#include <stdbool.h>

#include "common/config.h"

/* Runs until the program is told to end; returns its exit status. */
int jm_standalone_run(jm_config *config, bool with_http);

#endif
