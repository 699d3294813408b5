/* What the parts of accept share: accept (the walk), accept_tx (the statements of one transaction),
 * accept_known (records that name jobs which exist). Store thread only. */
#ifndef JM_ACCEPT_PRIV_H
#define JM_ACCEPT_PRIV_H

#include "worker/store_priv.h"

/* A batch that is being decided. */
typedef struct jm_accept_state {
    jm_store *store;
    jm_batch *batch;
    int64_t first_seq, seq; /* claims: of the first transaction, and of the one at hand */
    jm_job_type **types;    /* of each record, counted; NULL: unknown here */
    bool *now;              /* of each record: it has a slot */
    const char **waits;     /* of each record: why it waits */
} jm_accept_state;

/* accept.c: makes a dead letter of a record. */
void jm_accept_dead(jm_accept_state *a, jm_batch_record *record, const char *reason,
                    const char *field, const char *detail);
/* accept.c: the lock that the job of record i must take to start, or NULL. *ordered: it stands for
 * a place in its key. In the batch's arena. */
const char *jm_accept_lock(jm_accept_state *a, int i, bool *ordered);
/* Whether record i has one of the places from..to-1. */
static inline bool jm_accept_is_in(const jm_accept_state *a, int i, int from, int to)
{
    return a->batch->records[i].place >= from && a->batch->records[i].place < to;
}
/* accept.c: accepts the records at places from..to in one transaction, or in halves where
 * PostgreSQL refuses a row, down to the one it refuses. Waits out losses of the database.
 * JM_ERR_CLOSED when stopping.
 */
int jm_accept_range(jm_accept_state *a, int from, int to);

/* accept_tx.c: one try at the records at places from..to, one transaction, one round trip. After
 * success each of them is started, waiting, dead, or still open: those name jobs that exist. */
int jm_accept_try(jm_accept_state *a, int from, int to, jm_err *err);
int jm_accept_max_attempts(const jm_job *job, const jm_job_type *type);

/* accept_known.c: claims external ids and dedup keys, in a transaction of its own: a key belongs to
 * the job's id, which is derived from the record, so a crash in between loses nothing. */
int jm_accept_duplicates(jm_accept_state *a, jm_err *err);
/* accept_known.c: gives back the keys of a record that came to nothing. */
int jm_accept_undedup(jm_accept_state *a, const jm_batch_record *record, jm_err *err);
/* accept_known.c: settles the records that are still open; after an error they are open as before.
 */
int jm_accept_known(jm_accept_state *a, jm_err *err);

#endif
