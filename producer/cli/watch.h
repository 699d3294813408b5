/* Running a command once, or again and again until Ctrl-C (--watch). */
#ifndef JM_CLI_WATCH_H
#define JM_CLI_WATCH_H

#include "producer/cli/commands.h"

/* Runs it and returns its exit code. With --watch it is run again each so many seconds: on a
 * terminal in place of what was there, elsewhere below it. While the database is away it goes on.
 */
int jm_cli_watch(jm_cli *cli, const jm_cli_command *command);

#endif
