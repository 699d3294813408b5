/* Retention of the ledger: rows of schedule_ticks go a batch at a time, oldest first. */
#ifndef JM_LEDGER_TRIM_H
#define JM_LEDGER_TRIM_H

#include "common/pg.h"

/* Where the last batch began; {0}: at the oldest row. Embedded. */
typedef struct jm_ledger_trim {
    int64_t from_us;
} jm_ledger_trim;

/* Drops a batch of what was decided before an instant, one short transaction. *more: there may be
 * more. */
int jm_ledger_trim_run(jm_ledger_trim *trim, jm_pg *pg, int64_t before_us, int64_t *dropped,
                       bool *more, jm_err *err);

#endif
