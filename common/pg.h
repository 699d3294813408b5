/* One PostgreSQL connection: connects and reconnects with backoff, prepares each query once, sends
 * several statements as one transaction in one round trip. Used by one thread at a time. */
#ifndef JM_PG_H
#define JM_PG_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/pg_batch.h"
#include "common/watchdog.h"
#include "schema/sql.h"

typedef struct jm_pg jm_pg;

typedef struct jm_pg_options {
    const char *conninfo; /* URL or key=value string; copied */
    const char *schema;   /* becomes search_path; copied */
    const char *name;     /* application_name, e.g. "jobmill-worker record"; copied */
    bool batch;           /* hot path: sequential scans off, generic plans (docs/architecture.md) */
    int backoff_max_ms;   /* longest pause between tries to connect; 0: 5 s */
    int timeout_ms;  /* longest wait for an answer before the connection is given up; 0: 30 s */
    jm_pulse *pulse; /* beats while an answer is waited for: that has a deadline of its own; NULL */
    jm_db_clock *clock; /* set on each connect; may be NULL; borrowed */
} jm_pg_options;

jm_pg *jm_pg_new(const jm_pg_options *options); /* does not connect */
void jm_pg_free(jm_pg *pg);

/* Connects if there is no connection. While a backoff (100 ms to 5 s, with jitter) is running it
 * returns JM_ERR_DB_DOWN at once; jm_pg_retry_in_ms says how long that lasts. Blocks up to 5 s. */
int jm_pg_ensure(jm_pg *pg, jm_err *err);
/* As jm_pg_ensure without looking at the backoff: for commands that people wait for. */
int jm_pg_connect(jm_pg *pg, jm_err *err);
int jm_pg_retry_in_ms(const jm_pg *pg);
bool jm_pg_is_up(const jm_pg *pg);
void jm_pg_disconnect(jm_pg *pg);
/* Waits out a loss of the database: tries to connect until it is there. The one place where a
 * thread that can do nothing else waits. false once *stop is set or jm_pg_give_up_at has passed. */
bool jm_pg_wait(jm_pg *pg, const _Atomic bool *stop);
/* From then on (monotonic, ms; INT64_MAX: never) no call waits for the server any more: what is in
 * flight is given up with its connection, as after a loss. Any thread, at any time. */
void jm_pg_give_up_at(jm_pg *pg, int64_t mono_ms);
bool jm_pg_is_given_up(const jm_pg *pg); /* that moment has passed */
/* Disconnects for good. A session that was given up is ended first, if the server answers within
 * ms: waiting for a lock, it could go on to commit what nobody waits for. */
void jm_pg_finish(jm_pg *pg, int ms);
void jm_pg_set_timeout(jm_pg *pg, int timeout_ms); /* as in the options */
uint64_t
jm_pg_generation(const jm_pg *pg); /* rises with each connect: what a session held is gone */
/* The connection, borrowed, for LISTEN and its descriptor; NULL when down. */
PGconn *jm_pg_conn(jm_pg *pg);

/* One statement of a transaction. */
typedef struct jm_pg_call {
    const jm_sql *sql;
    const jm_pg_args *args; /* NULL: no parameters */
    bool binary;            /* results in binary, read with jm_pg_get_*; otherwise text */
    PGresult *res;          /* out: the caller frees with PQclear; NULL after failure */
} jm_pg_call;

/* Runs the calls as one transaction in one round trip (pipeline, commit at its end): all or
 * nothing. Errors: JM_ERR_DB with sqlstate when PostgreSQL refused (nothing was done);
 * JM_ERR_DB_DOWN when the connection was lost: whether the commit held is unknown, so every use
 * must be repeatable by key. err->retriable is set for serialization failures, deadlocks and lock
 * timeouts as well. */
int jm_pg_run(jm_pg *pg, jm_pg_call *calls, int n, jm_err *err);
void jm_pg_calls_clear(jm_pg_call *calls, int n);

/* One query, text results; *res may be NULL if the rows do not matter. */
int jm_pg_query(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, PGresult **res, jm_err *err);
/* Plain SQL text without parameters, several statements allowed (BEGIN, COMMIT, LISTEN,
 * migrations). */
int jm_pg_exec(jm_pg *pg, const char *text, PGresult **out, jm_err *err);

/* Values of binary results. A null gives 0 / an empty id; ask PQgetisnull first where it matters.
 */
jm_uuid jm_pg_get_uuid(const PGresult *res, int row, int col);
int32_t jm_pg_get_i32(const PGresult *res, int row, int col);
int64_t jm_pg_get_i64(const PGresult *res, int row, int col);
bool jm_pg_get_bool(const PGresult *res, int row, int col);
int64_t jm_pg_get_ts(const PGresult *res, int row, int col); /* timestamptz, us since 1970 */
/* text and jsonb (without its version byte); NULL for a null; NUL-terminated; borrowed from res.
 * len may be NULL. */
const char *jm_pg_get_text(const PGresult *res, int row, int col, size_t *len);

/* A SHA-256 as the text of a bytea, put into out and returned. */
enum { JM_PG_DIGEST_TEXT = 67 };
const char *jm_pg_digest_text(const uint8_t digest[32], char out[JM_PG_DIGEST_TEXT]);

#endif
