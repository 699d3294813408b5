/* BEGIN and COMMIT as statements of jm_pg_run, for transactions of several round trips. */
#ifndef JM_TX_H
#define JM_TX_H

#include "common/pg.h"

/* One object each: a connection knows what it has prepared by the object, the server by the name.
 */
extern const jm_sql jm_tx_begin, jm_tx_commit;

/* Ends a transaction that failed, if the connection is still there. */
void jm_tx_rollback(jm_pg *pg);
/* Ends a transaction that came to rc: commits it, or takes it back after a failure or when it is
 * not to be kept. Returns rc, or that of the commit. */
int jm_tx_end(jm_pg *pg, int rc, bool keep, jm_err *err);

#endif
