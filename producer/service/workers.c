/* Workers and producers that have registered. */
#include "producer/service/workers.h"

#include "common/pg.h"
#include "common/rows.h"

int jm_workers_list(jm_pg *pg, bool all, json_t **items, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_bool(&args, all);
    return jm_rows_list(pg, &jm_sql_worker_list, &args, items, err);
}
