/* Accept: a batch of records becomes rows in one transaction; the jobs that have a slot start. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "worker/store_priv.h"

/* What one transaction carries; filled anew for each try. */
struct accept {
    jm_store *store;
    jm_batch *batch;
    int64_t seq;
    jm_job_type **types; /* of each record, counted; NULL: unknown here */
    bool *now;           /* of each record: it has a slot */
    const char **waits;  /* of each record: why it waits */
};

static bool has_project(jm_store *store, const char *name)
{
    int lo = 0, hi = store->n_projects - 1;
    while (lo <= hi) {
        int mid = (lo + hi) / 2, c = strcmp(store->projects[mid], name);
        if (!c)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid - 1;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void forget_projects(jm_store *store)
{
    for (int i = 0; i < store->n_projects; i++)
        free(store->projects[i]);
    free(store->projects);
    store->projects = NULL;
    store->n_projects = 0;
}

static int read_projects(jm_store *store, jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_query(store->pg, &jm_sql_start_projects, NULL, &res, err);
    if (rc)
        return rc;
    forget_projects(store);
    store->n_projects = PQntuples(res);
    store->projects = jm_calloc((size_t)store->n_projects + 1, sizeof *store->projects);
    for (int i = 0; i < store->n_projects; i++)
        store->projects[i] = jm_strdup(PQgetvalue(res, i, 0));
    PQclear(res);
    qsort(store->projects, (size_t)store->n_projects, sizeof *store->projects, by_name);
    store->projects_ms = jm_mono_ms();
    return JM_OK;
}

static void dead(struct accept *a, jm_batch_record *record, const char *reason, const char *field,
                 const char *detail)
{
    jm_err err = {0};
    jm_err_field(&err, field, "%s", detail);
    jm_batch_mark_dead(a->batch, record, reason, &err);
}

/* What a message may say and this version cannot do yet. */
static bool refuse_unsupported(struct accept *a, jm_batch_record *record, const jm_job_type *type)
{
    const jm_job *job = record->job;
    const char *field = job->depends_on         ? "depends_on"
                        : job->exclusive        ? "exclusive"
                        : job->callback_url     ? "callback_url"
                        : type && type->ordered ? "type"
                                                : NULL;
    if (field)
        dead(a, record, "unsupported", field,
             "this version of jobmill cannot do that yet; leave it out");
    return field != NULL;
}

/* Unknown projects are looked for in the database again, at most once a second. */
static int check_projects(struct accept *a, jm_err *err)
{
    jm_store *store = a->store;
    bool fresh = store->n_projects && jm_mono_ms() - store->projects_ms < 60000;
    int rc = fresh ? JM_OK : read_projects(store, err);
    for (int i = 0; i < a->batch->n && !rc; i++) {
        jm_batch_record *record = &a->batch->records[i];
        if (record->fate != JM_FATE_OPEN || record->job->from_relay ||
            has_project(store, record->job->project))
            continue;
        if (jm_mono_ms() - store->projects_ms >= 1000 && (rc = read_projects(store, err)))
            break;
        if (!has_project(store, record->job->project))
            dead(a, record, "unknown_project", "project",
                 "no such project; create it with jobmill project add, or name one that exists");
    }
    return rc;
}

/* Decides for each open record whether its job starts now, and if not, why. */
static void assign_slots(struct accept *a)
{
    jm_store *store = a->store;
    int64_t now_us = jm_db_clock_us(store->options.clock);
    jm_job_type *last = NULL; /* batches are mostly of one type: ask the directory once */
    for (int i = 0; i < a->batch->n; i++) {
        jm_batch_record *record = &a->batch->records[i];
        a->now[i] = false;
        a->waits[i] = NULL;
        if (record->fate != JM_FATE_OPEN || record->again || !record->job->type)
            continue;
        jm_job *job = record->job;
        if (last && !strcmp(last->name, job->type))
            a->types[i] = jm_job_type_ref(last);
        else
            a->types[i] = jm_type_dir_get(store->options.types, job->type);
        last = a->types[i] ? a->types[i] : last;
        if (!job->from_relay && refuse_unsupported(a, record, a->types[i]))
            continue;
        if (!a->types[i])
            a->waits[i] = "no worker with this type has had a slot for it yet";
        else if (!job->from_relay && job->run_at_us > now_us)
            a->waits[i] = "run_at";
        else if (!job->from_relay && job->start_by_us)
            a->waits[i] = "start_by"; /* started by PostgreSQL's clock */
        else if (!jm_slots_available(store->options.slots, a->types[i], 1))
            a->waits[i] = "no free slot for this type";
        else
            a->now[i] = true;
        if (a->now[i])
            jm_slots_take(store->options.slots, a->types[i], 1);
    }
}

/* Gives back the slots and references of records that did not start. */
static void release_unstarted(struct accept *a)
{
    for (int i = 0; i < a->batch->n; i++) {
        if (!a->types[i])
            continue;
        if (a->now[i] && a->batch->records[i].fate != JM_FATE_STARTED)
            jm_slots_give(a->store->options.slots, a->types[i], 1);
        if (a->batch->records[i].fate != JM_FATE_STARTED)
            jm_job_type_unref(a->types[i]);
        else
            continue; /* the job has it now */
        a->types[i] = NULL;
    }
}

/* ---- columns ---- */

enum {
    INSERT_COLS = 20 /* of accept_insert, behind the two scalars */
};

static const jm_col_type insert_types[INSERT_COLS] = {
    JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB, JM_COL_BOOL,
    JM_COL_I32,  JM_COL_I32,  JM_COL_I16,  JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB, JM_COL_TEXT,
    JM_COL_TS,   JM_COL_TS,   JM_COL_TEXT, JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT};
static const jm_col_type plain_types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB,
                                          JM_COL_I32};
static const jm_col_type dead_types[] = {JM_COL_UUID,  JM_COL_TEXT,  JM_COL_I32,   JM_COL_I64,
                                         JM_COL_BYTEA, JM_COL_BYTEA, JM_COL_JSONB, JM_COL_TEXT,
                                         JM_COL_TEXT,  JM_COL_TEXT};
static const jm_col_type id_types[] = {JM_COL_UUID, JM_COL_TEXT};

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* A set of columns for one statement. */
struct cols {
    jm_col col[INSERT_COLS];
    int n;
};

static void cols_init(struct cols *cols, const jm_col_type *types, int n)
{
    cols->n = n;
    for (int i = 0; i < n; i++)
        jm_col_init(&cols->col[i], types[i]);
}

static void cols_fini(struct cols *cols)
{
    for (int i = 0; i < cols->n; i++)
        jm_col_fini(&cols->col[i]);
}

static void cols_args(struct cols *cols, jm_pg_args *args)
{
    for (int i = 0; i < cols->n; i++)
        jm_pg_arg_col(args, &cols->col[i]);
}

static void add_ts(jm_col *col, int64_t us)
{
    if (us)
        jm_col_add_ts(col, us);
    else
        jm_col_add_null(col);
}

static void add_positive(jm_col *col, int v)
{
    if (v)
        jm_col_add_i32(col, v);
    else
        jm_col_add_null(col);
}

/* Searchable metadata of a job: one row a key that its type names and that it has. */
static void add_searchable(struct cols *cols, const jm_job *job, const jm_job_type *type)
{
    if (!job->metadata || !type || !type->searchable[0])
        return;
    json_t *metadata = json_loadb(job->metadata, job->metadata_len, JSON_DECODE_INT_AS_REAL, NULL);
    for (char **key = type->searchable; metadata && *key; key++) {
        json_t *v = json_object_get(metadata, *key);
        if (!v || json_is_null(v))
            continue;
        char *text =
            json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        jm_col_add_uuid(&cols->col[17], &job->id);
        jm_col_add_str(&cols->col[18], *key);
        jm_col_add_str(&cols->col[19], text ? text : json_string_value(v));
        free(text);
    }
    json_decref(metadata);
}

static int max_attempts_of(const jm_job *job, const jm_job_type *type)
{
    return job->max_attempts ? job->max_attempts : type ? type->max_attempts : 3;
}

static void add_insert(struct cols *cols, const jm_job *job, const jm_job_type *type, bool now,
                       const char *waits)
{
    jm_col *c = cols->col;
    jm_col_add_uuid(&c[0], &job->id);
    jm_col_add_str(&c[1], job->external_id);
    jm_col_add_str(&c[2], job->project);
    jm_col_add_str(&c[3], job->type);
    jm_col_add_str(&c[4], job->profile);
    jm_col_add_bytes(&c[5], job->params, job->params_len);
    jm_col_add_bool(&c[6], now);
    jm_col_add_i32(&c[7], max_attempts_of(job, type));
    add_positive(&c[8], job->timeout_s);
    jm_col_add_i32(&c[9], job->priority);
    jm_col_add_str(&c[10], job->key);
    jm_col_add_str(&c[11], job->dedup_key);
    jm_col_add_bytes(&c[12], job->metadata, job->metadata_len);
    jm_col_add_str(&c[13], job->trace_context);
    add_ts(&c[14], job->run_at_us);
    add_ts(&c[15], job->start_by_us);
    jm_col_add_str(&c[16], waits);
    add_searchable(cols, job, type);
}

static bool is_plain(const jm_job *job)
{
    return !job->external_id && !job->profile && !job->timeout_s &&
           job->priority == JM_PRIORITY_DEFAULT && !job->key && !job->dedup_key && !job->metadata &&
           !job->trace_context && !job->run_at_us && !job->start_by_us;
}

static void add_plain(struct cols *cols, const jm_job *job, const jm_job_type *type)
{
    jm_col_add_uuid(&cols->col[0], &job->id);
    jm_col_add_str(&cols->col[1], job->project);
    jm_col_add_str(&cols->col[2], job->type);
    jm_col_add_bytes(&cols->col[3], job->params, job->params_len);
    jm_col_add_i32(&cols->col[4], max_attempts_of(job, type));
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
                jm_buf_adds(out, "{\"hex\":\"");
                for (size_t k = 0; k < len; k++)
                    jm_buf_addf(out, "%02x", ((const unsigned char *)value)[k]);
                jm_buf_adds(out, "\"}");
            }
            json_decref(text);
        }
    }
    jm_buf_addc(out, '}');
}

