/* Retention of the ledger. */
#include "producer/ledger_trim.h"

enum { LEDGER_ROWS = 5000 };

int jm_ledger_trim_run(jm_ledger_trim *trim, jm_pg *pg, int64_t before_us, int64_t *dropped,
                       bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, before_us);
    jm_pg_arg_ts(&args, trim->from_us);
    jm_pg_arg_i32(&args, LEDGER_ROWS);
    jm_pg_call call = {.sql = &jm_sql_janitor_ledger, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    *dropped = rc ? 0 : jm_pg_get_i64(call.res, 0, 0);
    bool full = *dropped == LEDGER_ROWS;
    /* Rows are read in the order of their places, which is not quite that of time: the oldest are
     * looked for again at the end. */
    *more = !rc && (full || trim->from_us);
    if (!rc)
        trim->from_us = full ? jm_pg_get_ts(call.res, 0, 1) : 0;
    jm_pg_calls_clear(&call, 1);
    return rc;
}
