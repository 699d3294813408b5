/* Calendars: saving, listing, looking into, deleting. */
#include "producer/service/calendars.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json_scan.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/calendar.h"
#include "producer/replan.h"
#include "producer/service/change_audit.h"
#include "producer/tx.h"

#define DAY_US (86400 * INT64_C(1000000))

enum { NAMES_BYTES = 200 /* after so much of names in a message no further one begins */ };

static void start_args(jm_pg_args *args, const char *project, const char *name)
{
    jm_pg_args_init(args);
    jm_pg_arg_text(args, project);
    jm_pg_arg_text(args, name);
}

static int no_calendar(const char *project, const char *name, jm_err *err)
{
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no calendar \"%.100s\" in project %.100s",
                      name, project);
}

/* Names in n rows, and how many more there are. */
static void add_names(jm_buf *out, const PGresult *res, int n)
{
    int said = 0;
    for (; said < n && out->len < NAMES_BYTES; said++)
        jm_buf_addf(out, "%s\"%s\"", said ? ", " : "", PQgetvalue(res, said, 0));
    long total = n ? strtol(PQgetvalue(res, 0, 1), NULL, 10) : 0;
    if (total > said)
        jm_buf_addf(out, " and %ld more", total - said);
}

/* ---- saving ---- */

static int check_name(const char *name, jm_err *err)
{
    size_t len = strlen(name);
    bool ok = len >= 1 && len <= 100 && !strchr("._-", name[0]) &&
              strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
    return ok ? JM_OK : jm_err_field(err, "name", "[a-z0-9][a-z0-9._-]{0,99} expected");
}

static int check_new(const jm_calendars_entry *entry, jm_calendar **calendar, jm_err *err)
{
    const char *text = entry->description;
    if (check_name(entry->name, err))
        return JM_ERR_INVALID;
    if (text && !jm_utf8_is_valid(text, strlen(text), NULL))
        return jm_err_field(err, "description", "it is not valid UTF-8");
    return jm_calendar_parse(calendar, entry->definition, strlen(entry->definition), err);
}

/* That its project is there, and that it will ever be open, by PostgreSQL's clock: in the zones
 * where that is still yesterday too. */
static int check_use(jm_pg *pg, const jm_calendars_entry *entry, const jm_calendar *calendar,
                     jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, entry->project);
    jm_pg_call call = {.sql = &jm_sql_schedule_project, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    if (!rc && !PQntuples(call.res))
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", entry->project);
    else if (!rc && !jm_calendar_is_ever_open(calendar, jm_pg_get_ts(call.res, 0, 1) / DAY_US - 1))
        rc = jm_err_field(err, "definition", "it leaves no day open from now on");
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static int write_row(jm_pg *pg, const jm_calendars_entry *entry, bool replace, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    start_args(&args, entry->project, entry->name);
    jm_pg_arg_text(&args, entry->definition);
    jm_pg_arg_text(&args, entry->description);
    jm_pg_arg_bool(&args, replace);
    int rc = jm_pg_query(pg, &jm_sql_calendar_save, &args, &res, err);
    if (!rc && !PQntuples(res))
        rc = jm_err_set(err, JM_ERR_CONFLICT, "project %.100s has a calendar \"%.100s\" already",
                        entry->project, entry->name);
    PQclear(res);
    return rc;
}

int jm_calendars_check(jm_pg *pg, const jm_calendars_entry *entry, jm_err *err)
{
    jm_calendar *parsed = NULL;
    int rc = check_new(entry, &parsed, err);
    if (!rc)
        rc = check_use(pg, entry, parsed, err);
    jm_calendar_free(parsed);
    return rc;
}

/* Nobody asked for schedules to end. */
static int refuse_ended(jm_pg *pg, jm_col *ended, jm_col *may_end, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_buf names = {0};
    if (!ended->n)
        return JM_OK;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, ended);
    jm_pg_arg_col(&args, may_end);
    int rc = jm_pg_query(pg, &jm_sql_calendar_ended, &args, &res, err);
    int n = rc ? 0 : PQntuples(res);
    add_names(&names, res, n);
    if (n)
        rc = jm_err_field(err, "definition", "it leaves no instant for schedule%s %s",
                          n > 1 ? "s" : "", jm_buf_str(&names));
    PQclear(res);
    jm_buf_fini(&names);
    return rc;
}