static void add_dead(struct cols *cols, const jm_batch_record *record)
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
    struct cols insert, plain, take, defer, dead, claim;
    jm_pg_args args[6];
    jm_pg_call calls[6];
    int n_calls;
    int i_insert, i_plain, i_take; /* places in calls, or -1 */
};

static void tx_init(struct accept_tx *tx)
{
    cols_init(&tx->insert, insert_types, INSERT_COLS);
    cols_init(&tx->plain, plain_types, COUNT(plain_types));
    cols_init(&tx->take, id_types, 1);
    cols_init(&tx->defer, id_types, 2);
    cols_init(&tx->dead, dead_types, COUNT(dead_types));
    cols_init(&tx->claim, id_types, 1);
    tx->n_calls = 0;
    tx->i_insert = tx->i_plain = tx->i_take = -1;
}

static void tx_fini(struct accept_tx *tx)
{
    jm_pg_calls_clear(tx->calls, tx->n_calls);
    cols_fini(&tx->insert);
    cols_fini(&tx->plain);
    cols_fini(&tx->take);
    cols_fini(&tx->defer);
    cols_fini(&tx->dead);
    cols_fini(&tx->claim);
}

static void tx_fill(struct accept_tx *tx, struct accept *a, int from, int to)
{
    for (int i = from; i < to; i++) {
        jm_batch_record *record = &a->batch->records[i];
        if (record->fate == JM_FATE_DEAD)
            add_dead(&tx->dead, record);
        if (record->fate != JM_FATE_OPEN || record->again)
            continue;
        if (a->now[i])
            jm_col_add_uuid(&tx->claim.col[0], &record->id);
        if (!record->job->from_relay && a->now[i] && is_plain(record->job)) {
            add_plain(&tx->plain, record->job, a->types[i]);
        } else if (!record->job->from_relay) {
            add_insert(&tx->insert, record->job, a->types[i], a->now[i], a->waits[i]);
        } else if (a->now[i]) {
            jm_col_add_uuid(&tx->take.col[0], &record->id);
        } else {
            jm_col_add_uuid(&tx->defer.col[0], &record->id);
            jm_col_add_str(&tx->defer.col[1], a->waits[i]);
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

/* Smallest and largest id of the sorted records from..to. */
static void add_bounds(jm_pg_args *args, const struct accept *a, int from, int to)
{
    jm_pg_arg_uuid(args, &a->batch->records[from].id);
    jm_pg_arg_uuid(args, &a->batch->records[to - 1].id);
}

static void tx_build(struct accept_tx *tx, struct accept *a, int from, int to)
{
    const jm_store_options *o = &a->store->options;
    const char *queue = o->queues[a->batch->queue];
    if (tx->plain.col[0].n) {
        tx->i_plain = tx->n_calls;
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_plain);
        jm_pg_arg_uuid(args, &o->worker_id);
        jm_pg_arg_text(args, queue);
        cols_args(&tx->plain, args);
    }
    if (tx->insert.col[0].n) {
        tx->i_insert = tx->n_calls;
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_insert);
        jm_pg_arg_uuid(args, &o->worker_id);
        jm_pg_arg_text(args, queue);
        cols_args(&tx->insert, args);
    }
    if (tx->take.col[0].n) {
        tx->i_take = tx->n_calls;
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_take);
        jm_pg_arg_uuid(args, &o->worker_id);
        cols_args(&tx->take, args);
        add_bounds(args, a, from, to);
    }
    if (tx->defer.col[0].n)
        cols_args(&tx->defer, tx_call(tx, &jm_sql_accept_defer));
    if (tx->claim.col[0].n) {
        jm_pg_args *args = tx_call(tx, &jm_sql_accept_claim);
        jm_pg_arg_uuid(args, &o->worker_id);
        jm_pg_arg_i64(args, a->seq);
        cols_args(&tx->claim, args);
    }
    if (tx->dead.col[0].n)
        cols_args(&tx->dead, tx_call(tx, &jm_sql_accept_dead));
}

