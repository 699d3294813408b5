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
/* Told after each migration, if not NULL. */
typedef struct jm_schema_progress {
    void (*at)(void *ctx, int64_t done, int64_t of);
    void *ctx;
} jm_schema_progress;

/* Applies what is missing and gives {"schema", "version", "applied": [names]}. */
int jm_schema_migrate(struct jm_pg *pg, const jm_config *config, const jm_schema_progress *progress,
                      json_t **out, jm_err *err);
/* Drops the schema with everything in it. */
int jm_schema_reset(struct jm_pg *pg, const jm_config *config, jm_err *err);

#endif
