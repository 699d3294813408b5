/* Connections to databases of job types: made as they are needed, kept a while, and one statement
 * at a time on them, which can be cancelled. */
#ifndef JM_SQL_SESSION_H
#define JM_SQL_SESSION_H

#include <stdint.h>

#include "worker/blocking.h"
#include "worker/sql_rows.h"

/* Idle connections, by what they lead to. Counted; any thread. */
typedef struct jm_sql_idle jm_sql_idle;
jm_sql_idle *jm_sql_idle_new(void);
jm_sql_idle *jm_sql_idle_ref(jm_sql_idle *idle);
void jm_sql_idle_unref(jm_sql_idle *idle); /* the last closes them; NULL is fine */
/* Closes those that have not been used since. */
void jm_sql_idle_prune(jm_sql_idle *idle, int64_t before_us);

/* Where to connect: parameters of libpq and their values, n of each. Embedded, the strings its own.
 */
typedef struct jm_sql_target {
    char **keywords, **values;
    size_t n;
} jm_sql_target;
void jm_sql_target_add(jm_sql_target *target, const char *keyword, const char *value);
void jm_sql_target_fini(jm_sql_target *target); /* overwrites the values: there are secrets */

/* One statement, with the text of its parameters, NULL for null. */
typedef struct jm_sql_query {
    const char *statement;
    const char *const *params;
    int n_params;
    int64_t timeout_ms; /* the server's, 0: none */
} jm_sql_query;

/* From a step's work: connects where no idle connection leads there, runs the statement, keeps the
 * connection, and sets the step's verdict, data and error. */
void jm_sql_run(jm_blocking *step, jm_sql_idle *idle, const jm_sql_target *target,
                const jm_sql_query *query, jm_sql_rows *rows);

/* What is said of a notice of the server's on the way: a note whose text is a log row's. */
typedef struct jm_sql_notice {
    jm_pool_note note;
    jm_log_level level;
    char text[];
} jm_sql_notice;

#endif
