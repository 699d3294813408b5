/* Calendars: saving, listing, looking into, deleting. The rules and queries behind the command line
 * and the API. Each change stands in the audit log, in its transaction. Values have the columns of
 * table calendars as members; the caller owns them. All block on the database. */
#ifndef JM_SERVICE_CALENDARS_H
#define JM_SERVICE_CALENDARS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/service/change.h"

struct jm_pg;
struct jm_page;
struct jm_col;

enum { JM_CALENDARS_DAYS_MAX = 100000 };

/* Strings are borrowed. */
typedef struct jm_calendars_entry {
    const char *project, *name;
    const char *definition;  /* JSON, see producer/calendar.h */
    const char *description; /* NULL: none, or as it was */
} jm_calendars_entry;

/* Adds a calendar, or with replace gives one that is there another definition, and makes the
 * schedules that use it be computed anew, in one transaction. *calendar (may be NULL) is as
 * jm_calendars_show gives it. Errors: JM_ERR_INVALID with field "name" or "definition" (also of one
 * that leaves no day open from now on, or a schedule that had a next instant without one),
 * JM_ERR_NOT_FOUND (project), JM_ERR_CONFLICT (it is there), and those of the database. */
int jm_calendars_save(struct jm_pg *pg, const jm_calendars_entry *entry, bool replace,
                      const jm_change *change, json_t **calendar, jm_err *err);

/* The two halves of it, for callers with a transaction of their own: whether it may be saved, which
 * writes nothing and needs no transaction; and the saving of one that has been checked. Who calls
 * the latter wakes schedulers after the commit. may_end: ids of schedules that the calendar may
 * leave without an instant; NULL: none. */
int jm_calendars_check(struct jm_pg *pg, const jm_calendars_entry *entry, jm_err *err);
int jm_calendars_put(struct jm_pg *pg, const jm_calendars_entry *entry, bool replace,
                     struct jm_col *may_end, const jm_change *change, jm_err *err);

/* By project and name, without their rules. project NULL: of all. *next as that of
 * jm_audit_list. */
int jm_calendars_list(struct jm_pg *pg, const char *project, const struct jm_page *page,
                      json_t **items, char **next, jm_err *err);
/* With "schedules": how many use it. Errors: JM_ERR_NOT_FOUND. */
int jm_calendars_show(struct jm_pg *pg, const char *project, const char *name, json_t **calendar,
                      jm_err *err);
/* n days from from_day (since 1970-01-01) on: [{"date": "2026-12-25", "weekday": "fri", "open":
 * false}]. Errors: JM_ERR_NOT_FOUND. */
int jm_calendars_days(struct jm_pg *pg, const char *project, const char *name, int64_t from_day,
                      int64_t n, json_t **items, jm_err *err);

/* Errors: JM_ERR_NOT_FOUND; JM_ERR_CONFLICT while schedules use it, with their names. */
int jm_calendars_delete(struct jm_pg *pg, const char *project, const char *name,
                        const jm_change *change, jm_err *err);

#endif
