/* `jobmill-worker run TYPE` and `jobmill-worker check FILE...`: the real step runner in the
 * terminal, with neither Kafka nor database. */
#ifndef JM_RUN_COMMAND_H
#define JM_RUN_COMMAND_H

#include "common/config.h"

/* argv[0] is the program, argv[1] "run" or "check". Reads [worker] jobs_dir. Logs and steps go to
 * stderr, the result to stdout. Forks and starts threads: call it from a process that has none.
 * Returns the exit status: 0 completed (check: all files are sound), 1 failed, 2 usage, 3 no such
 * type. */
int jm_run_command(int argc, char **argv, const jm_config *config);

#endif
