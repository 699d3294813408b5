/* Rescue: the unfinished jobs of workers whose lease has lapsed go back to waiting, or fail. */
#include "producer/rescue.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "producer/tx.h"

enum { CLAIMS_AT_ONCE = 5 };

/* A worker whose lease has lapsed. */
typedef struct jm_lapsed {
    jm_uuid id;
    int64_t asked_ms; /* when the database was asked, monotonic */
    jm_dependents *dependents;
} jm_lapsed;

static void tell_queue(jm_wakeup *wakeup, const char *queue)
{
    char payload[80];
    if (!wakeup || !queue)
        return;
    snprintf(payload, sizeof payload, "ready %s", queue);
    jm_wakeup_send(wakeup, payload);
}

static void count_jobs(const PGresult *res, jm_wakeup *wakeup, jm_rescue_result *result)
{
    const char *told = NULL;
    for (int row = 0; row < PQntuples(res); row++) {
        const char *queue = jm_pg_get_text(res, row, 2, NULL);
        if (strcmp(jm_pg_get_text(res, row, 1, NULL), "pending") != 0) {
            result->ended++;
            continue;
        }
        result->again++;
        if (!told || strcmp(told, queue) != 0)
            tell_queue(wakeup, queue);
        told = queue;
    }
}

/* Jobs and claims of one batch, and the commit. The rows of claims come sorted by job id. */
static int rescue_batch(jm_pg *pg, const jm_lapsed *worker, const PGresult *claims,
                        jm_wakeup *wakeup, jm_rescue_result *result, jm_err *err)
{
    jm_col ids, seqs;
    jm_col_init(&ids, JM_COL_UUID);
    jm_col_init(&seqs, JM_COL_I64);
    int n = PQntuples(claims);
    jm_uuid first = jm_pg_get_uuid(claims, 0, 1), last = jm_pg_get_uuid(claims, n - 1, 1);
    for (int row = 0; row < n; row++) {
        jm_uuid id = jm_pg_get_uuid(claims, row, 1);
        jm_col_add_uuid(&ids, &id);
        jm_col_add_i64(&seqs, jm_pg_get_i64(claims, row, 0));
    }
    jm_pg_args jobs, release, unclaim;
    jm_pg_args_init(&jobs);
    jm_pg_arg_uuid(&jobs, &worker->id);
    jm_pg_arg_col(&jobs, &ids);
    jm_pg_arg_uuid(&jobs, &first);
    jm_pg_arg_uuid(&jobs, &last);
    jm_pg_args_init(&release);
    jm_pg_arg_col(&release, &ids);
    jm_pg_arg_uuid(&release, &first);
    jm_pg_arg_uuid(&release, &last);
    jm_pg_args_init(&unclaim);
    jm_pg_arg_uuid(&unclaim, &worker->id);
    jm_pg_arg_col(&unclaim, &seqs);
    jm_pg_call calls[] = {{.sql = &jm_sql_rescue_jobs, .args = &jobs, .binary = true},
                          {.sql = &jm_sql_rescue_release, .args = &release, .binary = true},
                          {.sql = &jm_sql_rescue_unclaim, .args = &unclaim},
                          {.sql = &jm_tx_commit}};
    int rc = jm_pg_run(pg, calls, 4, err);
    if (!rc) {
        count_jobs(calls[0].res, wakeup, result);
        jm_dependents_add_rows(worker->dependents, calls[0].res, 3);
        for (int row = 0; row < PQntuples(calls[1].res); row++)
            tell_queue(wakeup, jm_pg_get_text(calls[1].res, row, 0, NULL));
    }
    jm_pg_calls_clear(calls, 4);
    jm_col_fini(&ids);
    jm_col_fini(&seqs);
    return rc;
}

/* One transaction: the worker's row is locked first, so that it cannot renew its lease meanwhile.
 * *more: there may be more claims. */
