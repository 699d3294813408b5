/* The relay's view of pending_jobs: take, keep, mark. */
#include "producer/relay_rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "producer/relay.h"

/* More notes than this mean that PostgreSQL has been away for long: those rows are sent again. */
enum { MAX_NOTES = 100000 };

struct jm_relay_rows {
    jm_pg *pg;
    jm_col notes[JM_RELAY_FATES];
};

jm_relay_rows *jm_relay_rows_new(const char *conninfo, const char *schema, jm_db_clock *clock,
                                 jm_pulse *pulse)
{
    jm_relay_rows *rows = jm_calloc(1, sizeof *rows);
    jm_pg_options options = {.conninfo = conninfo,
                             .schema = schema,
                             .name = "jobmill-producer relay",
                             .batch = true,
                             .pulse = pulse,
                             .clock = clock};
    rows->pg = jm_pg_new(&options);
    for (int i = 0; i < JM_RELAY_FATES; i++)
        jm_col_init(&rows->notes[i], JM_COL_UUID);
    return rows;
}

void jm_relay_rows_free(jm_relay_rows *rows)
{
    if (!rows)
        return;
    jm_pg_free(rows->pg);
    for (int i = 0; i < JM_RELAY_FATES; i++)
        jm_col_fini(&rows->notes[i]);
    free(rows);
}

int jm_relay_rows_ensure(jm_relay_rows *rows, jm_err *err)
{
    return jm_pg_ensure(rows->pg, err);
}

int jm_relay_rows_retry_in_ms(const jm_relay_rows *rows)
{
    return jm_pg_retry_in_ms(rows->pg);
}

/* The value of a row that came without one: its record only has to name the row. */
static void minimal_message(jm_buf *out, const jm_uuid *id, const char *type)
{
    char text[JM_UUID_TEXT];
    jm_uuid_format(id, text);
    jm_buf_clear(out);
    jm_buf_addf(out, "{\"id\":\"%s\",\"type\":", text);
    jm_buf_add_json(out, type, strlen(type));
    jm_buf_addc(out, '}');
}

static void add_items(const PGresult *res, jm_chain *chain)
{
    jm_buf made = {0};
    for (int row = 0; row < PQntuples(res); row++) {
        jm_uuid id = jm_pg_get_uuid(res, row, 0);
        size_t len = 0;
        const char *message = jm_pg_get_text(res, row, 3, &len);
        if (!message) {
            minimal_message(&made, &id, jm_pg_get_text(res, row, 2, NULL));
            message = made.data;
            len = made.len;
        }
        jm_chain_add(chain, jm_relay_item_new(&id, jm_pg_get_text(res, row, 1, NULL),
                                              jm_pg_get_text(res, row, 4, NULL), message, len,
                                              jm_pg_get_ts(res, row, 5)));
    }
    jm_buf_fini(&made);
}

int jm_relay_rows_take(jm_relay_rows *rows, int limit, size_t max_bytes, jm_chain *chain,
                       jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, limit);
    jm_pg_arg_i64(&args, (int64_t)max_bytes);
    jm_pg_arg_i32(&args, JM_RELAY_LEASE_S);
    jm_pg_call call = {.sql = &jm_sql_relay_take, .args = &args, .binary = true};
    int rc = jm_pg_run(rows->pg, &call, 1, err);
    if (!rc)
        add_items(call.res, chain);
    jm_pg_calls_clear(&call, 1);
    return rc;
}

void jm_relay_rows_note(jm_relay_rows *rows, const jm_uuid *id, jm_relay_fate fate)
{
    if (rows->notes[fate].n >= MAX_NOTES)
        jm_col_reset(&rows->notes[fate]);
    jm_col_add_uuid(&rows->notes[fate], id);
}

size_t jm_relay_rows_noted(const jm_relay_rows *rows)
{
    size_t n = 0;
    for (int i = 0; i < JM_RELAY_FATES; i++)
        n += (size_t)rows->notes[i].n;
    return n;
}

static int settle_one(jm_relay_rows *rows, jm_relay_fate fate, int keep_s, jm_err *err)
{
    static const jm_sql *const sql[JM_RELAY_FATES] = {
        [JM_RELAY_PUBLISHED] = &jm_sql_relay_mark,
        [JM_RELAY_AGAIN] = &jm_sql_relay_extend,
        [JM_RELAY_REFUSED] = &jm_sql_relay_refuse,
        [JM_RELAY_KEPT] = &jm_sql_relay_extend,
    };
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &rows->notes[fate]);
    if (fate == JM_RELAY_REFUSED)
        jm_pg_arg_text(&args, "Kafka refused the record");
    else if (fate != JM_RELAY_PUBLISHED)
        jm_pg_arg_i32(&args, fate == JM_RELAY_AGAIN ? 1 : keep_s);
    return jm_pg_query(rows->pg, sql[fate], &args, NULL, err);
}

int jm_relay_rows_settle(jm_relay_rows *rows, int keep_s, jm_err *err)
{
    int first = JM_OK;
    for (int fate = 0; fate < JM_RELAY_FATES; fate++) {
        if (!rows->notes[fate].n)
            continue;
        int rc = settle_one(rows, (jm_relay_fate)fate, keep_s, err);
        if (rc == JM_ERR_DB_DOWN)
            return rc;
        first = first ? first : rc;
        jm_col_reset(&rows->notes[fate]);
    }
    return first;
}
