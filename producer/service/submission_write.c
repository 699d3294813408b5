/* Submitted jobs as rows: one transaction for all that have come. */
#include <stdlib.h>
#include <string.h>

#include "common/job_message.h"
#include "producer/service/submission_priv.h"

enum {
    S_ID,
    S_NAMED,
    S_EXTERNAL_ID,
    S_PROJECT,
    S_TYPE,
    S_PARAMS,
    S_MESSAGE,
    S_RUN_AT,
    S_START_BY,
    S_ACTOR,
    S_REQUEST_ID,
    N_SET
};

static const jm_col_type set_types[N_SET] = {
    [S_ID] = JM_COL_UUID,       [S_NAMED] = JM_COL_BOOL,     [S_EXTERNAL_ID] = JM_COL_TEXT,
    [S_PROJECT] = JM_COL_TEXT,  [S_TYPE] = JM_COL_TEXT,      [S_PARAMS] = JM_COL_JSONB,
    [S_MESSAGE] = JM_COL_JSONB, [S_RUN_AT] = JM_COL_TS,      [S_START_BY] = JM_COL_TS,
    [S_ACTOR] = JM_COL_TEXT,    [S_REQUEST_ID] = JM_COL_TEXT};

/* Of which request a row of the set is. */
typedef struct place {
    int request;
    size_t job;
} place;

/* A key to claim for a request. */
typedef struct claim {
    jm_pg_args args;
    jm_col ids;
} claim;

struct jm_submit_writer {
    jm_db_clock *clock;
    jm_submit *plain; /* jobs that nothing can be known of */
    jm_cols set;
    place *places;
    size_t cap;
    jm_buf text;
};

jm_submit_writer *jm_submit_writer_new(jm_db_clock *clock)
{
    jm_submit_writer *writer = jm_calloc(1, sizeof *writer);
    writer->clock = clock;
    writer->plain = jm_submit_new();
    jm_cols_init(&writer->set, set_types, N_SET);
    return writer;
}

void jm_submit_writer_free(jm_submit_writer *writer)
{
    jm_submit_free(writer->plain);
    jm_cols_fini(&writer->set);
    jm_buf_fini(&writer->text);
    free(writer->places);
    free(writer);
}

/* ---- the batch ---- */

static bool is_plain(const jm_job *job)
{
    return !job->has_id && !job->external_id && !job->dedup_key && !job->depends_on;
}

static void add_plain(jm_submit_writer *writer, const jm_job *job)
{
    int64_t now_us = jm_db_clock_us(writer->clock);
    jm_submit_add(writer->plain, job, jm_submit_way_of(job, now_us),
                  job->run_at_us > now_us ? job->run_at_us : now_us, NULL);
}

static void add_to_set(jm_submit_writer *writer, const jm_job *job, place at)
{
    jm_col *c = writer->set.col;
    size_t row = (size_t)c[S_ID].n;
    if (row == writer->cap) {
        writer->cap = writer->cap ? writer->cap * 2 : 256;
        writer->places = jm_realloc(writer->places, writer->cap * sizeof *writer->places);
    }
    writer->places[row] = at;
    jm_buf_clear(&writer->text);
    jm_job_message_write(job, &writer->text);
    writer->text.len--; /* the brace */
    jm_buf_addf(&writer->text, ",\"queue\":\"%s\"}", job->queue);
    jm_col_add_uuid(&c[S_ID], &job->id);
    jm_col_add_bool(&c[S_NAMED], job->has_id);
    jm_col_add_str(&c[S_EXTERNAL_ID], job->external_id);
    jm_col_add_str(&c[S_PROJECT], job->project);
    jm_col_add_str(&c[S_TYPE], job->type);
    jm_col_add_bytes(&c[S_PARAMS], job->params ? job->params : "{}",
                     job->params ? job->params_len : 2);
    jm_col_add_bytes(&c[S_MESSAGE], writer->text.data, writer->text.len);
    jm_col_add_time(&c[S_RUN_AT], job->run_at_us);
    jm_col_add_time(&c[S_START_BY], job->start_by_us);
    jm_col_add_str(&c[S_ACTOR], job->submitted_by);
    jm_col_add_str(&c[S_REQUEST_ID], job->request_id);
}

static void fill(jm_submit_writer *writer, jm_submit_request **list, int n, bool careful)
{
    jm_submit_reset(writer->plain);
    for (int i = 0; i < N_SET; i++)
        jm_col_reset(&writer->set.col[i]);
    for (int i = 0; i < n; i++) {
        for (size_t j = 0; j < list[i]->n; j++) {
            const jm_job *job = &list[i]->jobs[j];
            if (is_plain(job) && !careful)
                add_plain(writer, job);
            else
                add_to_set(writer, job, (place){i, j});
        }
    }
}

/* ---- keys of requests ---- */

