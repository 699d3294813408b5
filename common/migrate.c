/* Schema versions: which migrations are embedded, which are applied, and applying them. */
#include "migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "log.h"

/* The number in front of a migration's name, e.g. 1 of "0001_foundation". */
static int version_of(const jm_sql *migration)
{
    return (int)strtol(migration->name, NULL, 10);
}

/* Each migration's first line names the oldest program that runs on the schema after it. */
static void min_program_of(const jm_sql *migration, char out[32])
{
    static const char head[] = "-- min_program_version: ";
    const char *p = strstr(migration->text, head);
    size_t n = 0;
    if (p) {
        p += sizeof head - 1;
        n = strcspn(p, " \r\n");
    }
    snprintf(out, 32, "%.*s", (int)n, p ? p : "");
}

/* -1, 0 or 1 as dotted numbers a and b compare. */
static int compare_versions(const char *a, const char *b)
{
    while (*a || *b) {
        char *end_a, *end_b;
        long x = strtol(a, &end_a, 10), y = strtol(b, &end_b, 10);
        if (x != y)
            return x < y ? -1 : 1;
        a = *end_a == '.' ? end_a + 1 : end_a + strlen(end_a);
        b = *end_b == '.' ? end_b + 1 : end_b + strlen(end_b);
    }
    return 0;
}

static int last_embedded(void)
{
    int last = 0;
    for (const jm_sql *m = jm_sql_migrations; m->name; m++)
        last = version_of(m);
    return last;
}

static char *quoted(jm_pg *pg, const char *schema)
{
    return PQescapeIdentifier(jm_pg_conn(pg), schema, strlen(schema));
}

int jm_migrate_status(jm_pg *pg, const char *schema, jm_schema_status *out, jm_err *err)
{
    *out = (jm_schema_status){.state = JM_SCHEMA_EMPTY, .embedded = last_embedded()};
    char *name = quoted(pg, schema);
    jm_buf text = {0};
    jm_buf_addf(&text,
                "SELECT version, min_program_version FROM %s.schema_migrations "
                "ORDER BY version DESC LIMIT 1",
                name);
    PQfreemem(name);
    PGresult *res = NULL;
    jm_err local = {0};
    int rc = jm_pg_exec(pg, text.data, &res, &local);
    jm_buf_fini(&text);
    if (rc == JM_ERR_DB && (!strcmp(local.sqlstate, "42P01") || !strcmp(local.sqlstate, "3F000")))
        return JM_OK;
    if (rc) {
        if (err)
            *err = local;
        return rc;
    }
    if (PQntuples(res)) {
        out->applied = (int)strtol(PQgetvalue(res, 0, 0), NULL, 10);
        snprintf(out->min_program_version, sizeof out->min_program_version, "%s",
                 PQgetvalue(res, 0, 1));
        if (compare_versions(JM_VERSION, out->min_program_version) < 0)
            out->state = JM_SCHEMA_TOO_NEW;
        else if (out->applied < out->embedded)
            out->state = JM_SCHEMA_BEHIND;
        else
            out->state = out->applied == out->embedded ? JM_SCHEMA_CURRENT : JM_SCHEMA_AHEAD_OK;
    }
    PQclear(res);
    return JM_OK;
}

/* One migration in one transaction, with the row that says so. */
static int apply_one(jm_pg *pg, const jm_sql *migration, const char *ident, jm_err *err)
{
    char min_program[32];
    min_program_of(migration, min_program);
    jm_buf text = {0};
    jm_buf_addf(&text,
                "BEGIN; SET LOCAL search_path = %s; SET LOCAL client_min_messages = warning;\n",
                ident);
    jm_buf_adds(&text, migration->text);
    jm_buf_addf(&text,
                "\n;INSERT INTO %s.schema_migrations (version, name, min_program_version) "
                "VALUES (%d, '%s', '%s'); COMMIT",
                ident, version_of(migration), migration->name, min_program);
    int rc = jm_pg_exec(pg, text.data, NULL, err);
    jm_buf_fini(&text);
    if (rc) {
        jm_err_prefix(err, "migration %s", migration->name);
        if (jm_pg_is_up(pg))
            jm_pg_exec(pg, "ROLLBACK", NULL, NULL);
    }
    return rc;
}

