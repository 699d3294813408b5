/* Who may ask: keys in memory, looked at again once a second while they are used. */
#include "producer/http/auth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "producer/http/key_cache.h"
#include "producer/pg_pool.h"
#include "producer/service/key_access.h"

enum {
    FRESH_MS = 1000,  /* for so long a key holds without another look: what revocation takes */
    LOOK_MS = 400,    /* between two looks at all keys in use */
    ACTIVE_MS = 5000, /* for so long after its last use a key is looked at */
    NOTE_MS = 60000,  /* between two notes of a key's use */
    REST_MS = 60000,  /* while nobody asks anything */
    STOP_MS = 1000,   /* for the last note */
    MAX_KEYS = 10000
};

struct jm_auth {
    jm_auth_options options;
    char *conninfo, *schema;
    pthread_mutex_t lock; /* of all that follows but pg */
    pthread_cond_t wake;
    jm_key_cache *cache;
    bool stop;
    bool away; /* the database was, when last asked: keys that were seen hold, others are not known
                */
    bool threaded;
    pthread_t thread;
    jm_pg *pg; /* of the thread */
};

static int64_t now_db_us(const jm_auth *auth)
{
    return auth->options.db_clock ? jm_db_clock_us(auth->options.db_clock) : jm_utc_us();
}

static int no_such_key(jm_err *err)
{
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no such key, or it holds no longer");
}

/* ---- a request; all with the lock ---- */

static jm_scope scope_of(const char *word)
{
    return !strcmp(word, "admin")    ? JM_SCOPE_ADMIN
           : !strcmp(word, "submit") ? JM_SCOPE_SUBMIT
                                     : JM_SCOPE_READ;
}

static void describe(const jm_key_entry *entry, jm_identity *who)
{
    const jm_key_row *row = &entry->row;
    *who = (jm_identity){.scope = scope_of(row->scope), .is_session = row->is_session};
    snprintf(who->actor, sizeof who->actor, "%s:%s", row->is_session ? "session" : "key",
             row->name);
    snprintf(who->project, sizeof who->project, "%s", row->project);
    if (!entry->in_file)
        jm_uuid_format(&row->id, who->key_id);
}

static int admit(jm_auth *auth, jm_key_entry *entry, jm_identity *who, int *retry_after_s,
                 jm_err *err)
{
    int64_t db_us = now_db_us(auth);
    if (entry->row.expires_us && db_us >= entry->row.expires_us) {
        jm_uuid id = entry->row.id;
        jm_key_cache_drop(auth->cache, &id);
        return no_such_key(err);
    }
    entry->used_ms = jm_mono_ms();
    entry->used_us = db_us;
    int wait_s = jm_key_bucket_take(entry->bucket, auth->options.rate_per_s, auth->options.burst,
                                    jm_mono_us());
    if (wait_s) {
        if (retry_after_s)
            *retry_after_s = wait_s;
        return jm_err_set(err, JM_ERR_TIMEOUT, "this key may make %d requests a second",
                          auth->options.rate_per_s);
    }
    describe(entry, who);
    return JM_OK;
}

enum verdict { HOLDS, UNKNOWN_KEY, AWAY, ASK };

static enum verdict judge(jm_auth *auth, const jm_key *key, jm_key_entry **entry)
{
    int64_t now = jm_mono_ms();
    *entry = jm_key_cache_find(auth->cache, key->hash);
    if (*entry && ((*entry)->in_file || auth->away || now - (*entry)->checked_ms < FRESH_MS))
        return HOLDS;
    if (!auth->options.pool || (!*entry && jm_key_cache_is_unknown(auth->cache, key->hash, now)))
        return UNKNOWN_KEY;
    return auth->away ? AWAY : ASK;
}

/* ---- the database, on the thread of the request ---- */

static int ask(jm_auth *auth, const jm_key *key, jm_key_row *row, jm_err *err)
{
    jm_pg *pg;
    int rc = jm_pg_pool_lend(auth->options.pool, &pg, err);
    if (rc)
        return rc;
    rc = jm_key_access_find(pg, key, row, err);
    jm_pg_pool_give_back(auth->options.pool, pg);
    return rc;
}

/* What the answer is for the cache; asked_ms: it is true for that moment. */
static int take_answer(jm_auth *auth, int rc, const jm_key *key, const jm_key_row *row,
                       int64_t asked_ms, jm_key_entry **entry, jm_err *err)
{
    *entry = jm_key_cache_find(auth->cache, key->hash);
    if (!rc) {
        *entry = jm_key_cache_put(auth->cache, row, false, asked_ms);
        pthread_cond_signal(&auth->wake);
        return JM_OK;
    }
    if (rc == JM_ERR_NOT_FOUND) {
        if (*entry) {
            jm_uuid id = (*entry)->row.id;
            jm_key_cache_drop(auth->cache, &id);
        }
        jm_key_cache_note_unknown(auth->cache, key->hash, asked_ms);
        return no_such_key(err);
    }
    if (rc == JM_ERR_DB_DOWN) {
        auth->away = true;
        pthread_cond_signal(&auth->wake);
    }
    return *entry ? JM_OK
                  : jm_err_set(err, JM_ERR_DB_DOWN,
                               "keys cannot be looked up: the "
                               "database is away");
}

