/* Schema versions: which migrations are embedded, which are applied, and applying them. */
#ifndef JM_MIGRATE_H
#define JM_MIGRATE_H

#include "common/pg.h"

typedef enum jm_schema_state {
    JM_SCHEMA_EMPTY,    /* no schema, or no schema_migrations in it */
    JM_SCHEMA_CURRENT,  /* every embedded migration is applied, and this program may run on it */
    JM_SCHEMA_BEHIND,   /* some embedded migrations are not applied */
    JM_SCHEMA_AHEAD_OK, /* newer than this program, which still meets its min_program_version */
    JM_SCHEMA_TOO_NEW   /* newer, and this program is too old for it */
} jm_schema_state;

typedef struct jm_schema_status {
    jm_schema_state state;
    int applied;  /* highest version in the database, 0 if empty */
    int embedded; /* highest version in this program */
    char min_program_version[32];
} jm_schema_status;

int jm_migrate_status(jm_pg *pg, const char *schema, jm_schema_status *out, jm_err *err);
/* Applies what is missing, each in its transaction, under an advisory lock; harmless when nothing
 * is. progress (may be NULL) is called before each. */
int jm_migrate_apply(jm_pg *pg, const char *schema, void (*progress)(void *ctx, const char *name),
                     void *ctx, jm_err *err);
/* Drops the schema and everything in it. */
int jm_migrate_reset(jm_pg *pg, const char *schema, jm_err *err);

/* What daemons do at start: an empty database is migrated (with [database] auto_migrate, also one
 * that is behind); a schema it cannot run on is an error that says which and what to do. Also
 * refuses fsync=off and synchronous_commit=off unless [database] allow_unsafe is set (promise 7).
 */
int jm_migrate_check(jm_pg *pg, const char *schema, bool auto_migrate, bool allow_unsafe,
                     jm_err *err);

#endif