/* Marks what a committed transaction has made of the records. Relay's jobs are filled from their
 * rows. */
static void tx_settle(struct accept_tx *tx, struct accept *a)
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

/* One try at records from..to. After success each of them is started, waiting, dead, or still open:
 * those named jobs that exist. */
static int try_range(struct accept *a, int from, int to, jm_err *err)
{
    struct accept_tx tx;
    tx_init(&tx);
    tx_fill(&tx, a, from, to);
    tx_build(&tx, a, from, to);
    int rc = tx.n_calls ? jm_pg_run(a->store->pg, tx.calls, tx.n_calls, err) : JM_OK;
    if (!rc)
        tx_settle(&tx, a);
    tx_fini(&tx);
    return rc;
}

/* After a lost connection: what of this batch was committed all the same runs under our claim. */
static int recall(struct accept *a, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &a->store->options.worker_id);
    jm_pg_arg_i64(&args, a->seq);
    jm_pg_call call = {.sql = &jm_sql_accept_recall, .args = &args, .binary = true};
    int rc = jm_pg_run(a->store->pg, &call, 1, err);
    int hint = 0;
    for (int row = 0; !rc && row < PQntuples(call.res); row++) {
        jm_uuid id = jm_pg_get_uuid(call.res, row, 0);
        jm_batch_record *record = jm_batch_find(a->batch, &id, &hint);
        if (!record || record->fate == JM_FATE_STARTED)
            continue;
        if (record->job->from_relay)
            jm_store_read_job(call.res, row, a->batch->arena, record->job);
        record->fate = JM_FATE_STARTED;
    }
    PQclear(call.res);
    return rc;
}