int jm_auth_check(jm_auth *auth, const char *text, size_t len, jm_identity *who, int *retry_after_s,
                  jm_err *err)
{
    jm_key key;
    jm_key_row row;
    jm_key_entry *entry;
    if (auth->options.off) {
        *who = (jm_identity){.actor = "anonymous", .scope = JM_SCOPE_ADMIN};
        return JM_OK;
    }
    if (!jm_key_read(&key, text, len))
        return no_such_key(err);
    pthread_mutex_lock(&auth->lock);
    enum verdict verdict = judge(auth, &key, &entry);
    int rc = JM_OK;
    if (verdict == ASK) {
        int64_t asked_ms = jm_mono_ms();
        pthread_mutex_unlock(&auth->lock);
        rc = ask(auth, &key, &row, err);
        pthread_mutex_lock(&auth->lock);
        rc = take_answer(auth, rc, &key, &row, asked_ms, &entry, err);
    } else if (verdict == UNKNOWN_KEY) {
        rc = no_such_key(err);
    } else if (verdict == AWAY) {
        rc = jm_err_set(err, JM_ERR_DB_DOWN, "keys cannot be looked up: the database is away");
    }
    if (!rc)
        rc = admit(auth, entry, who, retry_after_s, err);
    pthread_mutex_unlock(&auth->lock);
    return rc;
}

void jm_auth_forget(jm_auth *auth, const char *key_id)
{
    jm_uuid id;
    if (!jm_uuid_parse(key_id, strlen(key_id), &id))
        return;
    pthread_mutex_lock(&auth->lock);
    jm_key_cache_drop(auth->cache, &id);
    pthread_mutex_unlock(&auth->lock);
}

jm_key_hold *jm_auth_hold(jm_auth *auth, const char *key_id)
{
    jm_uuid id;
    if (!jm_uuid_parse(key_id, strlen(key_id), &id))
        return NULL;
    pthread_mutex_lock(&auth->lock);
    jm_key_hold *hold = jm_key_cache_hold(auth->cache, &id);
    pthread_cond_signal(&auth->wake);
    pthread_mutex_unlock(&auth->lock);
    return hold;
}

/* ---- the thread: looking again, and noting what was used ---- */

typedef struct round_of {
    jm_auth *auth;
    int64_t since_ms;
    bool last;
    jm_uuid *ids, *used;
    int64_t *used_us;
    int n, n_used;
} round_of;

static void gather(void *ctx, jm_key_entry *entry)
{
    round_of *r = ctx;
    bool active = r->since_ms - entry->used_ms < ACTIVE_MS || jm_key_entry_is_held(entry);
    if (entry->in_file)
        return;
    entry->asked = active && !r->last;
    if (entry->asked)
        r->ids[r->n++] = entry->row.id;
    bool due = !entry->noted_ms || r->since_ms - entry->noted_ms >= NOTE_MS || r->last;
    if (!entry->used_us || !due)
        return;
    r->used[r->n_used] = entry->row.id;
    r->used_us[r->n_used++] = entry->used_us;
}

static void note_answer(void *ctx, const jm_key_row *row)
{
    round_of *r = ctx;
    pthread_mutex_lock(&r->auth->lock);
    jm_key_entry *entry = jm_key_cache_find(r->auth->cache, row->hash);
    if (entry) { /* it may have been revoked here meanwhile */
        entry->row = *row;
        entry->checked_ms = r->since_ms;
    }
    pthread_mutex_unlock(&r->auth->lock);
}

static void note_used(void *ctx, jm_key_entry *entry)
{
    round_of *r = ctx;
    bool due = !entry->noted_ms || r->since_ms - entry->noted_ms >= NOTE_MS;
    if (entry->in_file || !entry->used_us || !due)
        return;
    entry->noted_ms = r->since_ms;
    entry->used_us = 0;
}

static int ask_all(round_of *r, jm_err *err)
{
    jm_pg *pg = r->auth->pg;
    int rc = jm_pg_ensure(pg, err);
    if (!rc && !r->last) /* of none at all too: it tells whether the database is there */
        rc = jm_key_access_still(pg, r->ids, r->n, note_answer, r, err);
    if (!rc && r->n_used)
        rc = jm_key_access_used(pg, r->used, r->used_us, r->n_used, err);
    return rc;
}

