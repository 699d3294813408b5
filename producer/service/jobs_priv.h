/* What listing and searching share: the parameters that say which jobs. */
#ifndef JM_SERVICE_JOBS_PRIV_H
#define JM_SERVICE_JOBS_PRIV_H

#include "common/pg.h"
#include "producer/service/job_search.h"
#include "producer/service/jobs.h"

/* Arguments $1 to $15, and what they borrow. */
typedef struct jm_filter_args {
    jm_pg_args args;
    jm_uuid cursor, schedule;
    char *metadata;
} jm_filter_args;

int jm_jobs_filter_args(jm_pg *pg, const jm_jobs_filter *filter, jm_filter_args *given,
                        jm_err *err);
void jm_filter_args_fini(jm_filter_args *given);
/* Takes off the job behind the limit; *next as of jm_jobs_list. */
void jm_jobs_cut_page(json_t *items, int64_t limit, char **next);

/* How many the filter, and what by looks for, has in all, where somebody asks. */
int jm_jobs_count(jm_pg *pg, const jm_sql *sql, const jm_jobs_filter *filter, const jm_search *by,
                  jm_err *err);

/* The first key of the filter's metadata that is indexed, or NULL. */
int jm_jobs_searchable(jm_pg *pg, const jm_jobs_filter *filter, const char **key, jm_err *err);
/* Adds $16 and $17; the statement that takes them. */
const jm_sql *jm_search_args(const jm_search *search, jm_pg_args *args);
/* The id of a schedule, given by id or by name. */
int jm_jobs_resolve_schedule(jm_pg *pg, const char *schedule, const char *project, jm_uuid *id,
                             jm_err *err);

/* JM_ERR_INVALID with the nearest one where it is none; NULL is fine. */
int jm_jobs_check_status(const char *status, jm_err *err);

#endif