/* Makes the partitions that records from..to need. */
static int make_partitions(struct accept *a, int from, int to, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_ts(&args, jm_uuid7_ms(&a->batch->records[from].id) * 1000);
    jm_pg_arg_ts(&args, jm_uuid7_ms(&a->batch->records[to - 1].id) * 1000);
    return jm_pg_query(a->store->pg, &jm_sql_accept_partitions, &args, NULL, err);
}

static void refuse(struct accept *a, int i, const jm_err *err)
{
    jm_batch_record *record = &a->batch->records[i];
    bool bad_time = !strcmp(err->sqlstate, "23514") && strstr(err->msg, "no partition");
    jm_batch_mark_dead(a->batch, record, bad_time ? "bad_time" : "refused", err);
    if (record->job && (record->job->external_id || record->job->dedup_key)) {
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_text(&args, record->job->project);
        jm_pg_arg_text(&args, record->job->type);
        jm_pg_arg_text(&args, record->job->external_id);
        jm_pg_arg_text(&args, record->job->dedup_key);
        jm_pg_arg_uuid(&args, &record->id);
        jm_err ignored;
        jm_pg_query(a->store->pg, &jm_sql_accept_undedup, &args, NULL, &ignored);
    }
}

static bool is_missing_partition(const jm_err *err)
{
    return !strcmp(err->sqlstate, "23514") && strstr(err->msg, "no partition") != NULL;
}