static int note(jm_pg *pg, const char *project, const char *name, const json_t *before,
                const json_t *after, const jm_change *change, jm_err *err)
{
    jm_buf id = {0};
    jm_buf_addf(&id, "%s/%s", project, name);
    jm_audit_entry audit = {.object = "calendar",
                            .object_id = jm_buf_str(&id),
                            .project = project,
                            .action = !after   ? "delete"
                                      : before ? "update"
                                               : "create"};
    int rc = jm_change_audit_values(pg, change, &audit, before, after, err);
    jm_buf_fini(&id);
    return rc;
}

/* *calendar is NULL where there is none. */
static int look_for(jm_pg *pg, const char *project, const char *name, json_t **calendar,
                    jm_err *err)
{
    int rc = jm_calendars_show(pg, project, name, calendar, err);
    return rc == JM_ERR_NOT_FOUND ? JM_OK : rc;
}

int jm_calendars_put(jm_pg *pg, const jm_calendars_entry *entry, bool replace, jm_col *may_end,
                     const jm_change *change, jm_err *err)
{
    jm_col ended, none;
    json_t *before = NULL, *after = NULL;
    jm_col_init(&ended, JM_COL_UUID);
    jm_col_init(&none, JM_COL_UUID);
    int rc = jm_replan_before_calendar(pg, entry->project, entry->name, err);
    if (!rc)
        rc = look_for(pg, entry->project, entry->name, &before, err);
    if (!rc)
        rc = write_row(pg, entry, replace, err);
    if (!rc)
        rc = jm_replan_after_calendar(pg, entry->project, entry->name, &ended, err);
    if (!rc)
        rc = refuse_ended(pg, &ended, may_end ? may_end : &none, err);
    if (!rc)
        rc = jm_calendars_show(pg, entry->project, entry->name, &after, err);
    if (!rc)
        rc = note(pg, entry->project, entry->name, before, after, change, err);
    json_decref(before);
    json_decref(after);
    jm_col_fini(&ended);
    jm_col_fini(&none);
    return rc;
}

int jm_calendars_save(jm_pg *pg, const jm_calendars_entry *entry, bool replace,
                      const jm_change *change, json_t **calendar, jm_err *err)
{
    jm_err ignored;
    if (calendar)
        *calendar = NULL;
    int rc = jm_calendars_check(pg, entry, err);
    if (rc || (rc = jm_pg_exec(pg, "BEGIN", NULL, err)))
        return rc;
    rc = jm_calendars_put(pg, entry, replace, NULL, change, err);
    if (!rc && calendar)
        rc = jm_calendars_show(pg, entry->project, entry->name, calendar, err);
    rc = jm_tx_end(pg, rc, !change->dry_run, err);
    if (rc) {
        if (calendar) {
            json_decref(*calendar);
            *calendar = NULL;
        }
        return rc;
    }
    /* A scheduler that is not woken looks by itself within a second. */
    (void)jm_pg_query(pg, &jm_sql_schedule_notify, NULL, NULL, &ignored);
    return JM_OK;
}

/* ---- looking ---- */

/* "project/name". */
static int read_cursor(const char *cursor, char project[101], const char **name, jm_err *err)
{
    const char *slash = cursor ? strchr(cursor, '/') : NULL;
    if (cursor && (!slash || slash - cursor > 100 || strchr(slash + 1, '/')))
        return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                            cursor);
    *name = slash ? slash + 1 : NULL;
    snprintf(project, 101, "%.*s", slash ? (int)(slash - cursor) : 0, slash ? cursor : "");
    return JM_OK;
}

