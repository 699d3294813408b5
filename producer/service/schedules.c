/* Schedules: adding, finding, listing, previewing. */
#include "producer/service/schedules.h"

#include <string.h>

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/pg.h"
#include "common/rows.h"

/* Of params and metadata together: with the other fields a message stays below 1 MiB. */
#define JSON_MAX_BYTES ((size_t)1000 * 1024)

/* ---- checking what is new ---- */

static int check_text(const char *text, const char *field, jm_err *err)
{
    if (text && !jm_utf8_is_valid(text, strlen(text), NULL))
        return jm_err_field(err, field, "it is not valid UTF-8");
    return 0;
}

/* A JSON object; with scalars, one without objects and arrays in it. */
static int check_object(const char *text, const char *field, bool scalars, jm_err *err)
{
    jm_json json;
    jm_err wrong;
    int code = jm_json_scan(&json, text, strlen(text), JM_JSON_DEPTH_MAX - 1, &wrong);
    if (code)
        jm_err_field(err, field, "%s", wrong.msg);
    else if (json.root.kind != JM_JSON_OBJECT)
        code = jm_err_field(err, field, "a JSON object expected, not %s",
                            jm_json_kind_text(json.root.kind));
    for (size_t i = 0; !code && scalars && i < json.n_members; i++) {
        if (json.members[i].value.kind >= JM_JSON_ARRAY)
            code = jm_err_field(err, field, "scalars expected, not %s",
                                jm_json_kind_text(json.members[i].value.kind));
    }
    jm_json_fini(&json);
    return code;
}

static int check_new(const jm_schedule *s, jm_err *err)
{
    size_t bytes = strlen(s->params) + (s->metadata ? strlen(s->metadata) : 0);
    if (bytes > JSON_MAX_BYTES)
        return jm_err_field(err, "params", "%zu bytes with the metadata; at most %zu expected",
                            bytes, JSON_MAX_BYTES);
    int code = check_object(s->params, "params", false, err);
    if (!code && s->metadata)
        code = check_object(s->metadata, "metadata", true, err);
    if (!code)
        code = check_text(s->name, "name", err);
    if (!code)
        code = check_text(s->description, "description", err);
    if (!code && s->profile && (!*s->profile || strlen(s->profile) > 100))
        code = jm_err_field(err, "profile", "1 to 100 characters expected");
    return code ? code : check_text(s->profile, "profile", err);
}

/* ---- adding ---- */

/* The project's rules and PostgreSQL's clock. */
static int read_project(jm_pg *pg, const char *project, int64_t *min_interval_s, int64_t *clock_us,
                        jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, project);
    jm_pg_call call = {.sql = &jm_sql_schedule_project, .args = &args, .binary = true};
    int code = jm_pg_run(pg, &call, 1, err);
    if (!code && !PQntuples(call.res)) {
        code = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", project);
    } else if (!code) {
        *min_interval_s = jm_pg_get_i32(call.res, 0, 0);
        *clock_us = jm_pg_get_ts(call.res, 0, 1);
    }
    jm_pg_calls_clear(&call, 1);
    return code;
}

/* Where the schedule begins. */
static int settle(jm_schedule *s, jm_zone_cache *zones, int64_t min_interval_s, int64_t clock_us,
                  jm_err *err)
{
    if (s->when.kind == JM_RECURRENCE_INTERVAL && !s->when.anchor_at_us)
        s->when.anchor_at_us = clock_us;
    int code = jm_schedule_resolve(s, zones, err);
    if (code)
        return code;
    if (s->when.kind == JM_RECURRENCE_INTERVAL && s->when.interval_s < min_interval_s)
        return jm_err_field(err, "interval_seconds", "project %s wants at least %lld s", s->project,
                            (long long)min_interval_s);
    if (jm_recurrence_next(&s->recurrence, clock_us, &s->next_run_us, NULL))
        return 0;
    if (s->when.kind == JM_RECURRENCE_ONCE)
        return jm_err_field(err, "run_at", "it lies in the past, or outside starts_at and ends_at");
    return jm_err_field(err, "ends_at", "it leaves no instant from now on");
}