/* Accepts records from..to in one transaction, or in halves where PostgreSQL refuses a row, down to
 * the one it refuses. Waits out losses of the database. JM_ERR_CLOSED when stopping. */
static int accept_range(struct accept *a, int from, int to)
{
    for (bool made_partitions = false;;) {
        jm_err err = {0};
        int rc = try_range(a, from, to, &err);
        if (rc == JM_OK)
            return JM_OK;
        if (rc == JM_ERR_DB_DOWN || (!jm_pg_is_up(a->store->pg))) {
            do {
                if (!jm_store_wait_db(a->store))
                    return JM_ERR_CLOSED;
            } while (recall(a, &err));
            continue;
        }
        if (err.retriable) {
            jm_log_kv(JM_INFO, "accept", "trying again", "why", err.msg, NULL);
            if (!jm_store_wait_ms(a->store, 50))
                return JM_ERR_CLOSED;
            continue;
        }
        if (is_missing_partition(&err) && !made_partitions) {
            made_partitions = true;
            jm_err why = {0};
            if (make_partitions(a, from, to, &why) == JM_OK)
                continue;
            if (to - from == 1 && why.code == JM_ERR_DB) {
                jm_err_prefix(&why, "no partition for its time");
                memcpy(err.msg, why.msg, sizeof err.msg);
            }
        }
        if (to - from == 1) {
            if (a->batch->records[from].fate == JM_FATE_DEAD) {
                jm_log_kv(JM_ERROR, "accept", "a dead letter was refused and is dropped", "why",
                          err.msg, NULL);
                a->batch->records[from].fate = JM_FATE_KNOWN;
                return JM_OK;
            }
            refuse(a, from, &err);
            continue; /* now as a dead letter */
        }
        int mid = from + (to - from) / 2;
        rc = accept_range(a, from, mid);
        return rc ? rc : accept_range(a, mid, to);
    }
}

/* ---- duplicates ---- */

struct dedup_ref {
    const jm_job *job;
    const char *kind, *key;
};

static int by_key(const void *x, const void *y)
{
    const struct dedup_ref *a = x, *b = y;
    int c = strcmp(a->job->project, b->job->project);
    c = c ? c : strcmp(a->job->type, b->job->type);
    c = c ? c : strcmp(a->kind, b->kind);
    c = c ? c : strcmp(a->key, b->key);
    return c ? c : jm_uuid_cmp(&a->job->id, &b->job->id);
}

static int collect_keys(struct accept *a, struct dedup_ref *refs)
{
    int n = 0;
    for (int i = 0; i < a->batch->n; i++) {
        const jm_batch_record *record = &a->batch->records[i];
        if (record->fate != JM_FATE_OPEN || record->job->from_relay)
            continue;
        if (record->job->external_id)
            refs[n++] = (struct dedup_ref){record->job, "external_id", record->job->external_id};
        if (record->job->dedup_key)
            refs[n++] = (struct dedup_ref){record->job, "dedup_key", record->job->dedup_key};
    }
    qsort(refs, (size_t)n, sizeof *refs, by_key);
    return n;
}

/* Whether two references name the same key. */
static bool same_key(const struct dedup_ref *a, const struct dedup_ref *b)
{
    return !strcmp(a->key, b->key) && !strcmp(a->kind, b->kind) &&
           !strcmp(a->job->type, b->job->type) && !strcmp(a->job->project, b->job->project);
}

/* The job of that id has lost its key to has. Under an external id they should be the same job. */
static void mark_duplicate(struct accept *a, const jm_uuid *id, const jm_uuid *has)
{
    int hint = 0;
    jm_batch_record *record = jm_batch_find(a->batch, id, &hint);
    if (!record || record->fate != JM_FATE_OPEN)
        return;
    record->again = true;
    record->known_as = *has;
}

/* Claims external ids and dedup keys, in a transaction of its own: the key belongs to the job's id,
 * which is derived from the record, so a crash in between loses nothing. */
