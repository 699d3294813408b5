/* What the API asks the database about keys that it is shown. */
#include "producer/service/key_access.h"

#include <stdio.h>
#include <string.h>

#include "common/pg.h"

static void read_row(const PGresult *res, int i, jm_key_row *row)
{
    const char *project = jm_pg_get_text(res, i, 4, NULL);
    *row = (jm_key_row){.id = jm_pg_get_uuid(res, i, 0),
                        .parent_id = jm_pg_get_uuid(res, i, 1),
                        .is_session = !PQgetisnull(res, i, 1),
                        .expires_us = PQgetisnull(res, i, 5) ? 0 : jm_pg_get_ts(res, i, 5)};
    snprintf(row->name, sizeof row->name, "%s", jm_pg_get_text(res, i, 2, NULL));
    snprintf(row->scope, sizeof row->scope, "%s", jm_pg_get_text(res, i, 3, NULL));
    snprintf(row->project, sizeof row->project, "%s", project ? project : "");
    memcpy(row->hash, PQgetvalue(res, i, 6), JM_KEY_HASH);
}

int jm_key_access_find(jm_pg *pg, const jm_key *key, jm_key_row *row, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, key->prefix);
    jm_pg_call call = {.sql = &jm_sql_key_find, .args = &args, .binary = true};
    bool found = false;
    int rc = jm_pg_run(pg, &call, 1, err);
    for (int i = 0; !rc && !found && i < PQntuples(call.res); i++) {
        read_row(call.res, i, row);
        found = jm_key_hash_equal(row->hash, key->hash);
    }
    jm_pg_calls_clear(&call, 1);
    return rc || found ? rc : jm_err_set(err, JM_ERR_NOT_FOUND, "no such key holds");
}

int jm_key_access_still(jm_pg *pg, const jm_uuid *ids, int n, jm_key_access_row *on_row, void *ctx,
                        jm_err *err)
{
    jm_col col;
    jm_pg_args args;
    jm_key_row row;
    jm_col_init(&col, JM_COL_UUID);
    for (int i = 0; i < n; i++)
        jm_col_add_uuid(&col, &ids[i]);
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &col);
    jm_pg_call call = {.sql = &jm_sql_key_still, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    for (int i = 0; !rc && i < PQntuples(call.res); i++) {
        read_row(call.res, i, &row);
        on_row(ctx, &row);
    }
    jm_pg_calls_clear(&call, 1);
    jm_col_fini(&col);
    return rc;
}

int jm_key_access_used(jm_pg *pg, const jm_uuid *ids, const int64_t *at_us, int n, jm_err *err)
{
    jm_col keys, times;
    jm_pg_args args;
    jm_col_init(&keys, JM_COL_UUID);
    jm_col_init(&times, JM_COL_TS);
    for (int i = 0; i < n; i++) {
        jm_col_add_uuid(&keys, &ids[i]);
        jm_col_add_ts(&times, at_us[i]);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &keys);
    jm_pg_arg_col(&args, &times);
    int rc = jm_pg_query(pg, &jm_sql_key_used, &args, NULL, err);
    jm_col_fini(&keys);
    jm_col_fini(&times);
    return rc;
}
