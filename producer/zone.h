/* Time zones: the system's TZif files, read without the process-wide TZ machinery of libc. */
#ifndef JM_ZONE_H
#define JM_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define JM_ZONE_NAME_MAX 100

typedef struct jm_zone jm_zone;             /* any thread may read it, except during a refresh */
typedef struct jm_zone_cache jm_zone_cache; /* used by one thread at a time */

/* dir NULL: $TZDIR, or /usr/share/zoneinfo. Loads nothing yet. */
jm_zone_cache *jm_zone_cache_new(const char *dir);
/* Frees the zones too: whatever borrowed them must be gone. free(NULL) is safe. */
void jm_zone_cache_free(jm_zone_cache *cache);
/* The zone of that name, read from its file the first time; borrowed until the cache is freed. UTC
 * needs no file. Errors (field "timezone"): JM_ERR_INVALID for a name that is none, is unknown or
 * counts leap seconds; JM_ERR_IO for a file that cannot be read. */
int jm_zone_cache_get(jm_zone_cache *cache, const char *name, const jm_zone **out, jm_err *err);

/* What a refresh says of a zone: that its rules are others now (err NULL), or why its file cannot
 * be read any more, said once for each state of the file; its rules stay then. */
typedef void jm_zone_refreshed(void *arg, const char *name, const jm_err *err);
/* Reads anew the zones whose files are others than when they were read (by device, inode, size and
 * times). Returns whether any has other rules now; a file that says the same is no change. tell may
 * be NULL. Borrowed zones stay valid and show the new rules at once: only the owner of the cache
 * may call this, between uses, while no other thread reads a zone of it. One stat() a zone. */
bool jm_zone_cache_refresh(jm_zone_cache *cache, jm_zone_refreshed *tell, void *arg);
#define JM_ZONE_VERSION_TEXT 32
/* The version of the zone files, such as "2025b", from the first line of tzdata.zi; "" when that
 * does not say. */
void jm_zone_cache_version(const jm_zone_cache *cache, char version[JM_ZONE_VERSION_TEXT]);

/* A hash of all offsets until 2300, rules of the footer included: two programs that have the same
 * one compute the same instants. The same for files that say it in different ways. */
uint64_t jm_zone_hash(const jm_zone *zone);

/* A stretch of time, [start_s, end_s) in seconds since 1970 UTC, with one offset from UTC.
 * Neighbours have different offsets. INT64_MIN and INT64_MAX stand for no bound. */
typedef struct jm_zone_span {
    int64_t start_s, end_s;
    int32_t offset_s; /* local = UTC + offset */
} jm_zone_span;

/* The stretch that t_s (UTC) lies in. */
jm_zone_span jm_zone_find(const jm_zone *zone, int64_t t_s);

#define JM_ZONE_LOCAL_TEXT 40
/* "2026-11-22T14:30:00.5-05:00" in that zone. */
void jm_zone_format(const jm_zone *zone, int64_t us, char text[JM_ZONE_LOCAL_TEXT]);

#endif
