/* Jobs that wait for others which have ended. */
#include "common/dependents.h"

#include <string.h>

enum {
    DEPENDENTS_AT_ONCE = 200,
    CHUNKS_MAX = 100000 /* a bound on what cannot go on for ever anyway */
};

void jm_dependents_init(jm_dependents *dependents)
{
    jm_col_init(&dependents->parents, JM_COL_UUID);
    dependents->chunks = 0;
}

void jm_dependents_fini(jm_dependents *dependents)
{
    jm_col_fini(&dependents->parents);
}

void jm_dependents_add(jm_dependents *dependents, const jm_uuid *ended)
{
    jm_col_add_uuid(&dependents->parents, ended);
}

bool jm_dependents_any(const jm_dependents *dependents)
{
    return dependents->parents.n > 0;
}

void jm_dependents_add_rows(jm_dependents *dependents, const PGresult *res, int flag)
{
    for (int row = 0; res && row < PQntuples(res); row++) {
        if (!jm_pg_get_bool(res, row, flag))
            continue;
        jm_uuid id = jm_pg_get_uuid(res, row, 0);
        jm_dependents_add(dependents, &id);
    }
}

void jm_dependents_take_fates(jm_dependents *dependents, const PGresult *res,
                              jm_dependents_ready *ready, void *ctx)
{
    const char *told = NULL;
    for (int row = 0; row < PQntuples(res); row++) {
        const char *fate = jm_pg_get_text(res, row, 1, NULL);
        const char *queue = jm_pg_get_text(res, row, 2, NULL);
        if (!strcmp(fate, "ready") && ready && (!told || strcmp(told, queue) != 0)) {
            ready(ctx, queue);
            told = queue;
        }
    }
    jm_dependents_add_rows(dependents, res, 3);
}

int jm_dependents_settle(jm_dependents *dependents, jm_pg *pg, jm_dependents_ready *ready,
                         void *ctx, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &dependents->parents);
    jm_pg_arg_i32(&args, DEPENDENTS_AT_ONCE);
    jm_pg_call call = {.sql = &jm_sql_dependents_settle, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    bool again = rc == JM_ERR_DB_DOWN || (rc && err->retriable) ||
                 (!rc && PQntuples(call.res) == DEPENDENTS_AT_ONCE);
    if (!again || ++dependents->chunks > CHUNKS_MAX) {
        jm_col_reset(&dependents->parents);
        dependents->chunks = 0;
    }
    if (!rc)
        jm_dependents_take_fates(dependents, call.res, ready, ctx);
    PQclear(call.res);
    return rc;
}
