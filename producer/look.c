/* The look: the one query a second of a producer. */
#include "producer/look.h"

#include <unistd.h>

/* Columns of producer_look.sql; those of the chores follow in their order. */
enum { L_CLOCK, L_NEXT, L_UNPUBLISHED, L_CHORES };

static void read_row(const PGresult *res, jm_look *out)
{
    out->clock_us = jm_pg_get_ts(res, 0, L_CLOCK);
    out->next_us = PQgetisnull(res, 0, L_NEXT) ? INT64_MAX : jm_pg_get_ts(res, 0, L_NEXT);
    out->unpublished = jm_pg_get_bool(res, 0, L_UNPUBLISHED);
    for (int i = 0; i < JM_LOOK_CHORES; i++)
        out->found[i] = jm_pg_get_bool(res, 0, L_CHORES + i);
}

int jm_look_run(jm_pg *pg, const jm_look_self *self, const char *state, int sweep_after_s,
                jm_look *out, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, sweep_after_s);
    jm_pg_arg_bool(&args, state != NULL);
    jm_pg_arg_uuid(&args, self->id);
    jm_pg_arg_text(&args, self->host);
    jm_pg_arg_i32(&args, (int)getpid());
    jm_pg_arg_text(&args, JM_VERSION);
    jm_pg_arg_i32(&args, self->lease_s);
    jm_pg_arg_text(&args, state ? state : "");
    jm_pg_call call = {.sql = &jm_sql_producer_look, .args = &args, .binary = true};
    out->asked_us = jm_mono_us();
    int rc = jm_pg_run(pg, &call, 1, err);
    out->got_us = jm_mono_us();
    if (!rc)
        read_row(call.res, out);
    jm_pg_calls_clear(&call, 1);
    return rc;
}