static void add_when_args(jm_pg_args *args, const jm_schedule *s)
{
    const jm_recurrence_spec *when = &s->when;
    bool cron = when->kind == JM_RECURRENCE_CRON, interval = when->kind == JM_RECURRENCE_INTERVAL;
    jm_pg_arg_text(args, jm_recurrence_kind_text(when->kind));
    jm_pg_arg_text(args, cron ? when->cron_expression : NULL);
    if (interval)
        jm_pg_arg_i64(args, when->interval_s);
    else
        jm_pg_arg_text(args, NULL);
    jm_pg_arg_ts(args, interval ? when->anchor_at_us : 0);
    jm_pg_arg_ts(args, when->kind == JM_RECURRENCE_ONCE ? when->run_at_us : 0);
    jm_pg_arg_text(args, when->timezone ? when->timezone : "UTC");
    jm_pg_arg_text(args, jm_dst_gap_text(when->dst_gap));
    jm_pg_arg_text(args, jm_dst_fold_text(when->dst_fold));
    jm_pg_arg_i32(args, s->jitter_s);
    jm_pg_arg_ts(args, when->starts_at_us);
    jm_pg_arg_ts(args, when->ends_at_us);
}

static int insert(jm_pg *pg, const jm_schedule *s, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &s->id);
    jm_pg_arg_text(&args, s->name);
    jm_pg_arg_text(&args, s->project);
    jm_pg_arg_text(&args, s->type);
    jm_pg_arg_text(&args, s->profile);
    jm_pg_arg_text(&args, s->params);
    jm_pg_arg_text(&args, s->queue);
    jm_pg_arg_i32(&args, s->priority);
    jm_pg_arg_text(&args, s->metadata);
    add_when_args(&args, s);
    jm_pg_arg_text(&args, jm_overlap_text(s->overlap));
    jm_pg_arg_i32(&args, s->max_instances);
    jm_pg_arg_i32(&args, s->misfire_grace_s);
    jm_pg_arg_text(&args, jm_catch_up_text(s->catch_up));
    jm_pg_arg_i32(&args, s->catch_up_limit);
    jm_pg_arg_bool(&args, s->coalesce_grace);
    jm_pg_arg_text(&args, s->description);
    jm_pg_arg_ts(&args, s->next_run_us);
    jm_pg_arg_bool(&args, s->enabled);
    int code = jm_pg_query(pg, &jm_sql_schedule_insert, &args, NULL, err);
    if (code == JM_ERR_DB && !strcmp(err->sqlstate, "23505"))
        return jm_err_set(err, JM_ERR_CONFLICT, "project %s has a schedule \"%.255s\" already",
                          s->project, s->name);
    return code;
}

/* Inside a transaction: an instant between the clock and the commit is late, never lost. */
static int add(jm_pg *pg, jm_schedule *s, jm_zone_cache *zones, jm_err *err)
{
    int64_t min_interval_s = 0, clock_us = 0;
    int code = read_project(pg, s->project, &min_interval_s, &clock_us, err);
    if (!code)
        code = settle(s, zones, min_interval_s, clock_us, err);
    return code ? code : insert(pg, s, err);
}

int jm_schedules_add(jm_pg *pg, const jm_schedule *schedule, jm_uuid *id, jm_err *err)
{
    jm_schedule s = *schedule;
    jm_err ignored;
    int code = check_new(&s, err);
    if (code)
        return code;
    s.id = jm_uuid7_new();
    code = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (code)
        return code;
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    code = add(pg, &s, zones, err);
    jm_zone_cache_free(zones);
    if (code) {
        (void)jm_pg_exec(pg, "ROLLBACK", NULL, &ignored); /* err says what matters */
        return code;
    }
    code = jm_pg_exec(pg, "COMMIT", NULL, err);
    if (code)
        return code;
    /* A scheduler that is not woken looks by itself within a second. */
    (void)jm_pg_query(pg, &jm_sql_schedule_notify, NULL, NULL, &ignored);
    *id = s.id;
    return 0;
}

/* ---- finding ---- */

