/* The statements by which accept turns part of a batch into rows, as one transaction. */
#include <openssl/evp.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "worker/accept_priv.h"
#include "worker/searchable.h"

enum {
    INSERT_COLS = 25 /* of accept_insert, behind the two scalars */
};

static const jm_col_type insert_types[INSERT_COLS] = {
    JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT,  JM_COL_JSONB, JM_COL_BOOL,
    JM_COL_I32,  JM_COL_I32,  JM_COL_I16,  JM_COL_TEXT, JM_COL_TEXT,  JM_COL_JSONB, JM_COL_TEXT,
    JM_COL_TS,   JM_COL_TS,   JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB, JM_COL_TEXT,  JM_COL_BOOL,
    JM_COL_I32,  JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT};
static const jm_col_type plain_types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB,
                                          JM_COL_I32};
static const jm_col_type dead_types[] = {JM_COL_UUID,  JM_COL_TEXT,  JM_COL_I32,   JM_COL_I64,
                                         JM_COL_BYTEA, JM_COL_BYTEA, JM_COL_JSONB, JM_COL_TEXT,
                                         JM_COL_TEXT,  JM_COL_TEXT};
static const jm_col_type id_types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_BOOL};

static void add_positive(jm_col *col, int v)
{
    if (v)
        jm_col_add_i32(col, v);
    else
        jm_col_add_null(col);
}

int jm_accept_max_attempts(const jm_job *job, const jm_job_type *type)
{
    return job->max_attempts ? job->max_attempts : type ? type->max_attempts : 3;
}

static void add_insert(jm_cols *cols, jm_accept_state *a, int i)
{
    const jm_job *job = a->batch->records[i].job;
    const jm_job_type *type = a->types[i];
    jm_col *c = cols->col;
    bool ordered;
    const char *lock = jm_accept_lock(a, i, &ordered);
    jm_col_add_uuid(&c[0], &job->id);
    jm_col_add_str(&c[1], job->external_id);
    jm_col_add_str(&c[2], job->project);
    jm_col_add_str(&c[3], job->type);
    jm_col_add_str(&c[4], job->profile);
    jm_col_add_bytes(&c[5], job->params, job->params_len);
    jm_col_add_bool(&c[6], a->now[i]);
    jm_col_add_i32(&c[7], jm_accept_max_attempts(job, type));
    add_positive(&c[8], job->timeout_s);
    jm_col_add_i32(&c[9], job->priority);
    jm_col_add_str(&c[10], job->key);
    jm_col_add_str(&c[11], job->dedup_key);
    jm_col_add_bytes(&c[12], job->metadata, job->metadata_len);
    jm_col_add_str(&c[13], job->trace_context);
    jm_col_add_time(&c[14], job->run_at_us);
    jm_col_add_time(&c[15], job->start_by_us);
    jm_col_add_str(&c[16], a->waits[i]);
    jm_col_add_str(&c[17], job->callback_url);
    jm_col_add_str(&c[18], job->depends_on);
    jm_col_add_str(&c[19], lock);
    jm_col_add_bool(&c[20], ordered);
    jm_col_add_i32(&c[21], a->batch->records[i].place);
    jm_searchable_add(&c[22], &job->id, type, job->metadata, job->metadata_len);
}

static bool is_plain(const jm_job *job)
{
    return !job->external_id && !job->profile && !job->timeout_s &&
           job->priority == JM_PRIORITY_DEFAULT && !job->key && !job->dedup_key && !job->metadata &&
           !job->trace_context && !job->run_at_us && !job->start_by_us && !job->callback_url &&
           !job->depends_on;
}

static void add_plain(jm_cols *cols, const jm_job *job, const jm_job_type *type)
{
    jm_col_add_uuid(&cols->col[0], &job->id);
    jm_col_add_str(&cols->col[1], job->project);
    jm_col_add_str(&cols->col[2], job->type);
    jm_col_add_bytes(&cols->col[3], job->params, job->params_len);
    jm_col_add_i32(&cols->col[4], jm_accept_max_attempts(job, type));
}

