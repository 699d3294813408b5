/* Connections to PostgreSQL that are borrowed for one request: some are kept, more are made when
 * they are needed, each is checked before it is lent and replaced when it is old. */
#ifndef JM_PG_POOL_H
#define JM_PG_POOL_H

#include "common/pg.h"

typedef struct jm_pg_pool jm_pg_pool;

typedef struct jm_pg_pool_options {
    const char *conninfo, *schema, *name; /* as of jm_pg_options; copied */
    int keep, most;                       /* connections that stay; that there are at the most */
    int wait_ms;                          /* for one to become free */
    int recycle_s;                        /* after so long a connection is made anew; 0: never */
    int timeout_ms;                       /* of one answer */
    jm_db_clock *clock;                   /* may be NULL; borrowed */
} jm_pg_pool_options;

typedef struct jm_pg_pool_stats {
    int open, lent, waiting;
} jm_pg_pool_stats;

jm_pg_pool *jm_pg_pool_new(const jm_pg_pool_options *options); /* does not connect */
void jm_pg_pool_free(jm_pg_pool *pool);                        /* all have been given back */

/* Any thread; waits up to wait_ms for a free one and up to 5 s for a new one. Errors:
 * JM_ERR_DB_DOWN (at once while the database is known to be away), JM_ERR_TIMEOUT (all are lent).
 */
int jm_pg_pool_lend(jm_pg_pool *pool, jm_pg **out, jm_err *err);
/* Rolls back what was left open. */
void jm_pg_pool_give_back(jm_pg_pool *pool, jm_pg *pg);
void jm_pg_pool_get_stats(jm_pg_pool *pool, jm_pg_pool_stats *stats);
/* Whether the last time that somebody asked, the database was there. Any thread, no wait. */
bool jm_pg_pool_is_up(const jm_pg_pool *pool);

#endif
