/* The schema in the database: state, migrating, dropping. */
#ifndef JM_SERVICE_SCHEMA_H
#define JM_SERVICE_SCHEMA_H

#include <jansson.h>

#include "common/config.h"
#include "common/err.h"

struct jm_pg;

/* {"schema", "state" (empty, current, behind, ahead, too_new), "version", "program_version",
 * "needs_program", "program", "migrations": those not applied}. */
int jm_schema_show(struct jm_pg *pg, const jm_config *config, json_t **out, jm_err *err);
/* Applies what is missing and gives {"schema", "version", "applied": [names]}. */
int jm_schema_migrate(struct jm_pg *pg, const jm_config *config, json_t **out, jm_err *err);
/* Drops the schema with everything in it. */
int jm_schema_reset(struct jm_pg *pg, const jm_config *config, jm_err *err);

#endif