static int rescue_some(jm_pg *pg, jm_lapsed *worker, jm_wakeup *wakeup, jm_rescue_result *result,
                       bool *more, jm_err *err)
{
    jm_pg_args mark, claims;
    *more = false;
    jm_pg_args_init(&mark);
    jm_pg_arg_uuid(&mark, &worker->id);
    jm_pg_args_init(&claims);
    jm_pg_arg_uuid(&claims, &worker->id);
    jm_pg_arg_i32(&claims, CLAIMS_AT_ONCE);
    jm_pg_call calls[] = {{.sql = &jm_tx_begin},
                          {.sql = &jm_sql_rescue_mark, .args = &mark},
                          {.sql = &jm_sql_rescue_claims, .args = &claims, .binary = true}};
    int rc = jm_pg_run(pg, calls, 3, err);
    /* Stopped and continued in between, this process knows less than it thinks. */
    int64_t now = jm_mono_ms();
    result->stalled = result->stalled || now - worker->asked_ms > JM_RESCUE_GAP_MS;
    worker->asked_ms = now;
    if (rc || result->stalled || !PQntuples(calls[1].res)) {
        jm_tx_rollback(pg);
    } else if (!PQntuples(calls[2].res)) {
        rc = jm_pg_exec(pg, "COMMIT", NULL, err);
    } else {
        rc = rescue_batch(pg, worker, calls[2].res, wakeup, result, err);
        *more = !rc;
        if (rc)
            jm_tx_rollback(pg);
        worker->asked_ms = jm_mono_ms();
    }
    jm_pg_calls_clear(calls, 3);
    return rc;
}

static int rescue_worker(jm_pg *pg, const PGresult *res, int row, int64_t asked_ms,
                         jm_wakeup *wakeup, jm_dependents *dependents, jm_rescue_result *result,
                         jm_err *err)
{
    jm_lapsed worker = {
        .id = jm_pg_get_uuid(res, row, 0), .asked_ms = asked_ms, .dependents = dependents};
    jm_rescue_result before = *result;
    int rc = JM_OK;
    for (bool more = true; more && !rc;)
        rc = rescue_some(pg, &worker, wakeup, result, &more, err);
    bool known = jm_pg_get_bool(res, row, 4);
    if (rc || result->stalled ||
        (known && result->again + result->ended == before.again + before.ended))
        return rc;
    char id[JM_UUID_TEXT], pid[16], again[24], ended[24];
    jm_uuid_format(&worker.id, id);
    snprintf(pid, sizeof pid, "%d", jm_pg_get_i32(res, row, 3));
    snprintf(again, sizeof again, "%llu", (unsigned long long)(result->again - before.again));
    snprintf(ended, sizeof ended, "%llu", (unsigned long long)(result->ended - before.ended));
    result->workers += !known;
    jm_log_kv(JM_WARNING, "janitor", "worker lost: its lease has lapsed", "worker_id", id, "host",
              jm_pg_get_text(res, row, 2, NULL), "pid", pid, "jobs_waiting_again", again,
              "jobs_ended", ended, NULL);
    return rc;
}

int jm_rescue_run(jm_pg *pg, int64_t reach_ms, jm_wakeup *wakeup, jm_dependents *dependents,
                  jm_rescue_result *result, jm_err *err)
{
    *result = (jm_rescue_result){0};
    int64_t asked_ms = jm_mono_ms();
    jm_pg_call call = {.sql = &jm_sql_janitor_lapsed, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    for (int row = 0; !rc && !result->stalled && row < PQntuples(call.res); row++) {
        int64_t lease_ms = INT64_C(1000) * jm_pg_get_i32(call.res, row, 1);
        if (!jm_pg_get_bool(call.res, row, 4) && reach_ms < lease_ms)
            continue;
        rc = rescue_worker(pg, call.res, row, asked_ms, wakeup, dependents, result, err);
        asked_ms = jm_mono_ms();
    }
    jm_pg_calls_clear(&call, 1);
    return rc;
}
