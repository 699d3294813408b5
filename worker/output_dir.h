/* The directories that jobs' children leave files in. */
#ifndef JM_OUTPUT_DIR_H
#define JM_OUTPUT_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/job.h"

/* All of one work_dir; one thread's. Most jobs leave nothing, so that their directories can be
 * given to later jobs by a new name: to make and remove one for each job costs ext4 a search
 * through all inodes that were freed within the last seconds. */
typedef struct jm_output_dirs jm_output_dirs;

/* Removes spare ones that a process which was killed has left. */
jm_output_dirs *jm_output_dirs_new(const char *work_dir);
void jm_output_dirs_free(jm_output_dirs *dirs); /* removes those that are spare; NULL is fine */

/* <work_dir>/<job id>-<attempt>; the caller frees. */
char *jm_output_dirs_path(const jm_output_dirs *dirs, const jm_job *job);
/* Makes it, for this user alone. Unless it may, it must not exist yet. */
int jm_output_dirs_make(jm_output_dirs *dirs, const char *path, bool may_exist, jm_err *err);
/* Appends the JSON list [{"name","size"}] of its files, at most 1000, by relative name; adds up
 * their sizes. One in which there is no file is removed, with the empty
 * directories in it, and, like one that was never made, gives nothing. */
void jm_output_dirs_close(jm_output_dirs *dirs, const char *path, jm_buf *list,
                          int64_t *total_size);

#endif
