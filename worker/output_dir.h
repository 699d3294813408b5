/* The directory that a job's children leave files in. */
#ifndef JM_OUTPUT_DIR_H
#define JM_OUTPUT_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/job.h"

/* <work_dir>/<job id>-<attempt>; the caller frees. */
char *jm_output_dir_path(const char *work_dir, const jm_job *job);
/* Makes it, for this user alone. Unless it may, it must not exist yet. */
int jm_output_dir_make(const char *path, bool may_exist, jm_err *err);
/* Appends the JSON list [{"name","size"}] of its files, at most 1000, by relative name; adds up
 * their sizes. An empty directory is removed and, like one that
 * was never made, gives nothing. */
void jm_output_dir_close(const char *path, jm_buf *list, int64_t *total_size);

#endif
