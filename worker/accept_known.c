/* Records that name jobs which exist: duplicates by key, redeliveries, and other jobs under a known
 * id. */
#include <stdlib.h>
#include <string.h>

#include "worker/accept_priv.h"

enum { DEDUP_WINDOW_S = 86400 }; /* jobmill.submit() has the same */

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

static int collect_keys(jm_accept_state *a, struct dedup_ref *refs)
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

/* The job of that id has lost its key to has. Under an external id they should be the same job;
 * under a dedup_key that is not asked. */
static void mark_duplicate(jm_accept_state *a, const jm_uuid *id, const jm_uuid *has, bool is_id)
{
    int hint = 0;
    jm_batch_record *record = jm_batch_find(a->batch, id, &hint);
    if (!record || record->fate != JM_FATE_OPEN || (record->again && !is_id))
        return;
    record->again = true;
    record->by_key = !is_id;
    record->known_as = *has;
}

static void mark_duplicates(jm_accept_state *a, const PGresult *res)
{
    for (int row = 0; row < PQntuples(res); row++) {
        jm_uuid id = jm_pg_get_uuid(res, row, 0), has = jm_pg_get_uuid(res, row, 1);
        if (jm_uuid_cmp(&id, &has) != 0)
            mark_duplicate(a, &id, &has, jm_pg_get_bool(res, row, 2));
    }
}

/* A record with two keys that has lost one will be no job: the other is given back, or it would
 * keep out those who are to come. */
static int give_back_keys(jm_accept_state *a, jm_err *err)
{
    int rc = JM_OK;
    for (int i = 0; i < a->batch->n && !rc; i++) {
        const jm_batch_record *record = &a->batch->records[i];
        if (record->again && record->job->external_id && record->job->dedup_key)
            rc = jm_accept_undedup(a, record, err);
    }
    return rc;
}

int jm_accept_undedup(jm_accept_state *a, const jm_batch_record *record, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, record->job->project);
    jm_pg_arg_text(&args, record->job->type);
    jm_pg_arg_text(&args, record->job->external_id);
    jm_pg_arg_text(&args, record->job->dedup_key);
    jm_pg_arg_uuid(&args, &record->id);
    return jm_pg_query(a->store->pg, &jm_sql_accept_undedup, &args, NULL, err);
}

int jm_accept_duplicates(jm_accept_state *a, jm_err *err)
{
    struct dedup_ref *refs = jm_calloc((size_t)a->batch->n * 2 + 1, sizeof *refs);
    int n = collect_keys(a, refs), rc = JM_OK;
    static const jm_col_type types[] = {JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT,
                                        JM_COL_UUID};
    jm_cols cols;
    jm_cols_init(&cols, types, JM_COUNT(types));
    for (int i = 0; i < n; i++) {
        if (i && same_key(&refs[i - 1], &refs[i])) { /* twice in one batch: the first has it */
            if (jm_uuid_cmp(&refs[i].job->id, &refs[i - 1].job->id) != 0)
                mark_duplicate(a, &refs[i].job->id, &refs[i - 1].job->id,
                               refs[i].job->external_id == refs[i].key);
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
        jm_pg_arg_cols(&args, &cols);
        jm_pg_arg_i64(&args, DEDUP_WINDOW_S);
        jm_pg_call call = {.sql = &jm_sql_accept_dedup, .args = &args, .binary = true};
        rc = jm_pg_run(a->store->pg, &call, 1, err);
        if (!rc)
            mark_duplicates(a, call.res);
        PQclear(call.res);
    }
    jm_cols_fini(&cols);
    free(refs);
    return rc ? rc : give_back_keys(a, err);
}

/* Records that are still open name jobs that exist: redeliveries, or another job under a known id.
 * Only those whose submitter chose the id can be in conflict. */
static bool may_conflict(const jm_batch_record *record)
{
    return !record->job->from_relay && !record->by_key &&
           (record->job->has_id || record->job->external_id);
}

struct known {
    jm_cols cols;
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
static int compare_known(jm_accept_state *a, struct known *k, bool *conflicts, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &k->cols);
    jm_pg_arg_uuid(&args, &k->lo);
    jm_pg_arg_uuid(&args, &k->hi);
    jm_pg_call call = {.sql = &jm_sql_accept_known, .args = &args, .binary = true};
    int rc = jm_pg_run(a->store->pg, &call, 1, err);
    for (int row = 0; !rc && row < PQntuples(call.res); row++) {
        jm_batch_record *record = &a->batch->records[k->index[jm_pg_get_i64(call.res, row, 0) - 1]];
        if (jm_pg_get_bool(call.res, row, 1))
            continue;
        jm_accept_dead(a, record, "id_conflict", "id",
                       "a job with this id and another type, project or params exists");
        *conflicts = true;
    }
    PQclear(call.res);
    return rc;
}

/* A record that came again has claimed its dedup key again. Where its job has failed, expired or
 * been cancelled meanwhile, the key is free for others. */
static int release_keys(jm_accept_state *a, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT, JM_COL_UUID};
    jm_cols cols;
    jm_cols_init(&cols, types, JM_COUNT(types));
    for (int i = 0; i < a->batch->n; i++) {
        const jm_batch_record *record = &a->batch->records[i];
        if (record->fate != JM_FATE_OPEN || record->again || record->job->from_relay ||
            !record->job->dedup_key)
            continue;
        jm_col_add_str(&cols.col[0], record->job->project);
        jm_col_add_str(&cols.col[1], record->job->type);
        jm_col_add_str(&cols.col[2], record->job->dedup_key);
        jm_col_add_uuid(&cols.col[3], &record->id);
    }
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &cols);
    int rc =
        cols.col[0].n ? jm_pg_query(a->store->pg, &jm_sql_accept_release, &args, NULL, err) : JM_OK;
    jm_cols_fini(&cols);
    return rc;
}

int jm_accept_known(jm_accept_state *a, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB};
    struct known k = {.index = jm_calloc((size_t)a->batch->n, sizeof *k.index)};
    jm_cols_init(&k.cols, types, JM_COUNT(types));
    for (int i = 0; i < a->batch->n; i++)
        if (a->batch->records[i].fate == JM_FATE_OPEN && may_conflict(&a->batch->records[i]))
            add_known(&k, &a->batch->records[i], i);
    bool conflicts = false;
    int rc = k.cols.col[0].n ? compare_known(a, &k, &conflicts, err) : JM_OK;
    jm_cols_fini(&k.cols);
    free(k.index);
    rc = rc ? rc : release_keys(a, err);
    for (int i = 0; i < a->batch->n && !rc; i++)
        if (a->batch->records[i].fate == JM_FATE_OPEN)
            a->batch->records[i].fate = JM_FATE_KNOWN;
    return !rc && conflicts ? jm_accept_range(a, 0, a->batch->n) : rc;
}
