/* Jobs: submitting, finding, listing, waiting. The rules and queries behind the command line and
 * the API. Values have the columns of the tables as members; the caller owns them. */
#ifndef JM_SERVICE_JOBS_H
#define JM_SERVICE_JOBS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/service/change.h"

struct jm_pg;
struct jm_page;

/* Submits one job in a transaction of its own and, once that has committed, wakes relays. params
 * and options are JSON text (options: fields of the message, and queue); either may be NULL.
 * change: its actor is for submitted_by; a dry run takes the job back. Errors: JM_ERR_INVALID with
 * what is wrong with which field. A connection that breaks meanwhile is made again for up to 5 s,
 * and the same job, which has its id from the start, submitted again without harm. */
int jm_jobs_submit(struct jm_pg *pg, const jm_change *change, const char *type, const char *params,
                   const char *options, jm_uuid *id, jm_err *err);

/* What a person calls a job: a UUIDv7 is its id; any other text is an external id, of which the
 * newest job counts, of that project (NULL: of any). JM_ERR_NOT_FOUND says so. Whether the id
 * exists is not looked at. */
int jm_jobs_resolve(struct jm_pg *pg, const char *text, const char *project, jm_uuid *id,
                    jm_err *err);

typedef struct jm_jobs_filter {
    const char *status, *type, *project, *queue; /* NULL: any */
    const char *schedule;                        /* id of a schedule, or its name */
    int64_t limit, offset;
    const char *cursor; /* as a page before gave it, or NULL */
    int64_t *total;     /* as of jm_page */
    /* Microseconds since 1970, 0: open; from is in the range, to is not. That of created is by the
     * time in the id, along which the list goes. */
    struct {
        int64_t from, to;
    } created, started, completed;
    const json_t *metadata; /* {"key": "text"} that each must have, or NULL */
    bool callbacks; /* jobs that report the end of others too, which are left out otherwise unless
                       their type is asked for */
} jm_jobs_filter;

/* Newest first. Each combination walks an index that is in the order of ids and stops at the limit.
 * next (may be NULL; the caller frees *next): the cursor of the page behind, NULL on the last. By
 * it no job is left out or comes twice while others arrive. */
int jm_jobs_list(struct jm_pg *pg, const jm_jobs_filter *filter, json_t **items, char **next,
                 jm_err *err);

/* Of ids, those jobs that have ended, and those of now as they are: one call each. */
typedef void jm_jobs_seen(void *ctx, const jm_uuid *id, json_t *job);
int jm_jobs_ended_of(struct jm_pg *pg, const jm_uuid *ids, size_t n, const jm_uuid *now,
                     size_t n_now, jm_jobs_seen *seen, void *ctx, jm_err *err);

/* The row; JM_ERR_NOT_FOUND. */
int jm_jobs_show(struct jm_pg *pg, const jm_uuid *id, json_t **job, jm_err *err);
/* Steps by attempt and place; attempts by number. Of a job that does not exist there are none. The
 * caller frees *next, NULL with the last page. Errors: JM_ERR_INVALID with field "cursor". */
int jm_jobs_steps(struct jm_pg *pg, const jm_uuid *id, const struct jm_page *page, json_t **items,
                  char **next, jm_err *err);
int jm_jobs_attempts(struct jm_pg *pg, const jm_uuid *id, const struct jm_page *page,
                     json_t **items, char **next, jm_err *err);

/* Log lines of that level and above (NULL: all) by attempt and place, as they are streamed.
 * The caller frees *next, NULL with the last page. Errors: JM_ERR_INVALID with
 * field "level" or "cursor". */
int jm_jobs_logs(struct jm_pg *pg, const jm_uuid *id, const char *level, const struct jm_page *page,
                 json_t **items, char **next, jm_err *err);
/* Why it waits: {"state", "visible_at", "reason"}, or NULL when it does not. */
int jm_jobs_waiting(struct jm_pg *pg, const jm_uuid *id, json_t **waiting, jm_err *err);

/* Polls until the job has ended; timeout_ms -1: without end. *job is its row, also after
 * JM_ERR_TIMEOUT. Goes on while the database is away. Errors: JM_ERR_NOT_FOUND, JM_ERR_TIMEOUT. */
int jm_jobs_wait(struct jm_pg *pg, const jm_uuid *id, int64_t timeout_ms, json_t **job,
                 jm_err *err);

#endif
