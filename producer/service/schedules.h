/* Schedules: finding, listing, and what became of their instants. The rules and queries behind the
 * command line and the API. Values have the columns of table schedules as members; the caller owns
 * them. All that takes a name also takes an id; project (may be NULL) is needed where several have
 * the name. Errors of these: JM_ERR_NOT_FOUND; JM_ERR_INVALID with field "project" when the name is
 * not unique. */
#ifndef JM_SERVICE_SCHEDULES_H
#define JM_SERVICE_SCHEDULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/uuid7.h"
#include "producer/schedule.h"

struct jm_pg;

typedef struct jm_schedules_filter {
    const char *project, *type;   /* NULL: any */
    const char *enabled, *paused; /* "true", "false", or NULL: both */
    const char *external_id;      /* NULL: any */
    const json_t *metadata;       /* texts that members must be equal to, by name; NULL: any */
    int64_t limit, offset;
    const char *cursor; /* what jm_schedules_list gave as next, or NULL */
    int64_t *total;     /* as of jm_page */
} jm_schedules_filter;

/* Newest first, with recent_success_rate: percent of the last 20 jobs that ended. next (may be
 * NULL): where the next page begins, "" when this is the last. Errors: JM_ERR_INVALID with field
 * "cursor". */
int jm_schedules_list(struct jm_pg *pg, const jm_schedules_filter *filter, json_t **items,
                      char next[JM_UUID_TEXT], jm_err *err);

int jm_schedules_find(struct jm_pg *pg, const char *id_or_name, const char *project, jm_uuid *id,
                      jm_err *err);
/* Also one that is gone, by its id. */
int jm_schedules_find_gone(struct jm_pg *pg, const char *id_or_name, const char *project,
                           jm_uuid *id, jm_err *err);
int jm_schedules_show(struct jm_pg *pg, const char *id_or_name, const char *project,
                      json_t **schedule, jm_err *err);

/* Where the next page of a list begins, as text; "" when this is the last. */
enum { JM_SCHEDULES_NEXT = 80 };

/* Versions, newest first: who made each, when, and what it was before and after. Also of a schedule
 * that is gone. before: only versions before this one; 0: all. *next (may be NULL): that of the
 * next page; 0 when this is the last. */
typedef struct jm_versions_page {
    int64_t before, limit, offset;
    int64_t *total; /* as of jm_page */
} jm_versions_page;
int jm_schedules_versions(struct jm_pg *pg, const jm_uuid *id, const jm_versions_page *page,
                          json_t **items, int64_t *next, jm_err *err);

typedef struct jm_ticks_filter {
    int64_t from_us, to_us;     /* both inclusive; 0: no bound */
    const char *outcome, *kind; /* NULL: any */
    int64_t limit, offset;
    const char *cursor; /* what jm_schedules_ticks gave as next, or NULL */
    int64_t *total;     /* as of jm_page */
} jm_ticks_filter;

/* Rows of the ledger, newest first, each with what became of its job. next may be NULL. Errors:
 * JM_ERR_INVALID with fields "cursor", "outcome", "kind". */
int jm_schedules_ticks(struct jm_pg *pg, const jm_uuid *id, const jm_ticks_filter *filter,
                       json_t **items, char next[JM_SCHEDULES_NEXT], jm_err *err);

/* Its coming instants, as jm_schedule_preview_of, from from_us, or PostgreSQL's clock where that is
 * 0. Whether it is enabled or paused is not looked at. */
int jm_schedules_preview(struct jm_pg *pg, const char *id_or_name, const char *project,
                         int64_t from_us, int64_t count, json_t **items, jm_err *err);

/* The first count instants strictly after from_us: [{"at": UTC, "local": in the zone, "note": "dst
 * gap", "dst fold", "excluded by calendar", several with commas, or ""}]. */
json_t *jm_schedule_preview_of(const jm_schedule *schedule, int64_t from_us, int64_t count);
/* The same of a definition; without a database (pg NULL) its calendar is not looked at. */
int jm_schedule_preview_json(struct jm_pg *pg, const json_t *definition, int64_t from_us,
                             int64_t count, json_t **items, jm_err *err);

/* Appends the English sentence for when a row runs. */
int jm_schedule_sentence(const json_t *row, jm_buf *out);

#endif
