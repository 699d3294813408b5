/* Changes of locks that go to the audit log. All block on the database. */
#ifndef JM_SERVICE_LOCK_CHANGES_H
#define JM_SERVICE_LOCK_CHANGES_H

#include <stdint.h>

#include "common/err.h"
#include "producer/service/change.h"

struct jm_pg;

/* As jm_locks_set. */
int jm_lock_changes_set(struct jm_pg *pg, const char *project, const char *name, int64_t capacity,
                        const jm_change *change, jm_err *err);
/* As jm_locks_force. */
int jm_lock_changes_force(struct jm_pg *pg, const char *project, const char *name,
                          const jm_change *change, jm_err *err);

#endif
