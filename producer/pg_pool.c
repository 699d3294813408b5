/* Connections to PostgreSQL that are borrowed for one request. */
#include "producer/pg_pool.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

enum { AWAY_MS = 500 /* how long others are told that the database is away without asking it */ };

struct slot {
    jm_pg *pg;
    int64_t made_ms;     /* when it was connected; 0: it is not */
    int64_t used_ms;     /* when it was given back */
    uint64_t generation; /* of the connection that made_ms is about */
    bool lent;
};

struct jm_pg_pool {
    jm_pg_pool_options options;
    char *conninfo, *schema, *name;
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    int waiting;
    _Atomic int64_t away_until_ms; /* 0: the database is there */
    struct slot slots[];
};

jm_pg_pool *jm_pg_pool_new(const jm_pg_pool_options *options)
{
    jm_pg_pool *pool = jm_calloc(1, sizeof *pool + (size_t)options->most * sizeof pool->slots[0]);
    pool->options = *options;
    pool->options.conninfo = pool->conninfo = jm_strdup(options->conninfo);
    pool->options.schema = pool->schema = jm_strdup(options->schema);
    pool->options.name = pool->name = jm_strdup(options->name);
    pthread_mutex_init(&pool->lock, NULL);
    jm_cond_init(&pool->given_back);
    for (int i = 0; i < options->most; i++)
        pool->slots[i].pg = jm_pg_new(&(jm_pg_options){.conninfo = pool->conninfo,
                                                       .schema = pool->schema,
                                                       .name = pool->name,
                                                       .timeout_ms = options->timeout_ms,
                                                       .backoff_max_ms = 1000,
                                                       .clock = options->clock});
    return pool;
}

void jm_pg_pool_free(jm_pg_pool *pool)
{
    if (!pool)
        return;
    for (int i = 0; i < pool->options.most; i++)
        jm_pg_free(pool->slots[i].pg);
    pthread_cond_destroy(&pool->given_back);
    pthread_mutex_destroy(&pool->lock);
    free(pool->conninfo);
    free(pool->schema);
    free(pool->name);
    free(pool);
}

/* ---- lending ---- */

/* The one that was used last, so that those beyond the ones in use grow old; else one that is not
 * connected. With the lock. */
static struct slot *find_free(jm_pg_pool *pool)
{
    struct slot *best = NULL;
    for (int i = 0; i < pool->options.most; i++) {
        struct slot *slot = &pool->slots[i];
        if (!slot->lent && (!best || slot->used_ms > best->used_ms))
            best = slot;
    }
    return best;
}

static struct slot *wait_for_slot(jm_pg_pool *pool)
{
    int64_t until_us = jm_mono_us() + pool->options.wait_ms * INT64_C(1000);
    bool in_time = true;
    pthread_mutex_lock(&pool->lock);
    struct slot *slot = find_free(pool);
    pool->waiting++;
    while (!slot && in_time) {
        in_time = jm_cond_wait_until(&pool->given_back, &pool->lock, until_us);
        slot = find_free(pool);
    }
    pool->waiting--;
    if (slot)
        slot->lent = true;
    pthread_mutex_unlock(&pool->lock);
    return slot;
}

/* Whether the server has closed it meanwhile: there is something to read though nothing was asked.
 * A notice would be taken for that as well, and costs a new connection. */
static bool is_stale(jm_pg *pg)
{
    PGconn *conn = jm_pg_conn(pg);
    struct pollfd pfd = {.fd = conn ? PQsocket(conn) : -1, .events = POLLIN};
    return conn && poll(&pfd, 1, 0) != 0;
}

static int check(jm_pg_pool *pool, struct slot *slot, jm_err *err)
{
    int64_t now = jm_mono_ms();
    bool old = pool->options.recycle_s && slot->made_ms &&
               now - slot->made_ms > (int64_t)pool->options.recycle_s * 1000;
    if (old || is_stale(slot->pg))
        jm_pg_disconnect(slot->pg);
    if (!jm_pg_is_up(slot->pg) && now < atomic_load(&pool->away_until_ms))
        return jm_err_set(err, JM_ERR_DB_DOWN, "the database is away");
    int rc = jm_pg_ensure(slot->pg, err);
    if (rc)
        atomic_store(&pool->away_until_ms, jm_mono_ms() + AWAY_MS);
    else
        atomic_store(&pool->away_until_ms, 0);
    if (!rc && slot->generation != jm_pg_generation(slot->pg)) {
        slot->generation = jm_pg_generation(slot->pg);
        slot->made_ms = jm_mono_ms();
    }
    return rc;
}

static struct slot *slot_of(jm_pg_pool *pool, const jm_pg *pg)
{
    struct slot *slot = pool->slots;
    while (slot->pg != pg)
        slot++;
    return slot;
}

int jm_pg_pool_lend(jm_pg_pool *pool, jm_pg **out, jm_err *err)
{
    *out = NULL;
    struct slot *slot = wait_for_slot(pool);
    if (!slot)
        return jm_err_set(err, JM_ERR_TIMEOUT,
                          "all %d connections to the database have been in use for %d s",
                          pool->options.most, pool->options.wait_ms / 1000);
    int rc = check(pool, slot, err);
    if (rc)
        jm_pg_pool_give_back(pool, slot->pg);
    else
        *out = slot->pg;
    return rc;
}

void jm_pg_pool_give_back(jm_pg_pool *pool, jm_pg *pg)
{
    struct slot *slot = slot_of(pool, pg);
    PGconn *conn = jm_pg_conn(pg);
    if (conn && PQtransactionStatus(conn) != PQTRANS_IDLE)
        jm_pg_disconnect(pg);
    pthread_mutex_lock(&pool->lock);
    slot->used_ms = jm_mono_ms();
    slot->lent = false;
    int open = 0;
    struct slot *oldest = NULL;
    for (int i = 0; i < pool->options.most; i++) {
        struct slot *other = &pool->slots[i];
        open += other->lent || jm_pg_is_up(other->pg);
        if (!other->lent && jm_pg_is_up(other->pg) && (!oldest || other->used_ms < oldest->used_ms))
            oldest = other;
    }
    /* One that nobody has needed for a while goes. */
    bool idle = oldest && open > pool->options.keep && slot->used_ms - oldest->used_ms > 10000;
    if (idle)
        oldest->lent = true;
    pthread_cond_signal(&pool->given_back);
    pthread_mutex_unlock(&pool->lock);
    if (!idle)
        return;
    jm_pg_disconnect(oldest->pg);
    pthread_mutex_lock(&pool->lock);
    oldest->lent = false;
    pthread_cond_signal(&pool->given_back);
    pthread_mutex_unlock(&pool->lock);
}

void jm_pg_pool_get_stats(jm_pg_pool *pool, jm_pg_pool_stats *stats)
{
    *stats = (jm_pg_pool_stats){0};
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < pool->options.most; i++) {
        stats->lent += pool->slots[i].lent;
        stats->open += pool->slots[i].lent || jm_pg_is_up(pool->slots[i].pg);
    }
    stats->waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
}

bool jm_pg_pool_is_up(const jm_pg_pool *pool)
{
    return !atomic_load(&pool->away_until_ms);
}