int jm_calendars_list(jm_pg *pg, const char *project, const jm_page *page, json_t **items,
                      char **next, jm_err *err)
{
    static const jm_rows_place place = {.limit = 2, .offset = 3, .cursor = {4, 5}};
    char behind[101];
    const char *name = NULL;
    jm_pg_args args;
    jm_buf cursor = {0};
    *items = NULL;
    *next = NULL;
    int rc = read_cursor(page->cursor, behind, &name, err);
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, project);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    jm_pg_arg_text(&args, name ? behind : NULL);
    jm_pg_arg_text(&args, name);
    rc = jm_rows_page(pg, &jm_sql_calendar_list, &args, &place, page->total, items, err);
    const json_t *last = rc ? NULL : jm_rows_cut(*items, page->limit);
    if (!last)
        return rc;
    jm_buf_addf(&cursor, "%s/%s", json_string_value(json_object_get(last, "project")),
                json_string_value(json_object_get(last, "name")));
    *next = jm_buf_take(&cursor);
    return JM_OK;
}

int jm_calendars_show(jm_pg *pg, const char *project, const char *name, json_t **calendar,
                      jm_err *err)
{
    jm_pg_args args;
    start_args(&args, project, name);
    int rc = jm_rows_one(pg, &jm_sql_calendar_show, &args, calendar, err);
    return rc == JM_ERR_NOT_FOUND ? no_calendar(project, name, err) : rc;
}

static json_t *days_of(const jm_calendar *calendar, int64_t day, int64_t n)
{
    static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    json_t *items = json_array();
    for (int64_t end = day + n; day < end; day++) {
        char at[JM_RFC3339_TEXT];
        jm_rfc3339_format(day * DAY_US, at);
        json_array_append_new(items, json_pack("{s:s#, s:s, s:b}", "date", at, 10, "weekday",
                                               weekdays[((day + 4) % 7 + 7) % 7], "open",
                                               jm_calendar_is_open(calendar, day)));
    }
    return items;
}

int jm_calendars_days(jm_pg *pg, const char *project, const char *name, int64_t from_day, int64_t n,
                      json_t **items, jm_err *err)
{
    json_t *row;
    jm_calendar *calendar;
    *items = NULL;
    int rc = jm_calendars_show(pg, project, name, &row, err);
    if (rc)
        return rc;
    char *text = json_dumps(json_object_get(row, "definition"), JSON_ENCODE_ANY);
    rc = jm_calendar_parse(&calendar, text ? text : "", text ? strlen(text) : 0, err);
    if (!rc)
        *items = days_of(calendar, from_day, n);
    jm_calendar_free(calendar);
    free(text);
    json_decref(row);
    return rc;
}

/* ---- deleting ---- */

/* Who uses it, as a conflict; JM_OK when nobody does. */
static int refuse_users(jm_pg *pg, const char *project, const char *name, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_buf names = {0};
    start_args(&args, project, name);
    int rc = jm_pg_query(pg, &jm_sql_calendar_users, &args, &res, err);
    int n = rc ? 0 : PQntuples(res);
    add_names(&names, res, n);
    if (n)
        rc = jm_err_set(err, JM_ERR_CONFLICT, "schedules use calendar \"%.100s\": %s", name,
                        jm_buf_str(&names));
    PQclear(res);
    jm_buf_fini(&names);
    return rc;
}

static int delete_noted(jm_pg *pg, const char *project, const char *name, const jm_change *change,
                        jm_err *err)
{
    jm_pg_args args;
    json_t *was = NULL;
    start_args(&args, project, name);
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (rc)
        return rc;
    rc = jm_calendars_show(pg, project, name, &was, err);
    if (!rc)
        rc = jm_pg_query(pg, &jm_sql_calendar_delete, &args, NULL, err);
    if (!rc)
        rc = note(pg, project, name, was, NULL, change, err);
    json_decref(was);
    return jm_tx_end(pg, rc, !change->dry_run, err);
}

int jm_calendars_delete(jm_pg *pg, const char *project, const char *name, const jm_change *change,
                        jm_err *err)
{
    int rc = delete_noted(pg, project, name, change, err);
    if (rc != JM_ERR_DB || strcmp(err->sqlstate, "23503") != 0)
        return rc;
    jm_err refusal = *err;
    rc = refuse_users(pg, project, name, err);
    if (!rc) /* it was used, and is no longer */
        *err = refusal;
    return rc ? rc : refusal.code;
}
