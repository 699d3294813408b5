/* Metadata under the keys that a job type declares searchable, as rows of job_metadata. */
#ifndef JM_SEARCHABLE_H
#define JM_SEARCHABLE_H

#include "common/pg_batch.h"
#include "worker/job_type.h"

/* Adds a row to the three columns (job id, key, value) for each searchable key that the object has
 * and that is not null: strings as they are, everything else as it stands in the text. type may be
 * NULL. */
void jm_searchable_add(jm_col col[3], const jm_uuid *job_id, const jm_job_type *type,
                       const char *metadata, size_t len);
/* The same for keys that are at hand: NULL-terminated, or NULL. */
void jm_searchable_add_keys(jm_col col[3], const jm_uuid *job_id, const char *const *keys,
                            const char *metadata, size_t len);

#endif