static int create_schema(jm_pg *pg, const char *ident, jm_err *err)
{
    jm_buf text = {0};
    jm_buf_addf(
        &text,
        "CREATE SCHEMA IF NOT EXISTS %s; CREATE TABLE IF NOT EXISTS %s.schema_migrations ("
        "version integer PRIMARY KEY, name text NOT NULL, min_program_version text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        ident, ident);
    int rc = jm_pg_exec(pg, text.data, NULL, err);
    jm_buf_fini(&text);
    return rc;
}

static int apply_all(jm_pg *pg, const char *schema, const char *ident,
                     void (*progress)(void *ctx, const char *name), void *ctx, jm_err *err)
{
    jm_schema_status status;
    int rc = jm_migrate_status(pg, schema, &status, err);
    if (!rc && status.state == JM_SCHEMA_EMPTY)
        rc = create_schema(pg, ident, err);
    for (const jm_sql *m = jm_sql_migrations; m->name && !rc; m++) {
        if (version_of(m) <= status.applied)
            continue;
        if (progress)
            progress(ctx, m->name);
        rc = apply_one(pg, m, ident, err);
    }
    return rc;
}

int jm_migrate_apply(jm_pg *pg, const char *schema, void (*progress)(void *ctx, const char *name),
                     void *ctx, jm_err *err)
{
    /* A session lock, since each migration is a transaction of its own; waited for by asking again,
     * so that a slow migration elsewhere does not look like a dead connection. */
    PGresult *res = NULL;
    for (int64_t deadline = jm_mono_ms() + 600000;;) {
        int rc = jm_pg_exec(
            pg,
            "SET statement_timeout = '20s'; "
            "SELECT pg_advisory_lock(hashtext('jobmill.migrate')); RESET statement_timeout",
            &res, err);
        PQclear(res);
        res = NULL;
        if (!rc)
            break;
        if (rc != JM_ERR_DB || strcmp(err->sqlstate, "57014") != 0 || jm_mono_ms() > deadline)
            return rc;
    }
    char *ident = quoted(pg, schema);
    int rc = apply_all(pg, schema, ident, progress, ctx, err);
    PQfreemem(ident);
    if (jm_pg_is_up(pg))
        jm_pg_exec(
            pg, "RESET statement_timeout; SELECT pg_advisory_unlock(hashtext('jobmill.migrate'))",
            NULL, NULL);
    return rc;
}

int jm_migrate_reset(jm_pg *pg, const char *schema, jm_err *err)
{
    char *ident = quoted(pg, schema);
    jm_buf text = {0};
    jm_buf_addf(&text, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS %s CASCADE",
                ident);
    PQfreemem(ident);
    int rc = jm_pg_exec(pg, text.data, NULL, err);
    jm_buf_fini(&text);
    return rc;
}

/* Promise 7: a database that forgets commits is refused. */
static int check_durability(jm_pg *pg, jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_exec(pg,
                        "SELECT current_setting('fsync'), current_setting('synchronous_commit'), "
                        "current_setting('server_version_num')::int",
                        &res, err);
    if (rc)
        return rc;
    if (strtol(PQgetvalue(res, 0, 2), NULL, 10) < 150000)
        rc = jm_err_set(err, JM_ERR_UNSUPPORTED,
                        "PostgreSQL 15 or newer is needed; this server is %s",
                        PQgetvalue(res, 0, 2));
    else if (!strcmp(PQgetvalue(res, 0, 0), "off") || !strcmp(PQgetvalue(res, 0, 1), "off"))
        rc =
            jm_err_set(err, JM_ERR_UNSUPPORTED,
                       "the database has fsync=%s and synchronous_commit=%s and may forget what it "
                       "committed: set both on, or database.allow_unsafe=true to run all the same",
                       PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1));
    PQclear(res);
    return rc;
}

int jm_migrate_check(jm_pg *pg, const char *schema, bool auto_migrate, bool allow_unsafe,
                     jm_err *err)
{
    int rc = allow_unsafe ? JM_OK : check_durability(pg, err);
    jm_schema_status status;
    if (rc || (rc = jm_migrate_status(pg, schema, &status, err)))
        return rc;
    switch (status.state) {
    case JM_SCHEMA_CURRENT:
    case JM_SCHEMA_AHEAD_OK:
        return JM_OK;
    case JM_SCHEMA_TOO_NEW:
        return jm_err_set(
            err, JM_ERR_UNSUPPORTED,
            "schema %s is at version %d, which needs jobmill %s or newer; this is %s: upgrade this "
            "program",
            schema, status.applied, status.min_program_version, JM_VERSION);
    case JM_SCHEMA_BEHIND:
        if (!auto_migrate)
            return jm_err_set(
                err, JM_ERR_UNSUPPORTED,
                "schema %s is at version %d, this program needs %d: run jobmill schema migrate",
                schema, status.applied, status.embedded);
        break;
    case JM_SCHEMA_EMPTY:
        break;
    }
    jm_logf(JM_INFO, "migrate", "migrating schema %s from version %d to %d", schema, status.applied,
            status.embedded);
    return jm_migrate_apply(pg, schema, NULL, NULL, err);
}
