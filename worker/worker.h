/* A worker: its threads put together, from start to stop. */
#ifndef JM_WORKER_H
#define JM_WORKER_H

#include "common/config.h"

/* Runs until it is told to stop by a signal. Returns the exit status: 0 after a graceful stop, 1
 * when it could not start or cannot run on the database it found. Call before the process has
 * threads. */
int jm_worker_run(jm_config *config);

#endif
