/* Keys in memory: those that hold, when they were last looked at and used, and what is left of
 * their rates. */
#include "producer/http/key_cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { CHAINS = 1024, UNKNOWN = 1024, UNKNOWN_MS = 1000 };

struct jm_key_cache {
    int n, max;
    jm_key_entry *chains[CHAINS];
    jm_key_bucket *buckets;
    struct {
        uint8_t hash[JM_KEY_HASH];
        int64_t until_ms;
    } unknown[UNKNOWN];
};

/* A hash of random bytes needs no hashing. */
static unsigned place_of(const uint8_t hash[JM_KEY_HASH])
{
    return (unsigned)hash[0] << 8 | hash[1];
}

jm_key_cache *jm_key_cache_new(int max)
{
    jm_key_cache *cache = jm_calloc(1, sizeof *cache);
    cache->max = max;
    return cache;
}

/* ---- buckets ---- */

static jm_key_bucket *share_bucket(jm_key_cache *cache, const jm_key_row *row)
{
    const jm_uuid *root = row->is_session ? &row->parent_id : &row->id;
    static const jm_uuid none;
    jm_key_bucket *bucket = cache->buckets;
    bool of_file = !jm_uuid_cmp(root, &none); /* such keys have no id, and each its own */
    while (bucket && (of_file || jm_uuid_cmp(&bucket->root, root) != 0))
        bucket = bucket->next;
    if (!bucket) {
        bucket = jm_calloc(1, sizeof *bucket);
        bucket->root = *root;
        bucket->next = cache->buckets;
        cache->buckets = bucket;
    }
    bucket->users++;
    return bucket;
}

static void leave_bucket(jm_key_cache *cache, jm_key_bucket *bucket)
{
    if (--bucket->users)
        return;
    jm_key_bucket **at = &cache->buckets;
    while (*at != bucket)
        at = &(*at)->next;
    *at = bucket->next;
    free(bucket);
}

int jm_key_bucket_take(jm_key_bucket *bucket, int rate_per_s, int burst, int64_t now_us)
{
    if (!rate_per_s)
        return 0;
    if (burst < 1)
        burst = rate_per_s;
    if (!bucket->at_us)
        bucket->tokens = burst;
    else
        bucket->tokens += (double)(now_us - bucket->at_us) / 1e6 * rate_per_s;
    if (bucket->tokens > burst)
        bucket->tokens = burst;
    bucket->at_us = now_us;
    if (bucket->tokens < 1)
        return (int)ceil((1 - bucket->tokens) / rate_per_s);
    bucket->tokens -= 1;
    return 0;
}

/* ---- holds ---- */

static jm_key_hold *new_hold(int users)
{
    jm_key_hold *hold = jm_calloc(1, sizeof *hold);
    atomic_init(&hold->users, users);
    atomic_init(&hold->ended, false);
    return hold;
}

jm_key_hold *jm_key_cache_hold(jm_key_cache *cache, const jm_uuid *id)
{
    for (int i = 0; i < CHAINS; i++) {
        for (jm_key_entry *entry = cache->chains[i]; entry; entry = entry->next) {
            if (entry->in_file || jm_uuid_cmp(&entry->row.id, id) != 0)
                continue;
            if (!entry->hold)
                entry->hold = new_hold(1);
            atomic_fetch_add(&entry->hold->users, 1);
            return entry->hold;
        }
    }
    jm_key_hold *hold = new_hold(1);
    atomic_store(&hold->ended, true);
    return hold;
}

bool jm_key_entry_is_held(const jm_key_entry *entry)
{
    return entry->hold && atomic_load(&entry->hold->users) > 1;
}

bool jm_key_hold_has_ended(const jm_key_hold *hold)
{
    return hold && atomic_load(&hold->ended);
}

void jm_key_hold_free(jm_key_hold *hold)
{
    if (hold && atomic_fetch_sub(&hold->users, 1) == 1)
        free(hold);
}

/* ---- entries ---- */

static void drop_at(jm_key_cache *cache, jm_key_entry **at)
{
    jm_key_entry *entry = *at;
    *at = entry->next;
    if (entry->hold)
        atomic_store(&entry->hold->ended, true);
    jm_key_hold_free(entry->hold);
    leave_bucket(cache, entry->bucket);
    free(entry);
    cache->n--;
}

