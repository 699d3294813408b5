/* Events about jobs that ended with no worker to tell it. */
#include "producer/announce.h"

enum { ANNOUNCE_ROWS = 500 };

static const char *text_of(const PGresult *res, int row, int col)
{
    return jm_pg_get_text(res, row, col, NULL); /* NUL-terminated; NULL where there is none */
}

static void add(jm_event_batch *batch, const PGresult *res, int row)
{
    jm_uuid id = jm_pg_get_uuid(res, row, 0), schedule = jm_pg_get_uuid(res, row, 7);
    jm_job_event event = {.id = &id,
                          .what = text_of(res, row, 1),
                          .status = text_of(res, row, 1),
                          .project = text_of(res, row, 2),
                          .type = text_of(res, row, 3),
                          .queue = text_of(res, row, 4),
                          .attempt = jm_pg_get_i32(res, row, 5),
                          .external_id = text_of(res, row, 6),
                          .schedule_id = PQgetisnull(res, row, 7) ? NULL : &schedule,
                          .due_at_us = jm_pg_get_ts(res, row, 8),
                          .started_at_us = jm_pg_get_ts(res, row, 9),
                          .at_us = jm_pg_get_ts(res, row, 10),
                          .completed_at_us = jm_pg_get_ts(res, row, 10),
                          .duration_ms =
                              PQgetisnull(res, row, 11) ? -1 : jm_pg_get_i64(res, row, 11),
                          .items_total = -1,
                          .items_ok = -1,
                          .items_failed = -1,
                          .error = text_of(res, row, 12),
                          .trace_context = text_of(res, row, 13)};
    jm_event_batch_add(batch, &event);
}

int jm_announce_run(jm_pg *pg, jm_events *events, bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, ANNOUNCE_ROWS);
    jm_pg_call call = {.sql = &jm_sql_janitor_announce, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    int n = rc ? 0 : PQntuples(call.res);
    jm_event_batch *batch = n ? jm_events_open(events) : NULL;
    for (int row = 0; batch && row < n; row++)
        add(batch, call.res, row);
    if (batch)
        jm_events_push(events, batch);
    *more = n == ANNOUNCE_ROWS;
    PQclear(call.res);
    return rc;
}
