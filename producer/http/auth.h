/* Who may ask: keys that were seen are kept in memory, so that they hold while the database is away
 * and no request waits for it. What ends a key ends it here within a second. */
#ifndef JM_HTTP_AUTH_H
#define JM_HTTP_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "producer/http/request.h"

struct jm_pg_pool;

typedef struct jm_identity {
    char actor[140]; /* "key:name", "session:name", "anonymous" */
    jm_scope scope;
    char project[101]; /* "": all */
    char key_id[37];   /* "" of one that stands in a file, and where no key is needed */
    bool is_session;
} jm_identity;

typedef struct jm_auth jm_auth;

typedef struct jm_auth_options {
    bool off;                    /* everybody may do everything */
    const char *keys_file;       /* keys that hold without a database, or NULL */
    int rate_per_s;              /* of requests of one key; 0: no limit */
    int burst;                   /* that may come at once; 0: as many as in a second */
    struct jm_pg_pool *pool;     /* NULL: there is no database; borrowed */
    const char *conninfo;        /* of the connection on which keys are looked at again; copied */
    const char *schema;          /* copied */
    const jm_db_clock *db_clock; /* expiry goes by PostgreSQL's clock; NULL: by this machine's */
} jm_auth_options;

/* Starts its thread where there is a database. Errors: JM_ERR_INVALID, JM_ERR_IO (the file). */
int jm_auth_new(const jm_auth_options *options, jm_auth **out, jm_err *err);
void jm_auth_free(jm_auth *auth); /* notes what was used and ends the thread; NULL is fine */

/* Any thread. A key that was looked at within a second costs no more than a short lock; else the
 * database is asked. Errors: JM_ERR_NOT_FOUND: no such key, or it was revoked or has expired;
 * JM_ERR_DB_DOWN: it was not seen before and the database is away; JM_ERR_TIMEOUT: over its rate,
 * *retry_after_s (may be NULL) says for how long. */
int jm_auth_check(jm_auth *auth, const char *text, size_t len, jm_identity *who, int *retry_after_s,
                  jm_err *err);
/* A key that was just revoked here, with its sessions: it holds no longer. */
void jm_auth_forget(jm_auth *auth, const char *key_id);

/* For a stream that goes on after its request was let in: the key is looked at as if it were used,
 * and within a second after it has been revoked or has expired the hold says so. NULL: of a key
 * ("" is none) that never ends. */
struct jm_key_hold;
struct jm_key_hold *jm_auth_hold(jm_auth *auth, const char *key_id);

#endif