void jm_key_cache_free(jm_key_cache *cache)
{
    if (!cache)
        return;
    for (int i = 0; i < CHAINS; i++)
        while (cache->chains[i])
            drop_at(cache, &cache->chains[i]);
    free(cache);
}

jm_key_entry *jm_key_cache_find(jm_key_cache *cache, const uint8_t hash[JM_KEY_HASH])
{
    jm_key_entry *entry = cache->chains[place_of(hash) % CHAINS];
    while (entry && !jm_key_hash_equal(entry->row.hash, hash))
        entry = entry->next;
    return entry;
}

/* The one that was not used for longest makes room. Those of files stay, and those of streams. */
static void make_room(jm_key_cache *cache)
{
    jm_key_entry **oldest = NULL;
    for (int i = 0; i < CHAINS; i++)
        for (jm_key_entry **at = &cache->chains[i]; *at; at = &(*at)->next)
            if (!(*at)->in_file && !jm_key_entry_is_held(*at) &&
                (!oldest || (*at)->used_ms < (*oldest)->used_ms))
                oldest = at;
    if (oldest)
        drop_at(cache, oldest);
}

jm_key_entry *jm_key_cache_put(jm_key_cache *cache, const jm_key_row *row, bool in_file,
                               int64_t now_ms)
{
    jm_key_entry *entry = jm_key_cache_find(cache, row->hash);
    if (!entry) {
        if (cache->n >= cache->max)
            make_room(cache);
        jm_key_entry **chain = &cache->chains[place_of(row->hash) % CHAINS];
        entry = jm_calloc(1, sizeof *entry);
        entry->bucket = share_bucket(cache, row);
        entry->used_ms = now_ms;
        entry->next = *chain;
        *chain = entry;
        cache->n++;
    }
    entry->row = *row;
    entry->in_file = in_file;
    entry->checked_ms = now_ms;
    return entry;
}

void jm_key_cache_drop(jm_key_cache *cache, const jm_uuid *id)
{
    for (int i = 0; i < CHAINS; i++) {
        for (jm_key_entry **at = &cache->chains[i]; *at;) {
            const jm_key_row *row = &(*at)->row;
            if (!(*at)->in_file && (!jm_uuid_cmp(&row->id, id) ||
                                    (row->is_session && !jm_uuid_cmp(&row->parent_id, id))))
                drop_at(cache, at);
            else
                at = &(*at)->next;
        }
    }
}

void jm_key_cache_drop_expired(jm_key_cache *cache, int64_t now_us)
{
    for (int i = 0; i < CHAINS; i++) {
        for (jm_key_entry **at = &cache->chains[i]; *at;) {
            if ((*at)->row.expires_us && now_us >= (*at)->row.expires_us)
                drop_at(cache, at);
            else
                at = &(*at)->next;
        }
    }
}

void jm_key_cache_drop_lost(jm_key_cache *cache, int64_t since_ms)
{
    for (int i = 0; i < CHAINS; i++) {
        for (jm_key_entry **at = &cache->chains[i]; *at;) {
            if ((*at)->asked && (*at)->checked_ms < since_ms)
                drop_at(cache, at);
            else
                at = &(*at)->next;
        }
    }
}

int jm_key_cache_size(const jm_key_cache *cache)
{
    return cache->n;
}

void jm_key_cache_each(jm_key_cache *cache, jm_key_cache_each_function *fn, void *ctx)
{
    for (int i = 0; i < CHAINS; i++)
        for (jm_key_entry *entry = cache->chains[i]; entry; entry = entry->next)
            fn(ctx, entry);
}

/* ---- those that do not hold ---- */

bool jm_key_cache_is_unknown(const jm_key_cache *cache, const uint8_t hash[JM_KEY_HASH],
                             int64_t now_ms)
{
    unsigned place = place_of(hash) % UNKNOWN;
    return now_ms < cache->unknown[place].until_ms &&
           jm_key_hash_equal(cache->unknown[place].hash, hash);
}

void jm_key_cache_note_unknown(jm_key_cache *cache, const uint8_t hash[JM_KEY_HASH], int64_t now_ms)
{
    unsigned place = place_of(hash) % UNKNOWN;
    memcpy(cache->unknown[place].hash, hash, JM_KEY_HASH);
    cache->unknown[place].until_ms = now_ms + UNKNOWN_MS;
}
