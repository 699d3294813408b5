/* The database connection that services work on, opened for one command. */
#ifndef JM_SERVICE_SESSION_H
#define JM_SERVICE_SESSION_H

#include "common/config.h"
#include "common/err.h"

struct jm_pg;

/* Connects as the configuration says. Errors: JM_ERR_DB_DOWN, JM_ERR_INVALID, JM_ERR_UNSUPPORTED.
 */
int jm_session_open(const jm_config *config, struct jm_pg **out, jm_err *err);
/* Whether this program runs on the schema; the error says what to do. */
int jm_session_check(struct jm_pg *pg, const jm_config *config, jm_err *err);
/* Connects again if the connection is gone; JM_ERR_DB_DOWN while that does not succeed, at once
 * while it is too early for another try. */
int jm_session_ensure(struct jm_pg *pg, jm_err *err);
void jm_session_close(struct jm_pg *pg);

#endif
