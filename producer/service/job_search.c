/* Jobs found by what their metadata says, and what there is to say about many of them. */
#include "producer/service/job_search.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/rows.h"
#include "producer/service/jobs_priv.h"

/* ---- search ---- */

bool jm_match_parse(const char *text, jm_match *out)
{
    static const char *const words[] = {"exact", "prefix", "part"};
    for (int i = 0; i < 3; i++) {
        if (!strcmp(text, words[i])) {
            *out = (jm_match)i;
            return true;
        }
    }
    return false;
}

void jm_filter_args_fini(jm_filter_args *given)
{
    free(given->metadata);
}

int jm_jobs_searchable(jm_pg *pg, const jm_jobs_filter *filter, const char **key, jm_err *err)
{
    const char *name;
    json_t *value;
    int rc = JM_OK;
    *key = NULL;
    json_object_foreach((json_t *)(uintptr_t)filter->metadata, name, value)
    {
        jm_pg_args args;
        PGresult *res = NULL;
        jm_pg_args_init(&args);
        jm_pg_arg_text(&args, name);
        jm_pg_arg_text(&args, filter->type);
        if (rc || *key || (rc = jm_pg_query(pg, &jm_sql_job_searchable, &args, &res, err)))
            continue;
        if (PQntuples(res))
            *key = name;
        PQclear(res);
    }
    return rc;
}

const jm_sql *jm_search_args(const jm_search *search, jm_pg_args *args)
{
    static const jm_sql *const statements[] = {&jm_sql_job_search_equal, &jm_sql_job_search_prefix,
                                               &jm_sql_job_search_part};
    jm_pg_arg_text(args, search->key);
    jm_pg_arg_text(args, search->value);
    return statements[search->match];
}

/* Of a search that has found nothing: whether anything could have been found. */
static int check_key(jm_pg *pg, const char *key, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, key);
    int rc = jm_pg_query(pg, &jm_sql_job_search_known, &args, &res, err);
    bool known = !rc && !strcmp(PQgetvalue(res, 0, 0), "t");
    PQclear(res);
    if (rc || known)
        return rc;
    return jm_err_field(err, "key",
                        "no job type declares the key \"%.200s\" searchable: add it to "
                        "\"searchable\" of the type, or list the jobs whose metadata has a value "
                        "(metadata.KEY=VALUE, --metadata)",
                        key);
}

int jm_jobs_search(jm_pg *pg, const jm_jobs_filter *filter, const jm_search *search, json_t **items,
                   char **next, jm_err *err)
{
    jm_jobs_filter bounded = *filter;
    jm_filter_args given;
    const int64_t days_us = (int64_t)JM_SEARCH_DAYS * 86400 * 1000000;
    *items = NULL;
    if (search->match != JM_MATCH_EXACT && !*search->value)
        return jm_err_field(err, "value", "value is empty: it needs at least one character");
    if (search->match != JM_MATCH_EXACT && !filter->created.from)
        bounded.created.from = (filter->created.to ? filter->created.to : jm_utc_us()) - days_us;
    int rc = jm_jobs_filter_args(pg, &bounded, &given, err);
    if (rc)
        return rc;
    const jm_sql *sql = jm_search_args(search, &given.args);
    rc = jm_jobs_count(pg, sql, &bounded, search, err);
    rc = rc ? rc : jm_rows_list(pg, sql, &given.args, items, err);
    jm_filter_args_fini(&given);
    if (!rc && !json_array_size(*items) && (rc = check_key(pg, search->key, err))) {
        json_decref(*items);
        *items = NULL;
    }
    if (!rc)
        jm_jobs_cut_page(*items, filter->limit, next);
    return rc;
}

/* ---- stats ---- */

static int add_schedule(jm_pg *pg, const jm_stats_filter *filter, jm_uuid *id, jm_err *err)
{
    return filter->schedule
               ? jm_jobs_resolve_schedule(pg, filter->schedule, filter->project, id, err)
               : JM_OK;
}

int jm_jobs_stats(jm_pg *pg, const jm_stats_filter *filter, json_t **stats, jm_err *err)
{
    jm_uuid schedule;
    jm_pg_args args;
    json_t *sample = NULL;
    *stats = NULL;
    int rc = jm_jobs_check_status(filter->status, err);
    rc = rc ? rc : add_schedule(pg, filter, &schedule, err);
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, filter->project);
    jm_pg_arg_text(&args, filter->type);
    jm_pg_arg_uuid(&args, filter->schedule ? &schedule : NULL);
    jm_pg_arg_ts(&args, filter->from);
    jm_pg_arg_ts(&args, filter->to);
    jm_pg_args sampled = args;
    jm_pg_arg_text(&args, filter->by_day ? "day" : "hour");
    jm_pg_arg_text(&args, filter->status);
    rc = jm_rows_one(pg, &jm_sql_job_stats, &args, stats, err);
    jm_pg_arg_text(&sampled, filter->sum);
    jm_pg_arg_i32(&sampled, JM_STATS_SAMPLE);
    jm_pg_arg_i32(&sampled, JM_STATS_WALK);
    jm_pg_arg_text(&sampled, filter->status);
    rc = rc ? rc : jm_rows_one(pg, &jm_sql_job_stats_sample, &sampled, &sample, err);
    if (!rc)
        json_object_update(*stats, sample);
    json_decref(sample);
    if (rc) {
        json_decref(*stats);
        *stats = NULL;
    }
    return rc;
}
