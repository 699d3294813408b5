/* Keys in memory: those that hold, when they were last looked at and used, and how much of its rate
 * each has left. Not locked: auth.c does that. */
#ifndef JM_HTTP_KEY_CACHE_H
#define JM_HTTP_KEY_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "producer/service/key_access.h"

typedef struct jm_key_cache jm_key_cache;

/* What requests of one key, with all of its sessions, may still do. */
typedef struct jm_key_bucket {
    jm_uuid root; /* the key, or the parent of a session */
    double tokens;
    int64_t at_us; /* when tokens was true (monotonic) */
    int users;     /* entries that share it */
    struct jm_key_bucket *next;
} jm_key_bucket;

/* What a stream has of the key that it was opened with: whether that still holds. Of the cache and
 * of each stream; who is last frees it. */
typedef struct jm_key_hold {
    atomic_int users;
    atomic_bool ended;
} jm_key_hold;

typedef struct jm_key_entry {
    jm_key_row row;
    jm_key_hold *hold;  /* NULL: no stream has had one */
    bool asked;         /* the database is being asked about it */
    bool in_file;       /* of a file: it has no id and is never looked at again */
    int64_t checked_ms; /* when it was last known to hold (monotonic) */
    int64_t used_ms;    /* when it was last used (monotonic) */
    int64_t used_us;    /* the same by PostgreSQL's clock; 0: since it was noted not at all */
    int64_t noted_ms;   /* when its use was last noted in the database (monotonic); 0: never */
    jm_key_bucket *bucket;
    struct jm_key_entry *next;
} jm_key_entry;

/* max: entries; beyond them the one goes that was not used for longest. */
jm_key_cache *jm_key_cache_new(int max);
void jm_key_cache_free(jm_key_cache *cache);

jm_key_entry *jm_key_cache_find(jm_key_cache *cache, const uint8_t hash[JM_KEY_HASH]); /* or NULL */
/* The entry of that key, made or given the row anew. Pointers stay good until the next call that
 * puts or drops. */
jm_key_entry *jm_key_cache_put(jm_key_cache *cache, const jm_key_row *row, bool in_file,
                               int64_t now_ms);
void jm_key_cache_drop(jm_key_cache *cache, const jm_uuid *id); /* with its sessions */
/* Those that have expired by then. */
void jm_key_cache_drop_expired(jm_key_cache *cache, int64_t now_us);
/* Those that were asked about and not found again since then. */
void jm_key_cache_drop_lost(jm_key_cache *cache, int64_t since_ms);
int jm_key_cache_size(const jm_key_cache *cache);
/* Calls fn for every entry. */
typedef void jm_key_cache_each_function(void *ctx, jm_key_entry *entry);
void jm_key_cache_each(jm_key_cache *cache, jm_key_cache_each_function *fn, void *ctx);

/* For a stream. One of a key that is not there (any more) has ended. */
jm_key_hold *jm_key_cache_hold(jm_key_cache *cache, const jm_uuid *id);
bool jm_key_entry_is_held(const jm_key_entry *entry); /* by a stream */
/* Any thread. NULL never ends. */
bool jm_key_hold_has_ended(const jm_key_hold *hold);
void jm_key_hold_free(jm_key_hold *hold);

/* One request more. 0: it may go; else after how many seconds the next may. */
int jm_key_bucket_take(jm_key_bucket *bucket, int rate_per_s, int burst, int64_t now_us);

/* Keys that were just found not to hold, so that one who tries again and again asks the database
 * once a second. Bounded: of those that fall on one place the last is known. */
bool jm_key_cache_is_unknown(const jm_key_cache *cache, const uint8_t hash[JM_KEY_HASH],
                             int64_t now_ms);
void jm_key_cache_note_unknown(jm_key_cache *cache, const uint8_t hash[JM_KEY_HASH],
                               int64_t now_ms);

#endif
