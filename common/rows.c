/* Results of one JSON column as jansson values, and pages of lists. */
#include "common/rows.h"

#include <stdlib.h>

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

static void set_i64(jm_pg_args *args, int number, int64_t value)
{
    jm_pg_args one;
    if (!number)
        return;
    jm_pg_args_init(&one);
    jm_pg_arg_i64(&one, value);
    args->scratch[number - 1][0] = one.scratch[0][0];
    args->values[number - 1] = (const char *)args->scratch[number - 1];
}

/* The same parameters, of a page that is all of it. Values that stood in the scratch of others
 * stand in that of the copy. */
static void whole(const jm_pg_args *args, const jm_rows_place *place, jm_pg_args *all)
{
    *all = *args;
    for (int i = 0; i < args->n; i++)
        if (args->values[i] == (const char *)args->scratch[i])
            all->values[i] = (const char *)all->scratch[i];
    set_i64(all, place->limit, JM_ROWS_COUNTED);
    set_i64(all, place->offset, 0);
    for (int i = 0; i < JM_COUNT(place->cursor) && place->cursor[i]; i++)
        all->values[place->cursor[i] - 1] = NULL;
}

/* PostgreSQL leaves out the columns of a subquery that nobody looks at: nothing is made JSON. */
int jm_rows_count(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, const jm_rows_place *place,
                  int64_t *total, jm_err *err)
{
    jm_pg_args all;
    PGresult *res = NULL;
    whole(args, place, &all);
    int rc = jm_pg_query(pg, jm_sql_count_of(sql), &all, &res, err);
    if (!rc)
        *total = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    return rc;
}

int jm_rows_page(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, const jm_rows_place *place,
                 int64_t *total, json_t **items, jm_err *err)
{
    int rc = jm_rows_list(pg, sql, args, items, err);
    if (rc || !total || !(rc = jm_rows_count(pg, sql, args, place, total, err)))
        return rc;
    json_decref(*items);
    *items = NULL;
    return rc;
}

const json_t *jm_rows_cut(json_t *items, int64_t limit)
{
    if ((int64_t)json_array_size(items) <= limit)
        return NULL;
    json_array_remove(items, (size_t)limit);
    return json_array_get(items, (size_t)limit - 1);
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
