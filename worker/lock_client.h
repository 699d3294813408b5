/* Locks for steps that run on threads of the worker: the same that jobs and `jobmill lock` take.
 * One connection for all of them, made when it is first needed. Any thread; all block on the
 * database. */
#ifndef JM_LOCK_CLIENT_H
#define JM_LOCK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

typedef struct jm_lock_client jm_lock_client;

/* Counted: a thread that does not come back may still use it when the worker ends. The strings are
 * copied. */
jm_lock_client *jm_lock_client_new(const char *conninfo, const char *schema);
jm_lock_client *jm_lock_client_ref(jm_lock_client *client); /* NULL is fine, as for unref */
void jm_lock_client_unref(jm_lock_client *client);

/* A lock, and who asks for it. */
typedef struct jm_lock_want {
    const char *project, *name, *owner;
    double ttl_s;            /* until it expires */
    double wait_s;           /* how long to wait for it; 0: not at all */
    bool (*stop)(void *ctx); /* looked at while waiting: true gives up */
    void *ctx;
} jm_lock_want;

/* *token: of the lock, larger than all before; 0 when others have it, or stop said so. Errors:
 * JM_ERR_INVALID (name, ttl_s), JM_ERR_NOT_FOUND (no such project), JM_ERR_DB_DOWN. */
int jm_lock_client_acquire(jm_lock_client *client, const jm_lock_want *want, int64_t *token,
                           jm_err *err);
/* Keeps it for ttl_s from now. Errors: JM_ERR_CONFLICT: the token does not hold it (any more). */
int jm_lock_client_extend(jm_lock_client *client, const char *project, const char *name,
                          int64_t token, double ttl_s, jm_err *err);
/* Lets it go and wakes the jobs that wait for it. Errors as extend. */
int jm_lock_client_release(jm_lock_client *client, const char *project, const char *name,
                           int64_t token, jm_err *err);

#endif
