/* Results of one JSON column as jansson values. */
#include "common/rows.h"

#include "common/json_exact.h"

static int load(const PGresult *res, int row, json_t **value, jm_err *err)
{
    *value = NULL;
    if (PQgetisnull(res, row, 0))
        return JM_OK;
    if (jm_json_exact_load(PQgetvalue(res, row, 0), (size_t)PQgetlength(res, row, 0), value, err))
        return jm_err_prefix(err, "a row of the database");
    return JM_OK;
}

int jm_rows_list(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, json_t **items, jm_err *err)
{
    PGresult *res = NULL;
    *items = NULL;
    int rc = jm_pg_query(pg, sql, args, &res, err);
    if (rc)
        return rc;
    json_t *list = json_array();
    for (int i = 0; !rc && i < PQntuples(res); i++) {
        json_t *value;
        rc = load(res, i, &value, err);
        if (!rc)
            json_array_append_new(list, value ? value : json_null());
    }
    PQclear(res);
    if (rc)
        json_decref(list);
    else
        *items = list;
    return rc;
}

int jm_rows_one(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, json_t **value, jm_err *err)
{
    PGresult *res = NULL;
    *value = NULL;
    int rc = jm_pg_query(pg, sql, args, &res, err);
    if (!rc)
        rc = PQntuples(res) ? load(res, 0, value, err)
                            : jm_err_set(err, JM_ERR_NOT_FOUND, "not found");
    PQclear(res);
    return rc;
}