/* Headers of a record as a JSON object; bytes that jsonb cannot hold are given in base64. */
static void write_headers(const rd_kafka_message_t *message, jm_buf *out)
{
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t len;
    jm_buf_addc(out, '{');
    if (!rd_kafka_message_headers(message, &list)) {
        for (size_t i = 0; !rd_kafka_header_get_all(list, i, &name, &value, &len); i++) {
            json_t *key = json_string(name);
            if (!key || (out->len > 1 && !memchr(name, 0, 1) && !*name))
                name = "?";
            json_decref(key);
            if (out->len > 1)
                jm_buf_addc(out, ',');
            jm_buf_add_json(out, name, strlen(name));
            jm_buf_addc(out, ':');
            json_t *text = value && !memchr(value, 0, len) ? json_stringn(value, len) : NULL;
            if (text) {
                jm_buf_add_json(out, value, len);
            } else if (!value) {
                jm_buf_adds(out, "null");
            } else {
                jm_buf_adds(out, "{\"base64\":\"");
                unsigned char *to = (unsigned char *)jm_buf_reserve(out, len / 3 * 4 + 4);
                out->len += (size_t)EVP_EncodeBlock(to, value, (int)len);
                jm_buf_adds(out, "\"}");
            }
            json_decref(text);
        }
    }
    jm_buf_addc(out, '}');
}

static void add_dead(jm_cols *cols, const jm_batch_record *record)
{
    const rd_kafka_message_t *m = record->message;
    jm_col *c = cols->col;
    /* Under the id of the record, not of the job that it wanted to be: several records may name one
     * job. */
    jm_uuid id = jm_uuid7_from_record(rd_kafka_topic_name(m->rkt), m->partition, m->offset,
                                      rd_kafka_message_timestamp(m, NULL), m->key, m->key_len,
                                      m->payload, m->len);
    jm_buf headers = {0};
    write_headers(m, &headers);
    jm_col_add_uuid(&c[0], &id);
    jm_col_add_str(&c[1], rd_kafka_topic_name(m->rkt));
    jm_col_add_i32(&c[2], m->partition);
    jm_col_add_i64(&c[3], m->offset);
    jm_col_add_bytes(&c[4], m->key, m->key_len);
    jm_col_add_bytes(&c[5], m->payload, m->len);
    jm_col_add_bytes(&c[6], headers.data, headers.len);
    jm_col_add_str(&c[7], record->reason);
    jm_col_add_str(&c[8], record->field);
    jm_col_add_str(&c[9], record->detail);
    jm_buf_fini(&headers);
}

/* ---- one transaction ---- */

/* The statements of a transaction over part of a batch. */
struct accept_tx {
    jm_cols insert, plain, take, defer, dead, claim, depends;
    jm_pg_args args[7];
    jm_pg_call calls[7];
    int n_calls;
    int i_insert, i_plain, i_take; /* places in calls, or -1 */
};

static void tx_init(struct accept_tx *tx)
{
    jm_cols_init(&tx->insert, insert_types, INSERT_COLS);
    jm_cols_init(&tx->plain, plain_types, JM_COUNT(plain_types));
    jm_cols_init(&tx->take, id_types, 1);
    jm_cols_init(&tx->defer, id_types, 4);
    jm_cols_init(&tx->dead, dead_types, JM_COUNT(dead_types));
    jm_cols_init(&tx->claim, id_types, 1);
    jm_cols_init(&tx->depends, id_types, 1);
    tx->n_calls = 0;
    tx->i_insert = tx->i_plain = tx->i_take = -1;
}

static void tx_fini(struct accept_tx *tx)
{
    jm_pg_calls_clear(tx->calls, tx->n_calls);
    jm_cols_fini(&tx->insert);
    jm_cols_fini(&tx->plain);
    jm_cols_fini(&tx->take);
    jm_cols_fini(&tx->defer);
    jm_cols_fini(&tx->dead);
    jm_cols_fini(&tx->claim);
    jm_cols_fini(&tx->depends);
}

static void add_defer(jm_cols *cols, jm_accept_state *a, int i)
{
    bool ordered;
    jm_col_add_uuid(&cols->col[0], &a->batch->records[i].id);
    jm_col_add_str(&cols->col[1], a->waits[i]);
    jm_col_add_str(&cols->col[2], jm_accept_lock(a, i, &ordered));
    jm_col_add_bool(&cols->col[3], ordered);
}

static void tx_fill(struct accept_tx *tx, jm_accept_state *a, int from, int to)
{
    for (int i = 0; i < a->batch->n; i++) {
        jm_batch_record *record = &a->batch->records[i];
        if (!jm_accept_is_in(a, i, from, to))
            continue;
        if (record->fate == JM_FATE_DEAD)
            add_dead(&tx->dead, record);
        if (record->fate != JM_FATE_OPEN || record->again)
            continue;
        if (a->now[i])
            jm_col_add_uuid(&tx->claim.col[0], &record->id);
        if (!record->job->from_relay && a->now[i] && is_plain(record->job)) {
            add_plain(&tx->plain, record->job, a->types[i]);
        } else if (!record->job->from_relay) {
            add_insert(&tx->insert, a, i);
            if (record->job->depends_on)
                jm_col_add_uuid(&tx->depends.col[0], &record->id);
        } else if (a->now[i]) {
            jm_col_add_uuid(&tx->take.col[0], &record->id);
        } else {
            add_defer(&tx->defer, a, i);
        }
    }
}

