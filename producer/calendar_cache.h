/* Calendars that schedules name, as the database has them: parsed once, kept until they change. */
#ifndef JM_CALENDAR_CACHE_H
#define JM_CALENDAR_CACHE_H

#include "common/pg.h"
#include "producer/calendar.h"

typedef struct jm_calendar_cache jm_calendar_cache; /* used by one thread */

jm_calendar_cache *jm_calendar_cache_new(void);
/* Frees the calendars too: whatever borrowed them must be gone. */
void jm_calendar_cache_free(jm_calendar_cache *cache);

/* Brings calendars up to date with one query; n pairs of project and name, any of them twice. What
 * was borrowed of one that has changed is gone. */
int jm_calendar_cache_refresh(jm_calendar_cache *cache, jm_pg *pg, const char *const *projects,
                              const char *const *names, size_t n, jm_err *err);
/* As of the last refresh; borrowed. Errors: JM_ERR_INVALID with field "calendar" when there is none
 * of that name, or it cannot be understood. */
int jm_calendar_cache_get(const jm_calendar_cache *cache, const char *project, const char *name,
                          const jm_calendar **out, jm_err *err);
/* Takes in one that is in no table; its definition is borrowed for the call. */
void jm_calendar_cache_put(jm_calendar_cache *cache, const char *project, const char *name,
                           int version, const char *definition, size_t len);

#endif
