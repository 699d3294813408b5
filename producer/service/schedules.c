/* Schedules: finding, listing, previewing, and their versions. */
#include "producer/service/schedule_row.h"
#include "producer/service/schedules.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/calendar_cache.h"
#include "producer/plan.h"
#include "producer/schedule_json.h"

/* ---- finding ---- */

int jm_schedules_find(jm_pg *pg, const char *id_or_name, const char *project, jm_uuid *id,
                      jm_err *err)
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
    int code = jm_schedules_find(pg, id_or_name, project, &id, err);
    if (code)
        return code;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &id);
    code = jm_rows_one(pg, &jm_sql_schedule_show, &args, schedule, err);
    if (code == JM_ERR_NOT_FOUND) /* gone since it was found */
        return jm_err_set(err, code, "there is no schedule \"%.255s\"", id_or_name);
    return code;
}

/* The caller frees; NULL: any. */
static char *metadata_text(const jm_schedules_filter *filter)
{
    bool any = !filter->metadata || !json_object_size(filter->metadata);
    return any ? NULL : json_dumps(filter->metadata, JSON_COMPACT);
}

static const char *member_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text ? text : "";
}

/* How many there are in all: without what is computed for each that is listed. */
static int count_all(jm_pg *pg, const jm_schedules_filter *filter, const char *metadata,
                     jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, filter->project);
    jm_pg_arg_text(&args, filter->type);
    jm_pg_arg_text(&args, filter->enabled);
    jm_pg_arg_text(&args, filter->external_id);
    jm_pg_arg_text(&args, metadata);
    jm_pg_arg_i64(&args, JM_ROWS_COUNTED);
    jm_pg_arg_text(&args, filter->paused);
    int code = jm_pg_query(pg, &jm_sql_schedule_count, &args, &res, err);
    if (!code)
        *filter->total = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    return code;
}

int jm_schedules_list(jm_pg *pg, const jm_schedules_filter *filter, json_t **items,
                      char next[JM_UUID_TEXT], jm_err *err)
{
    jm_pg_args args;
    jm_uuid cursor;
    const char *from = filter->cursor;
    *items = NULL;
    if (from && !jm_uuid_parse(from, strlen(from), &cursor))
        return jm_err_field(err, "cursor", "it is none that a list has given");
    char *metadata = metadata_text(filter);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, filter->project);
    jm_pg_arg_text(&args, filter->type);
    jm_pg_arg_text(&args, filter->enabled);
    jm_pg_arg_i64(&args, filter->limit + 1);
    jm_pg_arg_i64(&args, filter->offset);
    jm_pg_arg_text(&args, filter->external_id);
    jm_pg_arg_text(&args, metadata);
    jm_pg_arg_uuid(&args, from ? &cursor : NULL);
    jm_pg_arg_text(&args, filter->paused);
    int code = filter->total ? count_all(pg, filter, metadata, err) : JM_OK;
    if (!code)
        code = jm_rows_list(pg, &jm_sql_schedule_list, &args, items, err);
    free(metadata);
    const json_t *last = code ? NULL : jm_rows_cut(*items, filter->limit);
    if (next)
        snprintf(next, JM_UUID_TEXT, "%s", last ? member_of(last, "id") : "");
    return code;
}

/* ---- versions ---- */

int jm_schedules_find_gone(jm_pg *pg, const char *id_or_name, const char *project, jm_uuid *id,
                           jm_err *err)
{
    int code = jm_schedules_find(pg, id_or_name, project, id, err);
    if (code == JM_ERR_NOT_FOUND && jm_uuid_parse(id_or_name, strlen(id_or_name), id))
        code = 0;
    return code;
}

int jm_schedules_versions(jm_pg *pg, const jm_uuid *id, const jm_versions_page *page,
                          json_t **items, int64_t *next, jm_err *err)
{
    char text[JM_UUID_TEXT];
    jm_pg_args args;
    jm_uuid_format(id, text);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, "schedule");
    jm_pg_arg_text(&args, text);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    if (page->before)
        jm_pg_arg_i32(&args, page->before > INT32_MAX ? INT32_MAX : (int)page->before);
    else
        jm_pg_arg_text(&args, NULL);
    static const jm_rows_place place = {.limit = 3, .offset = 4, .cursor = {5}};
    int code = jm_rows_page(pg, &jm_sql_audit_versions, &args, &place, page->total, items, err);
    const json_t *last = code ? NULL : jm_rows_cut(*items, page->limit);
    if (next)
        *next = json_integer_value(json_object_get(last, "version"));
    return code;
}

/* ---- the ledger ---- */

static const char *const outcomes[] = {"fired", "skipped", "missed", "coalesced", NULL};
static const char *const kinds[] = {"calendar", "manual", "backfill", NULL};

static int check_word(const char *word, const char *const *words, const char *field, jm_err *err)
{
    size_t i = 0;
    while (word && words[i] && strcmp(words[i], word) != 0)
        i++;
    return !word || words[i] ? JM_OK : jm_err_field(err, field, "\"%.40s\" is none", word);
}

/* "2026-11-29T15:00:00+00:00/manual". */
static int read_place(const char *cursor, int64_t *us, const char **kind, jm_err *err)
{
    const char *slash = strchr(cursor, '/');
    if (slash && !jm_rfc3339_parse(cursor, (size_t)(slash - cursor), us, err) &&
        !check_word(slash + 1, kinds, "cursor", err)) {
        *kind = slash + 1;
        return JM_OK;
    }
    return jm_err_field(err, "cursor", "it is none that a list has given");
}