static int check_duplicates(struct accept *a, jm_err *err)
{
    struct dedup_ref *refs = jm_calloc((size_t)a->batch->n * 2 + 1, sizeof *refs);
    int n = collect_keys(a, refs), rc = JM_OK;
    static const jm_col_type types[] = {JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT,
                                        JM_COL_UUID};
    struct cols cols;
    cols_init(&cols, types, COUNT(types));
    for (int i = 0; i < n; i++) {
        if (i && same_key(&refs[i - 1], &refs[i])) { /* twice in one batch: the first has it */
            mark_duplicate(a, &refs[i].job->id, &refs[i - 1].job->id);
            refs[i] = refs[i - 1];
            continue;
        }
        jm_col_add_str(&cols.col[0], refs[i].job->project);
        jm_col_add_str(&cols.col[1], refs[i].job->type);
        jm_col_add_str(&cols.col[2], refs[i].kind);
        jm_col_add_str(&cols.col[3], refs[i].key);
        jm_col_add_uuid(&cols.col[4], &refs[i].job->id);
    }
    if (n) {
        jm_pg_args args;
        jm_pg_args_init(&args);
        cols_args(&cols, &args);
        jm_pg_arg_i64(&args, a->store->options.dedup_window_s);
        jm_pg_call call = {.sql = &jm_sql_accept_dedup, .args = &args, .binary = true};
        rc = jm_pg_run(a->store->pg, &call, 1, err);
        for (int row = 0; !rc && row < PQntuples(call.res); row++) {
            jm_uuid id = jm_pg_get_uuid(call.res, row, 0), has = jm_pg_get_uuid(call.res, row, 1);
            if (jm_uuid_cmp(&id, &has) != 0)
                mark_duplicate(a, &id, &has);
        }
        PQclear(call.res);
    }
    cols_fini(&cols);
    free(refs);
    return rc;
}

/* Records that are still open name jobs that exist: redeliveries, or another job under a known id.
 * Only those whose submitter chose the id can be in conflict. */
static bool may_conflict(const jm_batch_record *record)
{
    return !record->job->from_relay && (record->job->has_id || record->job->external_id);
}

struct known {
    struct cols cols;
    int *index; /* record of each row */
    jm_uuid lo, hi;
};

static void add_known(struct known *k, const jm_batch_record *record, int i)
{
    const jm_uuid *id = record->again ? &record->known_as : &record->id;
    int n = k->cols.col[0].n;
    if (!n || jm_uuid_cmp(id, &k->lo) < 0)
        k->lo = *id;
    if (!n || jm_uuid_cmp(id, &k->hi) > 0)
        k->hi = *id;
    k->index[n] = i;
    jm_col_add_uuid(&k->cols.col[0], id);
    jm_col_add_str(&k->cols.col[1], record->job->project);
    jm_col_add_str(&k->cols.col[2], record->job->type);
    jm_col_add_bytes(&k->cols.col[3], record->job->params, record->job->params_len);
}

/* Asks for the rows of k and makes dead letters of the records that differ. */
static int compare_known(struct accept *a, struct known *k, bool *conflicts, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    cols_args(&k->cols, &args);
    jm_pg_arg_uuid(&args, &k->lo);
    jm_pg_arg_uuid(&args, &k->hi);
    jm_pg_call call = {.sql = &jm_sql_accept_known, .args = &args, .binary = true};
    int rc = jm_pg_run(a->store->pg, &call, 1, err);
    for (int row = 0; !rc && row < PQntuples(call.res); row++) {
        jm_batch_record *record = &a->batch->records[k->index[jm_pg_get_i64(call.res, row, 0) - 1]];
        if (jm_pg_get_bool(call.res, row, 1))
            continue;
        dead(a, record, "id_conflict", "id",
             "a job with this id and another type, project or params exists");
        *conflicts = true;
    }
    PQclear(call.res);
    return rc;
}

/* Settles the records that are still open; after an error they are open as before. */
static int settle_known(struct accept *a, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB};
    struct known k = {.index = jm_calloc((size_t)a->batch->n, sizeof *k.index)};
    cols_init(&k.cols, types, COUNT(types));
    for (int i = 0; i < a->batch->n; i++)
        if (a->batch->records[i].fate == JM_FATE_OPEN && may_conflict(&a->batch->records[i]))
            add_known(&k, &a->batch->records[i], i);
    bool conflicts = false;
    int rc = k.cols.col[0].n ? compare_known(a, &k, &conflicts, err) : JM_OK;
    cols_fini(&k.cols);
    free(k.index);
    for (int i = 0; i < a->batch->n && !rc; i++)
        if (a->batch->records[i].fate == JM_FATE_OPEN)
            a->batch->records[i].fate = JM_FATE_KNOWN;
    return !rc && conflicts ? accept_range(a, 0, a->batch->n) : rc;
}

