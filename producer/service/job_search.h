/* Jobs found by what their metadata says, and what there is to say about many of them. */
#ifndef JM_SERVICE_JOB_SEARCH_H
#define JM_SERVICE_JOB_SEARCH_H

#include "producer/service/jobs.h"

typedef enum jm_match { JM_MATCH_EXACT, JM_MATCH_PREFIX, JM_MATCH_PART } jm_match;

bool jm_match_parse(const char *text, jm_match *out);

typedef struct jm_search {
    const char *key, *value; /* key is one that types declare searchable */
    jm_match match;
} jm_search;

enum {
    JM_SEARCH_DAYS = 30 /* back, where no created.from is given: of JM_MATCH_PREFIX and _PART */
};

/* As jm_jobs_list, of those jobs whose metadata matches, whatever the case of letters. Errors:
 * JM_ERR_INVALID with the field: among them key, where no job could have been found by it. */
int jm_jobs_search(struct jm_pg *pg, const jm_jobs_filter *filter, const jm_search *search,
                   json_t **items, char **next, jm_err *err);

enum { JM_STATS_SAMPLE = 5000, JM_STATS_WALK = 20000 };

typedef struct jm_stats_filter {
    const char *project, *type, *schedule; /* NULL: all; a schedule by id or name */
    const char *status;                    /* NULL: all */
    int64_t from, to;                      /* of the time in which they ended, us; 0: open */
    bool by_day;                           /* the trend; else by hour */
    const char *sum;                       /* a key of metadata to add up, or NULL */
} jm_stats_filter;

/* {"from", "to", "total", "completed", "failed", "cancelled", "expired", "success_rate",
 * "average_duration_ms", "types": [...], "trend": [...], "p95_duration_ms", "sampled", "sum"}: the
 * counts are of job_stats, to the hour; p95 is of the newest JM_STATS_SAMPLE that completed and the
 * sum of all, among the newest JM_STATS_WALK jobs of the range. */
int jm_jobs_stats(struct jm_pg *pg, const jm_stats_filter *filter, json_t **stats, jm_err *err);

#endif
