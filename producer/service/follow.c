/* What has changed about jobs that somebody watches. */
#include "producer/service/follow.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/pg.h"

static int as_int(const PGresult *res, int row, int col)
{
    return (int)strtol(PQgetvalue(res, row, col), NULL, 10);
}

static void tell_states(const PGresult *res, const jm_followed_calls *calls)
{
    for (int row = 0; calls->on_state && row < PQntuples(res); row++) {
        jm_followed_state state = {.ended = *PQgetvalue(res, row, 1) == 't',
                                   .word = PQgetvalue(res, row, 2),
                                   .json = PQgetvalue(res, row, 3)};
        calls->on_state(calls->ctx, as_int(res, row, 0) - 1, &state);
    }
}

static void tell_lines(const PGresult *res, jm_followed *const *jobs, const int *places,
                       const jm_followed_calls *calls)
{
    for (int row = 0; row < PQntuples(res); row++) {
        int n = places[as_int(res, row, 0) - 1];
        jm_followed_line line = {.attempt = as_int(res, row, 1),
                                 .seq = as_int(res, row, 2),
                                 .json = PQgetvalue(res, row, 3)};
        calls->on_line(calls->ctx, n, &line);
        jobs[n]->attempt = line.attempt;
        jobs[n]->seq = line.seq;
        jobs[n]->n_new++;
    }
}

static int look_at_states(struct jm_pg *pg, jm_followed *const *jobs, int n,
                          const jm_followed_calls *calls, jm_err *err)
{
    jm_col ids;
    jm_pg_args args;
    PGresult *res = NULL;
    jm_col_init(&ids, JM_COL_UUID);
    for (int i = 0; i < n; i++)
        jm_col_add_uuid(&ids, &jobs[i]->id);
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &ids);
    int rc = jm_pg_query(pg, &jm_sql_follow_states, &args, &res, err);
    if (!rc)
        tell_states(res, calls);
    PQclear(res);
    jm_col_fini(&ids);
    return rc;
}

static int look_at_lines(struct jm_pg *pg, jm_followed *const *jobs, int n, int max_lines,
                         const jm_followed_calls *calls, jm_err *err)
{
    jm_col cols[3];
    jm_pg_args args;
    PGresult *res = NULL;
    int *places = jm_calloc((size_t)n + 1, sizeof *places), asked = 0, rc = JM_OK;
    jm_col_init(&cols[0], JM_COL_UUID);
    jm_col_init(&cols[1], JM_COL_I32);
    jm_col_init(&cols[2], JM_COL_I32);
    for (int i = 0; i < n; i++) {
        if (!jobs[i]->lines)
            continue;
        jm_col_add_uuid(&cols[0], &jobs[i]->id);
        jm_col_add_i32(&cols[1], jobs[i]->attempt);
        jm_col_add_i32(&cols[2], jobs[i]->seq);
        places[asked++] = i;
    }
    jm_pg_args_init(&args);
    for (int i = 0; i < 3; i++)
        jm_pg_arg_col(&args, &cols[i]);
    jm_pg_arg_i32(&args, max_lines);
    if (asked)
        rc = jm_pg_query(pg, &jm_sql_follow_logs, &args, &res, err);
    if (!rc && asked)
        tell_lines(res, jobs, places, calls);
    PQclear(res);
    for (int i = 0; i < 3; i++)
        jm_col_fini(&cols[i]);
    free(places);
    return rc;
}

int jm_follow_look(struct jm_pg *pg, jm_followed *const *jobs, int n, int max_lines,
                   const jm_followed_calls *calls, jm_err *err)
{
    int rc = look_at_states(pg, jobs, n, calls, err);
    return rc ? rc : look_at_lines(pg, jobs, n, max_lines, calls, err);
}
