/* Files that commands write. */
#ifndef JM_SERVICE_FILE_WRITE_H
#define JM_SERVICE_FILE_WRITE_H

#include "common/err.h"

/* Writes the text and a newline. Takes the place of a regular file, that a link may lead to, or of
 * nothing; what is neither (a terminal, a pipe, a device) is written to. Errors: JM_ERR_IO. */
int jm_file_write(const char *path, const char *text, jm_err *err);

#endif
