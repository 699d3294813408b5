/* One schedule by its id, to compute with. */
#ifndef JM_SERVICE_SCHEDULE_ROW_H
#define JM_SERVICE_SCHEDULE_ROW_H

#include "common/mem.h"
#include "common/pg.h"
#include "producer/schedule.h"

typedef struct jm_schedule_row {
    jm_schedule schedule; /* not resolved; its strings are in the arena that was given */
    int64_t clock_us;     /* PostgreSQL's; read under the lock where there is one */
    int64_t created_us;
    int64_t decided_until_us; /* the last instant that its ledger has decided; 0: none */
} jm_schedule_row;

/* Reads it; with lock it is locked first, in a transaction that is open, against edits and firing.
 * *res, where asked for, is the row as jm_dues_read takes it; the caller clears it. Errors:
 * JM_ERR_NOT_FOUND; those of the database. */
int jm_schedule_row_read(jm_pg *pg, const jm_uuid *id, bool lock, jm_arena *arena,
                         jm_schedule_row *out, PGresult **res, jm_err *err);

#endif
