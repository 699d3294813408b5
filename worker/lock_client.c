/* Locks for steps that run on threads of the worker. */
#include "worker/lock_client.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/locks.h"
#include "common/mem.h"
#include "common/pg.h"

enum { LOOK_MS = 100 /* between two looks at a lock that is taken */, TTL_MAX_S = 366 * 86400 };

struct jm_lock_client {
    _Atomic int refs;
    pthread_mutex_t lock; /* of the connection: for one statement at a time */
    jm_pg *pg;
};

jm_lock_client *jm_lock_client_new(const char *conninfo, const char *schema)
{
    jm_lock_client *client = jm_calloc(1, sizeof *client);
    atomic_init(&client->refs, 1);
    pthread_mutex_init(&client->lock, NULL);
    client->pg = jm_pg_new(
        &(jm_pg_options){.conninfo = conninfo, .schema = schema, .name = "jobmill-worker locks"});
    return client;
}

jm_lock_client *jm_lock_client_ref(jm_lock_client *client)
{
    if (client)
        atomic_fetch_add(&client->refs, 1);
    return client;
}

void jm_lock_client_unref(jm_lock_client *client)
{
    if (!client || atomic_fetch_sub(&client->refs, 1) > 1)
        return;
    jm_pg_free(client->pg);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

static int check_ttl(double ttl_s, jm_err *err)
{
    if (ttl_s >= 0.001 && ttl_s <= TTL_MAX_S)
        return JM_OK;
    return jm_err_field(err, "ttl_s", "ttl_s must be 0.001 to %d seconds", TTL_MAX_S);
}

static int try_once(jm_lock_client *client, const jm_lock_want *want, int64_t *token, jm_err *err)
{
    json_t *lock = NULL;
    pthread_mutex_lock(&client->lock);
    int rc = jm_pg_ensure(client->pg, err);
    if (!rc)
        rc = jm_locks_acquire(client->pg, want->project, want->name, want->owner, want->ttl_s, 0,
                              &lock, err);
    pthread_mutex_unlock(&client->lock);
    if (!rc)
        *token = json_integer_value(json_object_get(lock, "token"));
    json_decref(lock);
    return rc;
}

int jm_lock_client_acquire(jm_lock_client *client, const jm_lock_want *want, int64_t *token,
                           jm_err *err)
{
    /* Whatever a plugin gives: what is no number does not wait. */
    double wait_s = want->wait_s > 0 ? want->wait_s : 0;
    int64_t until_ms = jm_mono_ms() + (int64_t)((wait_s < TTL_MAX_S ? wait_s : TTL_MAX_S) * 1000);
    *token = 0;
    int rc = check_ttl(want->ttl_s, err);
    if (rc)
        return rc;
    for (;;) {
        rc = try_once(client, want, token, err);
        bool again = rc == JM_ERR_CONFLICT || rc == JM_ERR_DB_DOWN || (rc && err->retriable);
        if (!again || jm_mono_ms() + LOOK_MS > until_ms || want->stop(want->ctx))
            return rc == JM_ERR_CONFLICT ? JM_OK : rc;
        poll(NULL, 0, LOOK_MS);
    }
}

int jm_lock_client_extend(jm_lock_client *client, const char *project, const char *name,
                          int64_t token, double ttl_s, jm_err *err)
{
    json_t *lock = NULL;
    int rc = check_ttl(ttl_s, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&client->lock);
    rc = jm_pg_ensure(client->pg, err);
    rc = rc ? rc : jm_locks_extend(client->pg, project, name, token, ttl_s, &lock, err);
    pthread_mutex_unlock(&client->lock);
    json_decref(lock);
    return rc;
}

int jm_lock_client_release(jm_lock_client *client, const char *project, const char *name,
                           int64_t token, jm_err *err)
{
    pthread_mutex_lock(&client->lock);
    int rc = jm_pg_ensure(client->pg, err);
    rc = rc ? rc : jm_locks_release(client->pg, project, name, token, err);
    pthread_mutex_unlock(&client->lock);
    return rc;
}
