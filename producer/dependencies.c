/* What the janitor does for jobs that wait for others. */
#include "producer/dependencies.h"

#include <stdio.h>
#include <string.h>

enum {
    LOOK_JOBS = 200,  /* jobs whose missing parents are looked for in one transaction */
    PAGE_ROWS = 5000, /* open dependencies that are read at once */
    SETTLE_JOBS = 500 /* of them, jobs that are settled in one transaction */
};

void jm_dependencies_init(jm_dependencies *dependencies, jm_wakeup *wakeup)
{
    *dependencies = (jm_dependencies){.wakeup = wakeup};
    jm_dependents_init(&dependencies->dependents);
}

void jm_dependencies_fini(jm_dependencies *dependencies)
{
    jm_dependents_fini(&dependencies->dependents);
}

static void tell_ready(void *ctx, const char *queue)
{
    const jm_dependencies *dependencies = ctx;
    char payload[80];
    if (!dependencies->wakeup)
        return;
    snprintf(payload, sizeof payload, "ready %s", queue);
    jm_wakeup_send(dependencies->wakeup, payload);
}

int jm_dependencies_settle(jm_dependencies *dependencies, jm_pg *pg, jm_err *err)
{
    int rc = JM_OK;
    while (!rc && jm_dependents_any(&dependencies->dependents))
        rc = jm_dependents_settle(&dependencies->dependents, pg, tell_ready, dependencies, err);
    return rc;
}

/* Parents that are due to be looked for, and the jobs named; then what comes of it. */
static int look(jm_dependencies *dependencies, jm_pg *pg, int limit, int wait_s, jm_col *ids,
                int *looked, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, limit);
    jm_pg_arg_i32(&args, wait_s);
    jm_pg_arg_col(&args, ids);
    jm_pg_call call = {.sql = &jm_sql_janitor_dependencies, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    *looked = rc ? 0 : PQntuples(call.res);
    if (!rc)
        jm_dependents_take_fates(&dependencies->dependents, call.res, tell_ready, dependencies);
    PQclear(call.res);
    return rc ? rc : jm_dependencies_settle(dependencies, pg, err);
}

int jm_dependencies_look(jm_dependencies *dependencies, jm_pg *pg, int wait_s, bool *more,
                         jm_err *err)
{
    jm_col none;
    int looked;
    jm_col_init(&none, JM_COL_UUID);
    int rc = look(dependencies, pg, LOOK_JOBS, wait_s, &none, &looked, err);
    *more = !rc && looked == LOOK_JOBS;
    jm_col_fini(&none);
    return rc;
}

/* Reads the next page; ids: jobs with a dependency that is over, as many as are settled at once. */
static int read_page(jm_dependencies *dependencies, jm_pg *pg, jm_col *ids, bool *more, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &dependencies->at_job);
    jm_pg_arg_i32(&args, dependencies->at_n);
    jm_pg_arg_i32(&args, PAGE_ROWS);
    jm_pg_call call = {.sql = &jm_sql_janitor_dependencies_page, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    int n = rc ? 0 : PQntuples(call.res), row = 0;
    jm_uuid last = {{0}};
    for (; row < n && ids->n < SETTLE_JOBS; row++) {
        jm_uuid job = jm_pg_get_uuid(call.res, row, 0);
        dependencies->at_job = job;
        dependencies->at_n = jm_pg_get_i32(call.res, row, 1);
        if (!jm_pg_get_bool(call.res, row, 2) || (ids->n && !jm_uuid_cmp(&job, &last)))
            continue;
        jm_col_add_uuid(ids, &job);
        last = job;
    }
    *more = !rc && (n == PAGE_ROWS || row < n);
    PQclear(call.res);
    return rc;
}

int jm_dependencies_walk(jm_dependencies *dependencies, jm_pg *pg, int wait_s, bool *more,
                         jm_err *err)
{
    jm_col ids;
    int looked;
    jm_col_init(&ids, JM_COL_UUID);
    int rc = read_page(dependencies, pg, &ids, more, err);
    if (!rc && ids.n)
        rc = look(dependencies, pg, 0, wait_s, &ids, &looked, err);
    jm_col_fini(&ids);
    *more = *more && !rc;
    if (!*more) {
        dependencies->at_job = (jm_uuid){{0}};
        dependencies->at_n = 0;
    }
    return rc;
}
