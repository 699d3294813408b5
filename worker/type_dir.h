/* The directory of job types of a worker (jobs.d), reloaded on SIGHUP. */
#ifndef JM_TYPE_DIR_H
#define JM_TYPE_DIR_H

#include "worker/job_type.h"

typedef struct jm_type_dir jm_type_dir;

/* One definition from a file of any name. */
int jm_type_dir_load_file(const char *path, jm_job_type **out, jm_err *err);

/* Reads path/ *.json (a missing directory is empty) and adds the built-in types. At the first load
 * a broken file is an error of the call. */
int jm_type_dir_new(const char *path, jm_type_dir **out, jm_err *err);
/* Reads again: a broken file is logged with file, line and reason and keeps its old definition; a
 * file that is gone takes its type away. Any thread. */
int jm_type_dir_reload(jm_type_dir *dir, jm_err *err);
void jm_type_dir_free(jm_type_dir *dir);

/* A counted reference, or NULL. Any thread. */
jm_job_type *jm_type_dir_get(jm_type_dir *dir, const char *name);
/* All types, counted references in a NULL-terminated array that the caller frees after unref of
 * each. */
jm_job_type **jm_type_dir_all(jm_type_dir *dir);
uint64_t
jm_type_dir_generation(jm_type_dir *dir); /* rises with each reload that changed something */

#endif
