/* Watches time zone data. */
#include "producer/zone_watch.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "producer/replan.h"

enum {
    FILES_MS = 60000,     /* between two looks at the files */
    COMPARE_MS = 3600000, /* between two comparisons with what the database has, without a change */
    AGAIN_MS = 5000       /* after the database did not answer */
};

struct jm_zone_watch {
    jm_zone_cache *zones;
    int64_t files_at_ms, compare_at_ms;
    char warned[JM_ZONE_VERSION_TEXT]; /* about this newer version */
};

jm_zone_watch *jm_zone_watch_new(jm_zone_cache *zones)
{
    jm_zone_watch *watch = jm_calloc(1, sizeof *watch);
    watch->zones = zones;
    return watch;
}

void jm_zone_watch_free(jm_zone_watch *watch)
{
    free(watch);
}

static void refreshed(void *arg, const char *name, const jm_err *err)
{
    (void)arg;
    if (err)
        jm_logf(JM_WARNING, "scheduler", "time zone %s keeps its rules: %s", name, err->msg);
    else
        jm_logf(JM_INFO, "scheduler", "time zone %s has other rules now", name);
}

/* Notes with which rules the schedules of a zone were computed. */
static int note(jm_pg *pg, const char *name, const char *version, int64_t hash, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, name);
    jm_pg_arg_text(&args, version);
    jm_pg_arg_i64(&args, hash);
    return jm_pg_query(pg, &jm_sql_timezone_note, &args, NULL, err);
}

static int replan(jm_zone_watch *watch, jm_pg *pg, const char *name, const char *version,
                  int64_t hash, jm_err *err)
{
    int64_t n;
    int rc = jm_replan_zone(pg, name, watch->zones, &n, err);
    if (!rc)
        rc = note(pg, name, version, hash, err);
    if (!rc)
        jm_logf(JM_INFO, "scheduler",
                "time zone %s has other rules%s%s: %lld schedules were computed anew", name,
                *version ? " since tzdata " : "", version, (long long)n);
    return rc;
}

static void warn_older(jm_zone_watch *watch, const char *mine, const char *other)
{
    if (!strcmp(watch->warned, other))
        return;
    snprintf(watch->warned, sizeof watch->warned, "%s", other);
    jm_logf(JM_WARNING, "scheduler",
            "tzdata %s of this machine is older than %s, with which schedules were computed: "
            "update it",
            mine, other);
}

/* One zone that schedules use. */
static int compare(jm_zone_watch *watch, jm_pg *pg, const PGresult *res, int row,
                   const char *version, jm_err *err)
{
    const jm_zone *zone;
    jm_err ignored; /* its schedules are refused with the reason */
    const char *name = jm_pg_get_text(res, row, 0, NULL), *was = jm_pg_get_text(res, row, 1, NULL);
    if (jm_zone_cache_get(watch->zones, name, &zone, &ignored))
        return JM_OK;
    int64_t hash = (int64_t)jm_zone_hash(zone);
    if (hash == jm_pg_get_i64(res, row, 2))
        return JM_OK;
    if (*version && *was && strcmp(version, was) < 0) {
        warn_older(watch, version, was);
        return JM_OK;
    }
    return replan(watch, pg, name, version, hash, err);
}

static int look(jm_zone_watch *watch, jm_pg *pg, jm_err *err)
{
    char version[JM_ZONE_VERSION_TEXT];
    jm_pg_call call = {.sql = &jm_sql_timezone_list, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    jm_zone_cache_version(watch->zones, version);
    for (int row = 0; !rc && row < PQntuples(call.res); row++)
        rc = compare(watch, pg, call.res, row, version, err);
    jm_pg_calls_clear(&call, 1);
    return rc;
}

void jm_zone_watch_soon(jm_zone_watch *watch)
{
    if (watch->compare_at_ms > watch->files_at_ms)
        watch->compare_at_ms = watch->files_at_ms;
}

void jm_zone_watch_now(jm_zone_watch *watch)
{
    watch->files_at_ms = 0;
}

void jm_zone_watch_turn(jm_zone_watch *watch, jm_pg *pg)
{
    jm_err err;
    int64_t now_ms = jm_mono_ms();
    if (now_ms >= watch->files_at_ms) {
        watch->files_at_ms = now_ms + FILES_MS;
        if (jm_zone_cache_refresh(watch->zones, refreshed, NULL))
            watch->compare_at_ms = 0;
    }
    if (now_ms < watch->compare_at_ms)
        return;
    int rc = look(watch, pg, &err);
    watch->compare_at_ms = jm_mono_ms() + (rc ? AGAIN_MS : COMPARE_MS);
    if (rc && rc != JM_ERR_DB_DOWN)
        jm_logf(JM_WARNING, "scheduler", "cannot look for changes of time zones: %s", err.msg);
}
