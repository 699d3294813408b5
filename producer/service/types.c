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
