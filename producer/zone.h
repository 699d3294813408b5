/* Time zones: the system's TZif files, read without the process-wide TZ machinery of libc. */
#ifndef JM_ZONE_H
#define JM_ZONE_H

#include <stdint.h>

#include "common/err.h"

#define JM_ZONE_NAME_MAX 100

typedef struct jm_zone jm_zone;             /* immutable once loaded: any thread may read it */
typedef struct jm_zone_cache jm_zone_cache; /* used by one thread at a time */

/* dir NULL: /usr/share/zoneinfo. Loads nothing yet. */
jm_zone_cache *jm_zone_cache_new(const char *dir);
/* Frees the zones too: whatever borrowed them must be gone. free(NULL) is safe. */
void jm_zone_cache_free(jm_zone_cache *cache);
/* The zone of that name, read from its file the first time; borrowed until the cache is freed. UTC
 * needs no file. Errors (field "timezone"): JM_ERR_INVALID for a name that is none, is unknown or
 * counts leap seconds; JM_ERR_IO for a file that cannot be read. */
int jm_zone_cache_get(jm_zone_cache *cache, const char *name, const jm_zone **out, jm_err *err);

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
