/* Requests that wait for a lock. One thread tries for all of them, in the order in which they came,
 * so that they hold neither threads nor connections. */
#ifndef JM_HTTP_LOCK_WAITS_H
#define JM_HTTP_LOCK_WAITS_H

#include "producer/http/request.h"
#include "producer/pg_pool.h"

typedef struct jm_lock_waits jm_lock_waits;

typedef struct jm_lock_wish {
    const char *project, *name, *owner;
    double ttl_s, wait_s;
} jm_lock_wish;

/* The thread is there from the first one that waits; it borrows connections. */
jm_lock_waits *jm_lock_waits_new(jm_pg_pool *pool);
/* Answers all that wait with 503. */
void jm_lock_waits_stop(jm_lock_waits *waits);
void jm_lock_waits_free(jm_lock_waits *waits); /* NULL is fine */

/* Takes the request away from its handler and answers it once it has the lock or the time is over.
 * Where too many wait already it is answered with 503. The wish is copied. */
void jm_lock_waits_add(jm_lock_waits *waits, jm_req *req, const jm_lock_wish *wish);

#endif
