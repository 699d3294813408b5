/* Workers and producers that have registered. */
#include "producer/service/workers.h"

#include <string.h>

#include "common/pg.h"
#include "common/rows.h"

int jm_workers_list(jm_pg *pg, bool all, json_t **items, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_bool(&args, all);
    return jm_rows_list(pg, &jm_sql_worker_list, &args, items, err);
}

int jm_workers_show(jm_pg *pg, const char *id, json_t **worker, jm_err *err)
{
    jm_uuid given;
    jm_pg_args args;
    int rc = JM_ERR_NOT_FOUND;
    *worker = NULL;
    if (jm_uuid_parse(id, strlen(id), &given)) {
        jm_pg_args_init(&args);
        jm_pg_arg_uuid(&args, &given);
        rc = jm_rows_one(pg, &jm_sql_worker_show, &args, worker, err);
    }
    return rc == JM_ERR_NOT_FOUND ? jm_err_set(err, rc, "there is no worker \"%.100s\"", id) : rc;
}
