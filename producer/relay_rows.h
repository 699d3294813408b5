/* The relay's view of pending_jobs: take, keep, mark, on a connection of its own. Used by one
 * thread. */
#ifndef JM_RELAY_ROWS_H
#define JM_RELAY_ROWS_H

#include "common/pg.h"
#include "common/queue.h"

typedef struct jm_relay_rows jm_relay_rows;

/* What becomes of a job that was sent. */
typedef enum jm_relay_fate {
    JM_RELAY_PUBLISHED, /* acknowledged */
    JM_RELAY_AGAIN,     /* failed: to be taken again in a second */
    JM_RELAY_REFUSED,   /* Kafka will never take it: to be started from the database */
    JM_RELAY_KEPT,      /* still in flight: nobody else is to take it for keep_s */
    JM_RELAY_FATES
} jm_relay_fate;

enum { JM_RELAY_LEASE_S = 2 }; /* for how long a row that was taken is the taker's */

jm_relay_rows *jm_relay_rows_new(const char *conninfo, const char *schema, jm_db_clock *clock,
                                 jm_pulse *pulse);
void jm_relay_rows_free(jm_relay_rows *rows);
/* As jm_pg_ensure and jm_pg_retry_in_ms. */
int jm_relay_rows_ensure(jm_relay_rows *rows, jm_err *err);
int jm_relay_rows_retry_in_ms(const jm_relay_rows *rows);

/* Takes up to limit due rows and about max_bytes of messages; appends jm_relay_items to chain. */
int jm_relay_rows_take(jm_relay_rows *rows, int limit, size_t max_bytes, jm_chain *chain,
                       jm_err *err);
/* Notes the fate of a job; nothing is written until settle. */
void jm_relay_rows_note(jm_relay_rows *rows, const jm_uuid *id, jm_relay_fate fate);
/* How many notes wait. */
size_t jm_relay_rows_noted(const jm_relay_rows *rows);
/* Writes what was noted. What a lost connection leaves unwritten is kept and written later; what
 * PostgreSQL refuses is dropped: the rows become visible and are sent again. */
int jm_relay_rows_settle(jm_relay_rows *rows, int keep_s, jm_err *err);

#endif
