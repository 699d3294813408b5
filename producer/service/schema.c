/* The schema in the database: state, migrating, dropping. */
#include "producer/service/schema.h"

#include <stdlib.h>

#include "common/migrate.h"
#include "schema/sql.h"

static const char *const states[] = {[JM_SCHEMA_EMPTY] = "empty",
                                     [JM_SCHEMA_CURRENT] = "current",
                                     [JM_SCHEMA_BEHIND] = "behind",
                                     [JM_SCHEMA_AHEAD_OK] = "ahead",
                                     [JM_SCHEMA_TOO_NEW] = "too_new"};

static json_t *missing(int applied)
{
    json_t *names = json_array();
    for (const jm_sql *m = jm_sql_migrations; m->name; m++)
        if (strtol(m->name, NULL, 10) > applied)
            json_array_append_new(names, json_string(m->name));
    return names;
}

int jm_schema_show(jm_pg *pg, const jm_config *config, json_t **out, jm_err *err)
{
    const char *schema = jm_config_str(config, "database.schema");
    jm_schema_status status;
    *out = NULL;
    int rc = jm_migrate_status(pg, schema, &status, err);
    if (!rc)
        *out = json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:o}", "schema", schema, "state",
                         states[status.state], "version", status.applied, "program_version",
                         status.embedded, "needs_program", status.min_program_version, "program",
                         JM_VERSION, "missing", missing(status.applied));
    return rc;
}

typedef struct notes {
    json_t *applied;
    int64_t of;
    const jm_schema_progress *progress;
} notes;

static void note(void *ctx, const char *name)
{
    notes *n = ctx;
    json_array_append_new(n->applied, json_string(name));
    if (n->progress)
        n->progress->at(n->progress->ctx, (int64_t)json_array_size(n->applied), n->of);
}

int jm_schema_migrate(jm_pg *pg, const jm_config *config, const jm_schema_progress *progress,
                      json_t **out, jm_err *err)
{
    const char *schema = jm_config_str(config, "database.schema");
    jm_schema_status status;
    json_t *applied = json_array();
    *out = NULL;
    notes told = {.applied = applied, .progress = progress};
    int rc = jm_migrate_status(pg, schema, &status, err);
    if (!rc) {
        json_t *names = missing(status.applied);
        told.of = (int64_t)json_array_size(names);
        json_decref(names);
        rc = jm_migrate_apply(pg, schema, note, &told, err);
    }
    if (!rc)
        rc = jm_migrate_status(pg, schema, &status, err);
    if (!rc && status.state == JM_SCHEMA_TOO_NEW)
        rc = jm_err_set(err, JM_ERR_CONFLICT,
                        "schema %s is at version %d, which needs jobmill %s; this is %s", schema,
                        status.applied, status.min_program_version, JM_VERSION);
    if (rc)
        json_decref(applied);
    else
        *out = json_pack("{s:s, s:i, s:o}", "schema", schema, "version", status.applied, "applied",
                         applied);
    return rc;
}

int jm_schema_reset(jm_pg *pg, const jm_config *config, jm_err *err)
{
    return jm_migrate_reset(pg, jm_config_str(config, "database.schema"), err);
}