/* Runs a step that needs the database until it succeeds. JM_ERR_CLOSED when stopping. Other
 * refusals are logged and tried again: they concern no single record. */
static int insist(struct accept *a, int (*step)(struct accept *, jm_err *))
{
    for (;;) {
        jm_err err = {0};
        int rc = step(a, &err);
        if (!rc)
            return JM_OK;
        if (rc != JM_ERR_DB_DOWN)
            jm_log_kv(JM_ERROR, "accept", "PostgreSQL refuses a check; trying again", "why",
                      err.msg, NULL);
        if (!(rc == JM_ERR_DB_DOWN ? jm_store_wait_db(a->store) : jm_store_wait_ms(a->store, 1000)))
            return JM_ERR_CLOSED;
    }
}

static void count_fates(struct accept *a)
{
    jm_store_counts *c = &a->store->counts;
    int64_t n[5] = {0};
    for (int i = 0; i < a->batch->n; i++)
        n[a->batch->records[i].fate]++;
    atomic_fetch_add(&c->accepted, a->batch->n);
    atomic_fetch_add(&c->started, n[JM_FATE_STARTED]);
    atomic_fetch_add(&c->waiting, n[JM_FATE_WAITS]);
    atomic_fetch_add(&c->known, n[JM_FATE_KNOWN]);
    atomic_fetch_add(&c->dead, n[JM_FATE_DEAD]);
    if (n[JM_FATE_WAITS])
        a->store->maybe_ready = true;
}

/* Hands the started jobs to the runner; the arena goes with them. */
static void begin_started(struct accept *a)
{
    jm_chain chain = {0};
    jm_claim *claim = NULL;
    jm_arena *arena = a->batch->arena;
    for (int i = 0; i < a->batch->n; i++) {
        jm_batch_record *record = &a->batch->records[i];
        if (record->fate != JM_FATE_STARTED)
            continue;
        if (!claim)
            claim = jm_claim_new(a->seq, arena);
        if (!record->job->from_relay) {
            record->job->queue = a->store->options.queues[a->batch->queue];
            record->job->attempt = 1;
            record->job->max_attempts = max_attempts_of(record->job, a->types[i]);
            record->job->submitted_by = "kafka";
        }
        jm_store_begin(record->job, claim, a->types[i], &chain);
    }
    if (claim) {
        a->batch->arena = NULL;
        jm_runner_push(a->store->options.runner, &chain);
    }
}

/* A claim row under which nothing started in the end. */
static void drop_empty_claim(struct accept *a)
{
    bool claimed = false;
    for (int i = 0; i < a->batch->n; i++) {
        if (a->batch->records[i].fate == JM_FATE_STARTED)
            return;
        claimed = claimed || a->now[i];
    }
    if (!claimed)
        return;
    jm_col seqs;
    jm_col_init(&seqs, JM_COL_I64);
    jm_col_add_i64(&seqs, a->seq);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &a->store->options.worker_id);
    jm_pg_arg_col(&args, &seqs);
    jm_err ignored; /* a claim without running jobs does no harm; the janitor takes it away in the
                       end */
    jm_pg_query(a->store->pg, &jm_sql_record_unclaim, &args, NULL, &ignored);
    jm_col_fini(&seqs);
}

static int accept_all(struct accept *a)
{
    int rc = insist(a, check_projects);
    if (!rc)
        rc = insist(a, check_duplicates);
    if (!rc) {
        assign_slots(a);
        rc = accept_range(a, 0, a->batch->n);
    }
    if (!rc)
        rc = insist(a, settle_known);
    return rc;
}

int jm_accept(jm_store *store, jm_batch *batch)
{
    jm_batch_sort(batch);
    struct accept a = {.store = store, .batch = batch, .seq = ++store->claim_seq};
    a.types = jm_calloc((size_t)batch->n, sizeof *a.types);
    a.now = jm_calloc((size_t)batch->n, sizeof *a.now);
    a.waits = jm_calloc((size_t)batch->n, sizeof *a.waits);
    int rc = accept_all(&a);
    if (rc == JM_OK)
        drop_empty_claim(&a);
    release_unstarted(&a);
    /* Jobs that were started run even if we are stopping now: they have been claimed. */
    count_fates(&a);
    begin_started(&a);
    free(a.types);
    free(a.now);
    free(a.waits);
    if (rc == JM_OK)
        store->options.accepted(store->options.ctx, batch);
    else
        jm_batch_free(batch);
    return rc;
}
