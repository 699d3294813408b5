/* Kept answers: rows of request_replays. */
#include "producer/service/replays.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/pg.h"

/* A request that ended without a word (its producer was killed) holds its key for so long. */
enum { BUSY_S = 300 };

static void bind(jm_pg_args *args, const jm_replay *replay)
{
    jm_pg_args_init(args);
    jm_pg_arg_text(args, replay->actor);
    jm_pg_arg_text(args, replay->project ? replay->project : "");
    jm_pg_arg_text(args, replay->key);
}

static char *column(const PGresult *res, int n)
{
    return PQgetisnull(res, 0, n) ? NULL : jm_strdup(PQgetvalue(res, 0, n));
}

static jm_replay_state read_state(const PGresult *res, jm_replay *replay)
{
    if (*PQgetvalue(res, 0, 0) == 't')
        return JM_REPLAY_CLAIMED;
    if (*PQgetvalue(res, 0, 1) != 't')
        return JM_REPLAY_OTHER;
    if (PQgetisnull(res, 0, 3))
        return *PQgetvalue(res, 0, 2) == 't' ? JM_REPLAY_BUSY : JM_REPLAY_UNANSWERED;
    replay->status = (int)strtol(PQgetvalue(res, 0, 3), NULL, 10);
    replay->location = column(res, 4);
    replay->etag = column(res, 5);
    jm_buf_add(&replay->body, PQgetvalue(res, 0, 6), (size_t)PQgetlength(res, 0, 6));
    return JM_REPLAY_ANSWERED;
}

int jm_replay_claim(jm_pg *pg, jm_replay *replay, jm_replay_state *state, jm_err *err)
{
    char digest[JM_PG_DIGEST_TEXT];
    jm_pg_args args;
    PGresult *res = NULL;
    bind(&args, replay);
    jm_pg_arg_text(&args, jm_pg_digest_text(replay->fingerprint, digest));
    jm_pg_arg_text(&args, replay->request_id);
    jm_pg_arg_i32(&args, BUSY_S);
    int rc = jm_pg_query(pg, &jm_sql_replay_claim, &args, &res, err);
    if (!rc)
        *state = read_state(res, replay);
    PQclear(res);
    return rc;
}

int jm_replay_end(jm_pg *pg, const jm_replay *replay, jm_err *err)
{
    jm_pg_args args;
    bind(&args, replay);
    jm_pg_arg_text(&args, replay->request_id);
    if (replay->status >= 400 && replay->status < 500)
        return jm_pg_query(pg, &jm_sql_replay_drop, &args, NULL, err);
    if (replay->status < 200 || replay->status > 299)
        return jm_pg_query(pg, &jm_sql_replay_release, &args, NULL, err);
    jm_pg_arg_i32(&args, replay->status);
    jm_pg_arg_text(&args, replay->location);
    jm_pg_arg_text(&args, replay->etag);
    jm_pg_arg_text(&args, replay->body.len ? jm_buf_str(&replay->body) : NULL);
    return jm_pg_query(pg, &jm_sql_replay_answer, &args, NULL, err);
}

void jm_replay_fini(jm_replay *replay)
{
    free(replay->location);
    free(replay->etag);
    jm_buf_fini(&replay->body);
}
