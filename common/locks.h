/* Locks: the same that jobs take, for people and scripts. The rules and queries behind the command
 * line and the API. All block on the database. */
#ifndef JM_LOCKS_H
#define JM_LOCKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct jm_pg;
struct jm_page;

/* Slots that are held, limits that were set, and keys that a failed job blocks, by name. project
 * and name may be NULL: any. *next (may be NULL; the caller frees): the cursor of the next page, or
 * NULL. Errors: JM_ERR_INVALID with field "cursor". */
int jm_locks_list(struct jm_pg *pg, const char *project, const char *name,
                  const struct jm_page *page, json_t **items, char **next, jm_err *err);

/* One lock: {"project", "name", "capacity", "waiting": jobs, "blocked_by": job or null, "holders":
 * [{"slot", "owner", "token", "expires_at"}]}; one that nobody has ever taken is free, with a
 * capacity of 1. Errors: JM_ERR_NOT_FOUND (no such project). */
int jm_locks_show(struct jm_pg *pg, const char *project, const char *name, json_t **lock,
                  jm_err *err);

/* At most capacity hold it at once from now on; holders above it keep it until they let go.
 * Errors: JM_ERR_INVALID, JM_ERR_NOT_FOUND (no such project). */
int jm_locks_set(struct jm_pg *pg, const char *project, const char *name, int64_t capacity,
                 jm_err *err);

/* Takes the lock, waiting up to wait_s for it; *lock has its token and expires_at. A connection
 * that breaks meanwhile is made again. Errors: JM_ERR_CONFLICT when others have it,
 * JM_ERR_INVALID, JM_ERR_NOT_FOUND (no such project). */
int jm_locks_acquire(struct jm_pg *pg, const char *project, const char *name, const char *owner,
                     double ttl_s, double wait_s, json_t **lock, jm_err *err);

/* Keeps it for ttl_s from now. Errors: JM_ERR_CONFLICT: the token does not hold it (any more). */
int jm_locks_extend(struct jm_pg *pg, const char *project, const char *name, int64_t token,
                    double ttl_s, json_t **lock, jm_err *err);

/* Lets it go and wakes the jobs that wait for it. Errors as jm_locks_extend. */
int jm_locks_release(struct jm_pg *pg, const char *project, const char *name, int64_t token,
                     jm_err *err);

/* The same whatever the token is; of the lock of an ordering key ("order:<type>/<key>"), the failed
 * job that blocks it loses its place. Errors: JM_ERR_CONFLICT when nobody holds it, or a job that
 * runs. */
int jm_locks_force(struct jm_pg *pg, const char *project, const char *name, jm_err *err);

#endif
