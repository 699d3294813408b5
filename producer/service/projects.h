/* Projects: adding, listing, changing, deleting. The rules and queries behind the command line and
 * the API. Values have the columns of table projects as members; the caller owns them. All block on
 * the database. */
#ifndef JM_SERVICE_PROJECTS_H
#define JM_SERVICE_PROJECTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/service/change.h"

struct jm_pg;
struct jm_page;

/* Strings are borrowed. */
typedef struct jm_projects_entry {
    const char *name;
    const char *description;  /* NULL: none, or as it was */
    bool without_description; /* in a change: take it away */
    int64_t min_interval_s;   /* 0: 1, or as it was */
} jm_projects_entry;

/* Errors: JM_ERR_INVALID with the field, JM_ERR_CONFLICT (it is there). */
int jm_projects_add(struct jm_pg *pg, const jm_projects_entry *entry, const jm_change *change,
                    json_t **project, jm_err *err);
/* Schedules that are there keep an interval below a new minimum until they are changed. Errors:
 * JM_ERR_INVALID with the field, JM_ERR_NOT_FOUND. */
int jm_projects_update(struct jm_pg *pg, const jm_projects_entry *entry, const jm_change *change,
                       json_t **project, jm_err *err);

/* Newest first, with how many schedules each has. only: the one that may be seen; NULL: all. *next
 * as that of jm_audit_list. Errors: JM_ERR_INVALID with field "cursor". */
int jm_projects_list(struct jm_pg *pg, const char *only, const struct jm_page *page, json_t **items,
                     char **next, jm_err *err);
int jm_projects_show(struct jm_pg *pg, const char *name, json_t **project, jm_err *err);

/* With its schedules, calendars, locks and keys; its jobs stay. *gone is the project as it was,
 * with how many "schedules", "calendars" and "keys" went. Errors: JM_ERR_NOT_FOUND; JM_ERR_CONFLICT
 * for "default" and while jobs of it have not ended. */
int jm_projects_delete(struct jm_pg *pg, const char *name, const jm_change *change, json_t **gone,
                       jm_err *err);

#endif
