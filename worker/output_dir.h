/* The directory that a job's children leave files in. */
#ifndef JM_OUTPUT_DIR_H
#define JM_OUTPUT_DIR_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/job.h"

/* Makes <work_dir>/<job id>-<attempt>, which must not exist yet, for this user alone. The caller
 * frees *path. */
int jm_output_dir_make(const char *work_dir, const jm_job *job, char **path, jm_err *err);
/* Appends the JSON list [{"name","size"}] of its files, at most 1000, by relative name; adds up
 * their sizes. An empty directory is removed and gives nothing. */
void jm_output_dir_close(const char *path, jm_buf *list, int64_t *total_size);

#endif