static int find(jm_pg *pg, const char *id_or_name, const char *project, jm_uuid *id, jm_err *err)
{
    jm_uuid given;
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    bool is_id = jm_uuid_parse(id_or_name, strlen(id_or_name), &given);
    jm_pg_arg_uuid(&args, is_id ? &given : NULL);
    jm_pg_arg_text(&args, id_or_name);
    jm_pg_arg_text(&args, project);
    int code = jm_pg_query(pg, &jm_sql_schedule_find, &args, &res, err);
    if (code)
        return code;
    int n = PQntuples(res);
    if (n == 0)
        code = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no schedule \"%.255s\"%s%.100s",
                          id_or_name, project ? " in project " : "", project ? project : "");
    else if (n > 1)
        code = jm_err_field(err, "project",
                            "several projects have a schedule \"%.255s\"; name the project",
                            id_or_name);
    else if (!jm_uuid_parse(PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0), id))
        code = jm_err_set(err, JM_ERR_DB, "schedule_find gave no id");
    PQclear(res);
    return code;
}

int jm_schedules_show(jm_pg *pg, const char *id_or_name, const char *project, json_t **schedule,
                      jm_err *err)
{
    jm_uuid id;
    jm_pg_args args;
    *schedule = NULL;
    int code = find(pg, id_or_name, project, &id, err);
    if (code)
        return code;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &id);
    code = jm_rows_one(pg, &jm_sql_schedule_show, &args, schedule, err);
    if (code == JM_ERR_NOT_FOUND) /* gone since it was found */
        return jm_err_set(err, code, "there is no schedule \"%.255s\"", id_or_name);
    return code;
}

int jm_schedules_list(jm_pg *pg, const jm_schedules_filter *filter, json_t **items, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, filter->project);
    jm_pg_arg_text(&args, filter->type);
    jm_pg_arg_text(&args, filter->enabled);
    jm_pg_arg_i64(&args, filter->limit);
    jm_pg_arg_i64(&args, filter->offset);
    return jm_rows_list(pg, &jm_sql_schedule_list, &args, items, err);
}

/* ---- previewing ---- */

static json_t *preview(const jm_recurrence *r, int64_t from_us, int64_t count)
{
    json_t *items = json_array();
    int64_t at_us = from_us;
    unsigned notes;
    for (int64_t i = 0; i < count && jm_recurrence_next(r, at_us, &at_us, &notes); i++) {
        char at[JM_RFC3339_TEXT], local[JM_ZONE_LOCAL_TEXT];
        jm_rfc3339_format(at_us, at);
        jm_zone_format(r->zone, at_us, local);
        json_array_append_new(items, json_pack("{s:s, s:s, s:s}", "at", at, "local", local, "note",
                                               jm_recurrence_notes_text(notes)));
    }
    return items;
}

int jm_schedule_preview(const jm_recurrence_spec *when, int64_t from_us, int64_t count,
                        json_t **items, jm_err *err)
{
    jm_recurrence r;
    *items = NULL;
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    int code = jm_recurrence_init(&r, when, zones, err);
    if (!code)
        *items = preview(&r, from_us, count);
    jm_zone_cache_free(zones);
    return code;
}

int jm_schedules_preview(jm_pg *pg, const char *id_or_name, const char *project, int64_t from_us,
                         int64_t count, json_t **items, jm_err *err)
{
    jm_uuid id;
    jm_pg_args args;
    *items = NULL;
    int code = find(pg, id_or_name, project, &id, err);
    if (code)
        return code;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &id);
    jm_pg_call call = {.sql = &jm_sql_schedule_row, .args = &args, .binary = true};
    code = jm_pg_run(pg, &call, 1, err);
    if (code)
        return code;
    jm_schedule schedule;
    jm_schedule_columns columns;
    jm_arena *arena = jm_arena_new(0);
    jm_schedule_columns_init(&columns, call.res);
    if (!PQntuples(call.res))
        code = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no schedule \"%.255s\"", id_or_name);
    if (!code)
        code = jm_schedule_from_row(&columns, call.res, 0, arena, &schedule, err);
    if (!code && !from_us)
        from_us = jm_pg_get_ts(call.res, 0, PQfnumber(call.res, "clock"));
    if (!code)
        code = jm_schedule_preview(&schedule.when, from_us, count, items, err);
    jm_arena_free(arena);
    jm_pg_calls_clear(&call, 1);
    return code;
}

/* ---- calendars ---- */

/* No schedule takes a calendar yet. */
int jm_schedules_calendar_changed(jm_pg *pg, const char *project, const char *name, jm_err *err)
{
    (void)pg;
    (void)project;
    (void)name;
    (void)err;
    return 0;
}
