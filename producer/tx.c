/* BEGIN and COMMIT as statements of jm_pg_run. */
#include "producer/tx.h"

const jm_sql jm_tx_begin = {"tx_begin", "BEGIN"};
const jm_sql jm_tx_commit = {"tx_commit", "COMMIT"};

void jm_tx_rollback(jm_pg *pg)
{
    if (jm_pg_is_up(pg))
        jm_pg_exec(pg, "ROLLBACK", NULL, NULL);
}

int jm_tx_end(jm_pg *pg, int rc, bool keep, jm_err *err)
{
    if (!rc && keep)
        rc = jm_pg_exec(pg, "COMMIT", NULL, err);
    if (rc || !keep)
        jm_tx_rollback(pg);
    return rc;
}
