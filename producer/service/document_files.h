/* The files of a document: one, or all *.json below a directory. */
#ifndef JM_SERVICE_DOCUMENT_FILES_H
#define JM_SERVICE_DOCUMENT_FILES_H

#include <stddef.h>

#include "common/err.h"

#define JM_DOCUMENT_BYTES_MAX ((size_t)64 << 20) /* of all files together */

/* Is given each file in turn. name and text are borrowed for the call. */
typedef void jm_document_file_fn(void *ctx, const char *name, const char *text, size_t len);

/* Reads path: a file, "-" for standard input, or a directory, of which every *.json is read, those
 * below it too, in the order of their names. What is hidden is left out; links are followed.
 * Errors: JM_ERR_IO, JM_ERR_INVALID (too much, or a directory without any such file); err->msg
 * begins with the file. */
int jm_document_files_each(const char *path, jm_document_file_fn *fn, void *ctx, jm_err *err);

#endif