static void claim_init(claim *c, const jm_submit_request *request)
{
    jm_col_init(&c->ids, JM_COL_UUID);
    for (size_t j = 0; j < request->n; j++)
        jm_col_add_uuid(&c->ids, &request->jobs[j].id);
    jm_pg_args_init(&c->args);
    jm_pg_arg_text(&c->args, request->jobs[0].project);
    jm_pg_arg_text(&c->args, request->idempotency_key);
}

int jm_submit_recall(jm_pg *pg, jm_submit_request *request, bool *found, jm_err *err)
{
    char digest[JM_PG_DIGEST_TEXT];
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, request->jobs[0].project);
    jm_pg_arg_text(&args, request->idempotency_key);
    jm_pg_arg_text(&args, jm_pg_digest_text(request->fingerprint, digest));
    int rc = jm_pg_query(pg, &jm_sql_submit_idempotent, &args, &res, err);
    *found = !rc && PQntuples(res) > 0;
    bool same = *found && *PQgetvalue(res, 0, 0) == 't';
    if (*found && (!same || (size_t)PQntuples(res) != request->n))
        rc = jm_err_set(err, JM_ERR_CONFLICT,
                        "the Idempotency-Key %.100s was used for another request: give each "
                        "request a key of its own",
                        request->idempotency_key);
    for (size_t j = 0; !rc && *found && j < request->n; j++)
        (void)jm_uuid_parse(PQgetvalue(res, (int)j, 1), 36, &request->jobs[j].id);
    PQclear(res);
    return rc;
}

/* ---- the transaction ---- */

static void take_results(const jm_submit_writer *writer, const PGresult *res,
                         jm_submit_request **list)
{
    for (int row = 0; row < PQntuples(res); row++) {
        place at = writer->places[strtol(PQgetvalue(res, row, 0), NULL, 10) - 1];
        jm_submit_request *request = list[at.request];
        (void)jm_uuid_parse(PQgetvalue(res, row, 1), 36, &request->jobs[at.job].id);
        request->existed[at.job] = *PQgetvalue(res, row, 2) == 't';
    }
}

/* "17.dedup_key" of the set is job 3 of request 5, field dedup_key. */
static void find_culprit(const jm_submit_writer *writer, jm_submit_request **list, jm_err *err,
                         int *at)
{
    char *dot = strchr(err->field, '.');
    long row = strtol(err->field, NULL, 10);
    if (!dot || row < 1 || row > writer->set.col[S_ID].n)
        return;
    place found = writer->places[row - 1];
    char field[sizeof err->field];
    if (list[found.request]->list)
        snprintf(field, sizeof field, "%zu%.55s", found.job, dot[1] ? dot : "");
    else
        snprintf(field, sizeof field, "%.70s", dot + 1);
    memcpy(err->field, field, sizeof field);
    *at = found.request;
}

int jm_submit_write(jm_submit_writer *writer, jm_pg *pg, jm_submit_request **list, int n,
                    bool careful, int *at, jm_err *err)
{
    int n_calls = 0, n_claims = 0, set_call = -1;
    jm_pg_call *calls = jm_calloc((size_t)n + 2, sizeof *calls);
    claim *claims = jm_calloc((size_t)n, sizeof *claims);
    char(*digests)[JM_PG_DIGEST_TEXT] = jm_calloc((size_t)n, sizeof *digests);
    jm_pg_args set_args;
    *at = -1;
    fill(writer, list, n, careful);
    for (int i = 0; i < n; i++) {
        if (!list[i]->idempotency_key)
            continue;
        claim *c = &claims[n_claims++];
        claim_init(c, list[i]);
        jm_pg_arg_text(&c->args, jm_pg_digest_text(list[i]->fingerprint, digests[i]));
        jm_pg_arg_col(&c->args, &c->ids);
        calls[n_calls++] = (jm_pg_call){.sql = &jm_sql_submit_idempotency, .args = &c->args};
    }
    if (jm_submit_count(writer->plain))
        calls[n_calls++] = jm_submit_call(writer->plain);
    if (writer->set.col[S_ID].n) {
        jm_pg_args_init(&set_args);
        jm_pg_arg_cols(&set_args, &writer->set);
        set_call = n_calls;
        calls[n_calls++] = (jm_pg_call){.sql = &jm_sql_submit_set, .args = &set_args};
    }
    int rc = jm_pg_run(pg, calls, n_calls, err);
    if (!rc && set_call >= 0)
        take_results(writer, calls[set_call].res, list);
    else if (rc)
        find_culprit(writer, list, err, at);
    jm_pg_calls_clear(calls, n_calls);
    for (int i = 0; i < n_claims; i++)
        jm_col_fini(&claims[i].ids);
    free(claims);
    free(digests);
    free(calls);
    return rc;
}
