/* `jobmill-worker test FILE`: runs a job type against fixtures with the real step runner. */
#ifndef JM_TYPE_TEST_H
#define JM_TYPE_TEST_H

#include "common/config.h"

/* argv[0] is the program, argv[1] "test". Prints TAP to stdout. Forks and starts threads: call it
 * from a process that has none. Returns the exit status: 0 all as expected, 1 not, 2 usage. */
int jm_type_test_command(int argc, char **argv, const jm_config *config);

#endif
