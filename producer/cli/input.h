/* Text that a command is given in a file or on its standard input, and what is wrong with it. */
#ifndef JM_CLI_INPUT_H
#define JM_CLI_INPUT_H

#include "common/buf.h"
#include "producer/cli/cli.h"
#include "producer/service/findings.h"

/* Appends the file, "-" being standard input. An exit code, after a message: it cannot be read, is
 * longer than max_bytes, or has a NUL in it. */
int jm_cli_read_file(const jm_cli *cli, const char *path, size_t max_bytes, jm_buf *text);

/* Says what is wrong with a document that failed with rc, and that nothing is changed. An exit
 * code. */
int jm_cli_refuse(const jm_cli *cli, const jm_findings *findings, int rc);

#endif