/* With the lock, which is given up while the database is asked. */
static void look(jm_auth *auth, bool last)
{
    jm_key_cache_drop_expired(auth->cache, now_db_us(auth)); /* also while the database is away */
    int size = jm_key_cache_size(auth->cache);
    jm_err err = {0};
    round_of r = {.auth = auth,
                  .since_ms = jm_mono_ms(),
                  .last = last,
                  .ids = jm_calloc((size_t)size + 1, sizeof(jm_uuid)),
                  .used = jm_calloc((size_t)size + 1, sizeof(jm_uuid)),
                  .used_us = jm_calloc((size_t)size + 1, sizeof(int64_t))};
    jm_key_cache_each(auth->cache, gather, &r);
    if (r.n || r.n_used || (auth->away && !last)) {
        pthread_mutex_unlock(&auth->lock);
        int rc = ask_all(&r, &err);
        if (rc && rc != JM_ERR_DB_DOWN)
            jm_log_kv(JM_ERROR, "http", "keys cannot be looked at again", "why", err.msg, NULL);
        pthread_mutex_lock(&auth->lock);
        auth->away = rc != JM_OK;
        if (!rc && !last)
            jm_key_cache_drop_lost(auth->cache, r.since_ms);
        if (!rc)
            jm_key_cache_each(auth->cache, note_used, &r);
    }
    free(r.ids);
    free(r.used);
    free(r.used_us);
}

static void find_active(void *ctx, jm_key_entry *entry)
{
    bool *active = ctx;
    *active |= !entry->in_file &&
               (jm_mono_ms() - entry->used_ms < ACTIVE_MS || jm_key_entry_is_held(entry));
}

static void *run(void *ctx)
{
    jm_auth *auth = ctx;
    pthread_mutex_lock(&auth->lock);
    while (!auth->stop) {
        bool active = auth->away;
        jm_key_cache_each(auth->cache, find_active, &active);
        int64_t until_us = jm_mono_us() + (active ? LOOK_MS : REST_MS) * INT64_C(1000);
        while (!auth->stop && jm_cond_wait_until(&auth->wake, &auth->lock, until_us) && active)
            ; /* else somebody has come */
        if (!auth->stop)
            look(auth, false);
    }
    if (!auth->away)
        look(auth, true);
    pthread_mutex_unlock(&auth->lock);
    return NULL;
}

/* ---- the whole ---- */

static void add_line(jm_auth *auth, const jm_key_line *line)
{
    jm_key_row row = {0};
    memcpy(row.hash, line->hash, JM_KEY_HASH);
    memcpy(row.name, line->name, sizeof row.name);
    memcpy(row.scope, line->scope, sizeof row.scope);
    memcpy(row.project, line->project, sizeof row.project);
    jm_key_cache_put(auth->cache, &row, true, jm_mono_ms());
}

static int read_file(jm_auth *auth, const char *path, jm_err *err)
{
    char text[512];
    jm_key_line line;
    bool is_key = false;
    int rc = JM_OK;
    FILE *file = fopen(path, "re");
    if (!file)
        return jm_err_errno(err, JM_ERR_IO, "http.keys_file: %s", path);
    for (int n = 1; !rc && fgets(text, sizeof text, file); n++) {
        if (!strchr(text, '\n') && !feof(file))
            rc = jm_err_set(err, JM_ERR_INVALID, "the line is too long");
        else
            rc = jm_key_line_parse(text, &line, &is_key, err);
        if (!rc && is_key)
            add_line(auth, &line);
        if (rc)
            jm_err_prefix(err, "http.keys_file: %s:%d", path, n);
    }
    fclose(file);
    return rc;
}

static void start_thread(jm_auth *auth)
{
    auth->pg = jm_pg_new(&(jm_pg_options){.conninfo = auth->conninfo,
                                          .schema = auth->schema,
                                          .name = "jobmill-producer keys",
                                          .backoff_max_ms = 1000,
                                          .timeout_ms = 10000});
    if (pthread_create(&auth->thread, NULL, run, auth))
        abort(); /* out of threads before the program has begun to work */
    auth->threaded = true;
}

int jm_auth_new(const jm_auth_options *options, jm_auth **out, jm_err *err)
{
    jm_auth *auth = jm_calloc(1, sizeof *auth);
    auth->options = *options;
    auth->conninfo = jm_strdup(options->conninfo);
    auth->schema = jm_strdup(options->schema);
    auth->cache = jm_key_cache_new(MAX_KEYS);
    pthread_mutex_init(&auth->lock, NULL);
    jm_cond_init(&auth->wake);
    int rc = options->keys_file ? read_file(auth, options->keys_file, err) : JM_OK;
    if (rc) {
        jm_auth_free(auth);
        return rc;
    }
    if (options->pool && !options->off)
        start_thread(auth);
    *out = auth;
    return JM_OK;
}

void jm_auth_free(jm_auth *auth)
{
    if (!auth)
        return;
    if (auth->threaded) {
        jm_pg_give_up_at(auth->pg, jm_mono_ms() + STOP_MS);
        pthread_mutex_lock(&auth->lock);
        auth->stop = true;
        pthread_cond_signal(&auth->wake);
        pthread_mutex_unlock(&auth->lock);
        pthread_join(auth->thread, NULL);
    }
    jm_pg_free(auth->pg);
    jm_key_cache_free(auth->cache);
    pthread_cond_destroy(&auth->wake);
    pthread_mutex_destroy(&auth->lock);
    free(auth->conninfo);
    free(auth->schema);
    free(auth);
}
