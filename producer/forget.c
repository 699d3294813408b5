/* Deleted schedules: their ids are taken off their jobs. */
#include "producer/forget.h"

enum { FORGET_JOBS = 1000 /* in one transaction */ };

int jm_forget_run(jm_pg *pg, int64_t *left, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, FORGET_JOBS);
    jm_pg_call call = {.sql = &jm_sql_janitor_forget, .args = &args, .binary = true};
    int code = jm_pg_run(pg, &call, 1, err);
    if (!code)
        *left = jm_pg_get_i64(call.res, 0, 1);
    jm_pg_calls_clear(&call, 1);
    return code;
}