static jm_pg_args *tx_call(struct accept_tx *tx, const jm_sql *sql)
{
    jm_pg_args *args = &tx->args[tx->n_calls];
    jm_pg_args_init(args);
    tx->calls[tx->n_calls++] = (jm_pg_call){.sql = sql, .args = args, .binary = true};
    return args;
}

/* Smallest and largest id of the batch, which is sorted by them. */
static void add_bounds(jm_pg_args *args, const jm_accept_state *a)
{
    jm_pg_arg_uuid(args, &a->batch->records[0].id);
    jm_pg_arg_uuid(args, &a->batch->records[a->batch->n - 1].id);
}

static void tx_build(struct accept_tx *tx, jm_accept_state *a)
{
    const jm_store_options *o = &a->store->options;
    const char *queue = o->queues[a->batch->queue];
    if (tx->plain.col[0].n) {
        tx->i_plain = tx->n_calls;
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_plain);
        jm_pg_arg_uuid(args, &o->worker_id);
        jm_pg_arg_text(args, queue);
        jm_pg_arg_cols(args, &tx->plain);
    }
    if (tx->insert.col[0].n) {
        tx->i_insert = tx->n_calls;
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_insert);
        jm_pg_arg_uuid(args, &o->worker_id);
        jm_pg_arg_text(args, queue);
        jm_pg_arg_cols(args, &tx->insert);
    }
    if (tx->depends.col[0].n)
        jm_pg_arg_cols(tx_call(tx, &jm_sql_accept_depends), &tx->depends);
    if (tx->take.col[0].n) {
        tx->i_take = tx->n_calls;
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_take);
        jm_pg_arg_uuid(args, &o->worker_id);
        jm_pg_arg_cols(args, &tx->take);
        add_bounds(args, a);
    }
    if (tx->defer.col[0].n)
        jm_pg_arg_cols(tx_call(tx, &jm_sql_accept_defer), &tx->defer);
    if (tx->claim.col[0].n) {
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_claim);
        jm_pg_arg_uuid(args, &o->worker_id);
        jm_pg_arg_i64(args, a->seq);
        jm_pg_arg_cols(args, &tx->claim);
    }
    if (tx->dead.col[0].n)
        jm_pg_arg_cols(tx_call(tx, &jm_sql_accept_dead), &tx->dead);
}

/* Marks what a committed transaction has made of the records. Relay's jobs are filled from their
 * rows. */
static void tx_settle(struct accept_tx *tx, jm_accept_state *a)
{
    int inserts[2] = {tx->i_plain, tx->i_insert};
    for (int k = 0; k < 2; k++) {
        const PGresult *res = inserts[k] >= 0 ? tx->calls[inserts[k]].res : NULL;
        int hint = 0;
        for (int row = 0; res && row < PQntuples(res); row++) {
            jm_uuid id = jm_pg_get_uuid(res, row, 0);
            jm_batch_record *record = jm_batch_find(a->batch, &id, &hint);
            if (record)
                record->fate = a->now[record - a->batch->records] ? JM_FATE_STARTED : JM_FATE_WAITS;
        }
    }
    const PGresult *res = tx->i_take >= 0 ? tx->calls[tx->i_take].res : NULL;
    int hint = 0;
    for (int row = 0; res && row < PQntuples(res); row++) {
        jm_uuid id = jm_pg_get_uuid(res, row, 0);
        jm_batch_record *record = jm_batch_find(a->batch, &id, &hint);
        if (!record)
            continue;
        jm_store_read_job(res, row, a->batch->arena, record->job);
        record->fate = JM_FATE_STARTED;
    }
}

int jm_accept_try(jm_accept_state *a, int from, int to, jm_err *err)
{
    struct accept_tx tx;
    tx_init(&tx);
    tx_fill(&tx, a, from, to);
    tx_build(&tx, a);
    int64_t since_us = jm_mono_us();
    int rc = tx.n_calls ? jm_pg_run(a->store->pg, tx.calls, tx.n_calls, err) : JM_OK;
    if (!rc) {
        jm_meters_transaction(a->store->options.meters, JM_TX_ACCEPT, to - from, since_us);
        tx_settle(&tx, a);
    }
    tx_fini(&tx);
    return rc;
}
