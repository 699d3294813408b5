/* Events that no worker tells. */
#include "producer/announce.h"

#include <string.h>

#include "common/clock.h"

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

static void add_string(jm_buf *out, const char *text)
{
    jm_buf_add_json(out, text, strlen(text));
}

/* A CloudEvent, as schema/schedule_event.v1.json has it. */
static void add_change(jm_event_batch *batch, const PGresult *res, int row)
{
    jm_uuid change = jm_pg_get_uuid(res, row, 0), schedule = jm_pg_get_uuid(res, row, 1);
    char id[JM_UUID_TEXT], subject[JM_UUID_TEXT], at[JM_RFC3339_TEXT];
    jm_buf text = {0}, source = {0};
    jm_uuid_format(&change, id);
    jm_uuid_format(&schedule, subject);
    jm_rfc3339_format(jm_pg_get_ts(res, row, 4), at);
    jm_buf_addf(&source, "/jobmill/%s", text_of(res, row, 3));
    jm_buf_addf(&text, "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":", id);
    add_string(&text, jm_buf_str(&source));
    jm_buf_addf(&text, ",\"type\":\"jobmill.schedule.%s\",\"subject\":\"%s\",\"time\":\"%s\"",
                text_of(res, row, 2), subject, at);
    jm_buf_addf(&text, ",\"datacontenttype\":\"application/json\",\"data\":%s}",
                text_of(res, row, 5));
    jm_event_batch_add_text(batch, &schedule, jm_buf_str(&text), text.len);
    jm_buf_fini(&text);
    jm_buf_fini(&source);
}

typedef void add_fn(jm_event_batch *batch, const PGresult *res, int row);

/* Takes what a query gives; *more stays when there is no more of it. */
static int tell(jm_pg *pg, jm_events *events, const jm_sql *sql, add_fn *fn, bool *more,
                jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, ANNOUNCE_ROWS);
    jm_pg_call call = {.sql = sql, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    int n = rc ? 0 : PQntuples(call.res);
    jm_event_batch *batch = n ? jm_events_open(events) : NULL;
    for (int row = 0; batch && row < n; row++)
        fn(batch, call.res, row);
    if (batch)
        jm_events_push(events, batch);
    *more = *more || n == ANNOUNCE_ROWS;
    PQclear(call.res);
    return rc;
}

int jm_announce_run(jm_pg *pg, jm_events *events, bool *more, jm_err *err)
{
    *more = false;
    int rc = tell(pg, events, &jm_sql_janitor_announce, add, more, err);
    return rc ? rc : tell(pg, events, &jm_sql_janitor_announce_changes, add_change, more, err);
}
