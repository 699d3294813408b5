/* Opens the connection of a command and checks the schema. */
#include "producer/service/session.h"

#include <stdlib.h>

#include "common/migrate.h"
#include "common/pg.h"

int jm_session_open(const jm_config *config, struct jm_pg **out, jm_err *err)
{
    char *conninfo = NULL;
    *out = NULL;
    int rc = jm_config_conninfo(config, &conninfo, err);
    if (rc)
        return rc;
    jm_pg *pg = jm_pg_new(&(jm_pg_options){.conninfo = conninfo,
                                           .schema = jm_config_str(config, "database.schema"),
                                           .name = "jobmill"});
    free(conninfo);
    rc = jm_pg_connect(pg, err);
    if (rc)
        jm_pg_free(pg);
    else
        *out = pg;
    return rc;
}

int jm_session_check(struct jm_pg *pg, const jm_config *config, jm_err *err)
{
    const char *schema = jm_config_str(config, "database.schema");
    jm_schema_status status;
    int rc = jm_migrate_status(pg, schema, &status, err);
    if (rc)
        return rc;
    switch (status.state) {
    case JM_SCHEMA_EMPTY:
        return jm_err_set(err, JM_ERR_CONFLICT,
                          "the database has no schema %s yet: run jobmill schema init", schema);
    case JM_SCHEMA_BEHIND:
        return jm_err_set(
            err, JM_ERR_CONFLICT,
            "schema %s is at version %d and this program needs %d: run jobmill schema migrate",
            schema, status.applied, status.embedded);
    case JM_SCHEMA_TOO_NEW:
        return jm_err_set(
            err, JM_ERR_CONFLICT,
            "schema %s is at version %d, which needs jobmill %s; this is %s: upgrade it", schema,
            status.applied, status.min_program_version, JM_VERSION);
    case JM_SCHEMA_CURRENT:
    case JM_SCHEMA_AHEAD_OK:
        break;
    }
    return JM_OK;
}

int jm_session_ensure(struct jm_pg *pg, jm_err *err)
{
    return jm_pg_ensure(pg, err);
}

void jm_session_close(struct jm_pg *pg)
{
    jm_pg_free(pg);
}
