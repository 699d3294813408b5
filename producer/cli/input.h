/* Text that a command is given in a file or on its standard input. */
#ifndef JM_CLI_INPUT_H
#define JM_CLI_INPUT_H

#include "common/buf.h"
#include "producer/cli/cli.h"

/* Appends the file, "-" being standard input. An exit code, after a message: it cannot be read, is
 * longer than max_bytes, or has a NUL in it. */
int jm_cli_read_file(const jm_cli *cli, const char *path, size_t max_bytes, jm_buf *text);

#endif
