/* Reading one schedule. */
#include "producer/service/schedule_row.h"

static int take_row(const PGresult *res, const jm_uuid *id, jm_arena *arena, jm_schedule_row *out,
                    jm_err *err)
{
    char text[JM_UUID_TEXT];
    jm_schedule_columns columns;
    if (!PQntuples(res)) {
        jm_uuid_format(id, text);
        return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no schedule %s", text);
    }
    int until_col = PQfnumber(res, "decided_until");
    *out = (jm_schedule_row){.clock_us = jm_pg_get_ts(res, 0, PQfnumber(res, "clock")),
                             .created_us = jm_pg_get_ts(res, 0, PQfnumber(res, "created_at"))};
    if (!PQgetisnull(res, 0, until_col))
        out->decided_until_us = jm_pg_get_ts(res, 0, until_col);
    jm_schedule_columns_init(&columns, res);
    return jm_schedule_from_row(&columns, res, 0, arena, &out->schedule, err);
}

int jm_schedule_row_read(jm_pg *pg, const jm_uuid *id, bool lock, jm_arena *arena,
                         jm_schedule_row *out, PGresult **res, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_call calls[] = {{.sql = &jm_sql_schedule_lock, .args = &args},
                          {.sql = &jm_sql_schedule_row, .args = &args, .binary = true}};
    int first = lock ? 0 : 1;
    int rc = jm_pg_run(pg, calls + first, 2 - first, err);
    if (!rc)
        rc = take_row(calls[1].res, id, arena, out, err);
    if (!rc && res) {
        *res = calls[1].res;
        calls[1].res = NULL;
    }
    jm_pg_calls_clear(calls + first, 2 - first);
    return rc;
}