int jm_schedules_ticks(jm_pg *pg, const jm_uuid *id, const jm_ticks_filter *filter, json_t **items,
                       char next[JM_SCHEDULES_NEXT], jm_err *err)
{
    jm_pg_args args;
    int64_t place_us = 0;
    const char *place_kind = NULL;
    *items = NULL;
    int code = check_word(filter->outcome, outcomes, "outcome", err);
    if (!code)
        code = check_word(filter->kind, kinds, "kind", err);
    if (!code && filter->cursor)
        code = read_place(filter->cursor, &place_us, &place_kind, err);
    if (code)
        return code;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_arg_ts(&args, filter->from_us);
    jm_pg_arg_ts(&args, filter->to_us);
    jm_pg_arg_text(&args, filter->outcome);
    jm_pg_arg_text(&args, filter->kind);
    jm_pg_arg_i64(&args, filter->limit + 1);
    jm_pg_arg_i64(&args, filter->offset);
    jm_pg_arg_ts(&args, place_us);
    jm_pg_arg_text(&args, place_kind);
    static const jm_rows_place place = {.limit = 6, .offset = 7, .cursor = {8, 9}};
    code = jm_rows_page(pg, &jm_sql_schedule_ticks, &args, &place, filter->total, items, err);
    const json_t *last = code ? NULL : jm_rows_cut(*items, filter->limit);
    if (next)
        snprintf(next, JM_SCHEDULES_NEXT, "%s%s%s", last ? member_of(last, "due_at") : "",
                 last ? "/" : "", last ? member_of(last, "kind") : "");
    return code;
}

/* ---- previewing ---- */

static json_t *item_of(const jm_schedule *s, int64_t at_us, unsigned notes)
{
    char at[JM_RFC3339_TEXT], local[JM_ZONE_LOCAL_TEXT], note[64];
    const jm_plan plan = {&s->recurrence, s->days};
    bool open = jm_plan_is_open(&plan, at_us);
    const char *text = jm_recurrence_notes_text(notes);
    jm_rfc3339_format(at_us, at);
    jm_zone_format(s->recurrence.zone, at_us, local);
    snprintf(note, sizeof note, "%s%s%s", text, *text && !open ? ", " : "",
             open ? "" : "excluded by calendar");
    return json_pack("{s:s, s:s, s:s}", "at", at, "local", local, "note", note);
}

json_t *jm_schedule_preview_of(const jm_schedule *schedule, int64_t from_us, int64_t count)
{
    json_t *items = json_array();
    int64_t at_us = from_us;
    unsigned notes;
    for (int64_t i = 0;
         i < count && jm_recurrence_next(&schedule->recurrence, at_us, &at_us, &notes); i++)
        json_array_append_new(items, item_of(schedule, at_us, notes));
    return items;
}

/* The instants of a schedule that is not resolved, by its calendar where pg is given. */
static int preview_row(jm_pg *pg, const jm_schedule *row, int64_t from_us, int64_t count,
                       json_t **items, jm_err *err)
{
    jm_schedule s = *row;
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    jm_calendar_cache *calendars = jm_calendar_cache_new();
    bool has_calendar = pg && s.calendar;
    int code = jm_recurrence_init(&s.recurrence, &s.when, zones, err);
    if (!code && has_calendar)
        code = jm_calendar_cache_refresh(calendars, pg, &s.project, &s.calendar, 1, err);
    if (!code && has_calendar)
        code = jm_calendar_cache_get(calendars, s.project, s.calendar, &s.days, err);
    if (!code)
        *items = jm_schedule_preview_of(&s, from_us, count);
    jm_calendar_cache_free(calendars);
    jm_zone_cache_free(zones);
    return code;
}

int jm_schedule_preview_json(jm_pg *pg, const json_t *definition, int64_t from_us, int64_t count,
                             json_t **items, jm_err *err)
{
    jm_schedule schedule;
    *items = NULL;
    jm_arena *arena = jm_arena_new(0);
    jm_schedule_init(&schedule);
    int code = jm_schedule_apply(&schedule, definition, arena, err);
    if (!code && !schedule.when.anchor_at_us)
        schedule.when.anchor_at_us = from_us; /* as if it were made at that moment */
    if (!code)
        code = preview_row(pg, &schedule, from_us, count, items, err);
    jm_arena_free(arena);
    return code;
}

int jm_schedule_sentence(const json_t *row, jm_buf *out)
{
    static const char *const members[] = {"cron_expression", "interval_seconds", "anchor_at",
                                          "run_at",          "timezone",         "dst_gap",
                                          "dst_fold"};
    jm_schedule schedule;
    json_t *when = json_object();
    jm_arena *arena = jm_arena_new(0);
    jm_err ignored;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *value = json_object_get(row, members[i]);
        if (value)
            json_object_set(when, members[i], value);
    }
    jm_schedule_init(&schedule);
    int code = jm_schedule_apply(&schedule, when, arena, &ignored);
    if (!code)
        code = jm_recurrence_describe(&schedule.when, out, &ignored);
    jm_arena_free(arena);
    json_decref(when);
    return code;
}

int jm_schedules_preview(jm_pg *pg, const char *id_or_name, const char *project, int64_t from_us,
                         int64_t count, json_t **items, jm_err *err)
{
    jm_uuid id;
    jm_schedule_row row;
    *items = NULL;
    int code = jm_schedules_find(pg, id_or_name, project, &id, err);
    if (code)
        return code;
    jm_arena *arena = jm_arena_new(0);
    code = jm_schedule_row_read(pg, &id, false, arena, &row, NULL, err);
    if (!code)
        code = preview_row(pg, &row.schedule, from_us ? from_us : row.clock_us, count, items, err);
    jm_arena_free(arena);
    return code;
}
