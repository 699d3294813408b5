/* Job types as live workers announce them. */
#include "producer/service/types.h"

#include "common/pg.h"
#include "common/rows.h"

int jm_types_list(jm_pg *pg, const char *name, json_t **items, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, name);
    return jm_rows_list(pg, &jm_sql_type_list, &args, items, err);
}

int jm_types_show(jm_pg *pg, const char *name, json_t **type, jm_err *err)
{
    json_t *items;
    *type = NULL;
    int rc = jm_types_list(pg, name, &items, err);
    if (rc)
        return rc;
    *type = json_incref(json_array_get(items, 0));
    json_decref(items);
    return *type ? JM_OK
                 : jm_err_set(err, JM_ERR_NOT_FOUND,
                              "no worker has announced a type %s; jobmill type list shows those "
                              "that there are",
                              name);
}
