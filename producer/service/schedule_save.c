/* Saving schedules: one transaction each, under the row's lock. */
#include "producer/service/schedule_save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/dues.h"
#include "producer/forget.h"
#include "producer/plan.h"
#include "producer/schedule_columns.h"
#include "producer/schedule_json.h"
#include "producer/tx.h"

enum { FORGET_MS = 5000 /* for taking its id off its jobs; what is left then a producer does */ };

/* What one change works with. */
typedef struct save {
    jm_pg *pg;
    const jm_change *change;
    jm_zone_cache *zones;
    jm_calendar_cache *calendars;
    jm_dues *dues; /* the locked row, and what is due by it */
    jm_arena *arena;
    jm_schedule old, new;
    int64_t clock_us;
    bool understood; /* old could be resolved */
    bool fired;      /* settling the old definition made jobs */
    bool capacity;   /* more of its jobs may run at once than before */
} save;

static void save_init(save *s, jm_pg *pg, const jm_change *change)
{
    *s = (save){.pg = pg, .change = change};
    s->zones = jm_zone_cache_new(NULL);
    s->calendars = jm_calendar_cache_new();
    s->dues = jm_dues_new();
    s->arena = jm_arena_new(0);
}

static void save_fini(save *s)
{
    jm_dues_free(s->dues);
    jm_calendar_cache_free(s->calendars);
    jm_zone_cache_free(s->zones);
    jm_arena_free(s->arena);
}

/* ---- checking what is new ---- */

/* params and metadata as the database writes them. */
static int normalize(save *s, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, s->new.params);
    jm_pg_arg_text(&args, s->new.metadata);
    int rc = jm_pg_query(s->pg, &jm_sql_json_normal, &args, &res, err);
    if (rc)
        return rc;
    s->new.params = jm_arena_strdup(s->arena, PQgetvalue(res, 0, 0));
    if (s->new.metadata)
        s->new.metadata = jm_arena_strdup(s->arena, PQgetvalue(res, 0, 1));
    PQclear(res);
    return 0;
}

/* ---- when it runs next ---- */

/* The project's rules, and PostgreSQL's clock. */
static int read_project(save *s, int64_t *min_interval_s, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, s->new.project);
    jm_pg_call call = {.sql = &jm_sql_schedule_project, .args = &args, .binary = true};
    int code = jm_pg_run(s->pg, &call, 1, err);
    if (!code && !PQntuples(call.res)) {
        code = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", s->new.project);
    } else if (!code) {
        *min_interval_s = jm_pg_get_i32(call.res, 0, 0);
        if (!s->clock_us)
            s->clock_us = jm_pg_get_ts(call.res, 0, 1);
    }
    jm_pg_calls_clear(&call, 1);
    return code;
}

static int load_calendar(save *s, jm_schedule *schedule, jm_err *err)
{
    schedule->days = NULL;
    if (!schedule->calendar)
        return 0;
    int code = jm_calendar_cache_refresh(s->calendars, s->pg, &schedule->project,
                                         &schedule->calendar, 1, err);
    return code ? code
                : jm_calendar_cache_get(s->calendars, schedule->project, schedule->calendar,
                                        &schedule->days, err);
}

static int no_instant(const jm_schedule *schedule, jm_err *err)
{
    if (schedule->when.kind == JM_RECURRENCE_ONCE)
        return jm_err_field(err, "run_at",
                            "it lies in the past, outside starts_at and ends_at, or on a day that "
                            "its calendar leaves out");
    if (schedule->calendar && !schedule->when.ends_at_us)
        return jm_err_field(err, "calendar", "it leaves no instant from now on");
    return jm_err_field(err, "ends_at", "it leaves no instant from now on");
}

/* Strictly after the clock. strict: there must be one. */
static int plan(save *s, bool strict, jm_err *err)
{
    jm_schedule *n = &s->new;
    const jm_plan p = {&n->recurrence, n->days};
    jm_plan_begin(&p, s->clock_us, &n->next_run_us, &n->next_skip_us);
    if (!n->next_run_us && strict)
        return no_instant(n, err);
    if (!n->enabled || n->paused)
        n->next_run_us = n->next_skip_us = 0;
    return 0;
}

/* All that must hold of the new definition. */
static int resolve(save *s, bool strict, jm_err *err)
{
    int64_t min_interval_s = 0;
    jm_schedule *n = &s->new;
    int code = read_project(s, &min_interval_s, err);
    if (!code && n->when.kind == JM_RECURRENCE_INTERVAL && !n->when.anchor_at_us)
        n->when.anchor_at_us = s->clock_us;
    if (!code)
        code = jm_schedule_resolve(n, s->zones, err);
    if (!code && strict && n->when.kind == JM_RECURRENCE_INTERVAL &&
        n->when.interval_s < min_interval_s)
        code = jm_err_field(err, "interval_seconds", "project %s wants at least %lld s", n->project,
                            (long long)min_interval_s);
    if (!code)
        code = load_calendar(s, n, err);
    return code ? code : plan(s, strict, err);
}

/* ---- writing ---- */

static void add_column(jm_pg_args *args, const jm_schedule_column *c, const void *field)
{
    int choice;
    switch (c->type) {
    case JM_COLUMN_INT:
        jm_pg_arg_i32(args, *(const int *)field);
        break;
    case JM_COLUMN_LONG:
        if (*(const int64_t *)field)
            jm_pg_arg_i64(args, *(const int64_t *)field);
        else
            jm_pg_arg_text(args, NULL);
        break;
    case JM_COLUMN_BOOL:
        jm_pg_arg_bool(args, *(const bool *)field);
        break;
    case JM_COLUMN_TIME:
        jm_pg_arg_ts(args, *(const int64_t *)field);
        break;
    case JM_COLUMN_CHOICE:
        memcpy(&choice, field, sizeof choice);
        jm_pg_arg_text(args, *c->choices[choice] ? c->choices[choice] : NULL);
        break;
    case JM_COLUMN_ID:
    case JM_COLUMN_TEXT:
    case JM_COLUMN_JSON:
        jm_pg_arg_text(args, *(const char *const *)field);
        break;
    }
}

static void fill_args(jm_pg_args *args, const jm_schedule *schedule)
{
    jm_pg_args_init(args);
    jm_pg_arg_uuid(args, &schedule->id);
    for (const jm_schedule_column *c = jm_schedule_column_table; c->name; c++)
        if (c->defined)
            add_column(args, c, (const char *)schedule + c->offset);
    jm_pg_arg_text(args, schedule->source ? schedule->source : "user");
    jm_pg_arg_ts(args, schedule->next_run_us);
    jm_pg_arg_ts(args, schedule->next_skip_us);
}

static int write_row(save *s, const jm_sql *sql, jm_err *err)
{
    jm_pg_args args;
    fill_args(&args, &s->new);
    int code = jm_pg_query(s->pg, sql, &args, NULL, err);
    if (code == JM_ERR_DB && !strcmp(err->sqlstate, "23505"))
        return jm_err_set(err, JM_ERR_CONFLICT, "project %s has a schedule \"%.255s\" already",
                          s->new.project, s->new.name);
    return code;
}

static char *text_of(const jm_schedule *schedule)
{
    json_t *json = schedule ? jm_schedule_to_json(schedule) : NULL;
    char *text = json ? jm_json_exact_dump(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static int write_audit(save *s, const char *action, const jm_schedule *before,
                       const jm_schedule *after, int version, jm_err *err)
{
    char id[JM_UUID_TEXT];
    char *was = text_of(before), *is = text_of(after);
    jm_pg_args args;
    jm_uuid_format(after ? &after->id : &before->id, id);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, "schedule");
    jm_pg_arg_text(&args, id);
    jm_pg_arg_i32(&args, version);
    jm_pg_arg_text(&args, action);
    jm_pg_arg_text(&args, was);
    jm_pg_arg_text(&args, is);
    jm_pg_arg_text(&args, s->change->actor);
    jm_pg_arg_text(&args, s->change->source);
    jm_pg_arg_text(&args, s->change->reason);
    jm_pg_arg_ts(&args, s->clock_us); /* instants up to it are the old definition's */
    int code = jm_pg_query(s->pg, &jm_sql_audit_insert, &args, NULL, err);
    free(was);
    free(is);
    return code;
}

/* Jobs that run one after the other wait for a lock of their schedule; more than one at a time is
 * its capacity. */
static int set_capacity(save *s, jm_err *err)
{
    const jm_schedule *n = &s->new;
    int capacity = n->overlap == JM_OVERLAP_ALLOW ? 1 : n->max_instances; /* skip: of a backfill */
    char name[JM_SCHEDULE_LOCK_TEXT];
    jm_pg_args args;
    if (capacity == (s->old.max_instances ? s->old.max_instances : 1) && capacity == 1)
        return 0;
    jm_schedule_lock_name(&n->id, name);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, n->project);
    jm_pg_arg_text(&args, name);
    jm_pg_arg_i32(&args, capacity);
    s->capacity = true;
    return jm_pg_query(s->pg, &jm_sql_lock_set, &args, NULL, err);
}

/* A hint for schedulers and, where jobs were made, for relays and workers. */
static void tell(void *ctx, const char *payload)
{
    jm_pg_args args;
    jm_err ignored;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, payload);
    (void)jm_pg_query(ctx, &jm_sql_job_tell, &args, NULL, &ignored);
}

/* Notes by which rules the next instant was computed: producers compute it anew when they change.
 */
static int use_zone(save *s, jm_err *err)
{
    char version[JM_ZONE_VERSION_TEXT];
    jm_pg_args args;
    if (!strcmp(s->new.when.timezone, "UTC"))
        return 0;
    jm_zone_cache_version(s->zones, version);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, s->new.when.timezone);
    jm_pg_arg_text(&args, version);
    jm_pg_arg_i64(&args, (int64_t)jm_zone_hash(s->new.recurrence.zone));
    return jm_pg_query(s->pg, &jm_sql_timezone_use, &args, NULL, err);
}

/* Commits, or takes everything back. */
static int end(save *s, int code, jm_err *err)
{
    if (code || s->change->dry_run) {
        jm_tx_rollback(s->pg);
        return code;
    }
    code = jm_pg_exec(s->pg, "COMMIT", NULL, err);
    if (code)
        return code;
    tell(s->pg, "schedules");
    if (s->fired) {
        tell(s->pg, "pending");
        jm_dues_tell(s->dues, tell, s->pg);
    }
    if (s->capacity) {
        char payload[80];
        snprintf(payload, sizeof payload, "ready %s", s->new.queue);
        tell(s->pg, payload);
    }
    return 0;
}

/* ---- adding ---- */

static int add(save *s, jm_err *err)
{
    int code = resolve(s, true, err);
    if (!code)
        code = write_row(s, &jm_sql_schedule_insert, err);
    if (!code)
        code = set_capacity(s, err);
    if (!code)
        code = use_zone(s, err);
    return code ? code : write_audit(s, "create", NULL, &s->new, 1, err);
}

int jm_schedules_add(jm_pg *pg, const json_t *definition, const char *owner,
                     const jm_change *change, jm_uuid *id, jm_err *err)
{
    save s;
    save_init(&s, pg, change);
    jm_schedule_init(&s.new);
    s.new.source = owner;
    int code = jm_schedule_apply(&s.new, definition, s.arena, err);
    if (!code)
        code = jm_schedule_check_contents(&s.new, err);
    if (!code)
        code = normalize(&s, err);
    if (!code)
        code = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (!code) {
        /* An instant between the clock and the commit is late, never lost. */
        s.new.id = jm_uuid7_new();
        code = end(&s, add(&s, err), err);
    }
    *id = s.new.id;
    save_fini(&s);
    return code;
}

/* ---- the row, locked ---- */

static int there_is_none(const jm_uuid *id, jm_err *err)
{
    char text[JM_UUID_TEXT];
    jm_uuid_format(id, text);
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no schedule %s", text);
}

/* One that cannot be understood any more has nothing to settle: the edit may mend it. */
static void not_understood(void *ctx, const jm_schedule *schedule, const jm_err *err)
{
    (void)schedule;
    (void)err;
    ((save *)ctx)->understood = false;
}

/* The row as it is now, and the clock; the row is locked. */
static int read_row(save *s, const jm_uuid *id, jm_err *err)
{
    jm_pg_args args;
    jm_schedule_columns columns;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    jm_pg_call call = {.sql = &jm_sql_schedule_row, .args = &args, .binary = true};
    int code = jm_pg_run(s->pg, &call, 1, err);
    if (!code && !PQntuples(call.res))
        code = there_is_none(id, err);
    if (!code) {
        s->understood = true;
        s->clock_us = jm_pg_get_ts(call.res, 0, PQfnumber(call.res, "clock"));
        jm_schedule_columns_init(&columns, call.res);
        code = jm_schedule_from_row(&columns, call.res, 0, s->arena, &s->old, err);
        jm_dues_reset(s->dues);
        jm_dues_read(s->dues, call.res, s->zones, not_understood, s);
    }
    jm_pg_calls_clear(&call, 1);
    return code;
}

static int lock(save *s, const jm_uuid *id, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    int code = jm_pg_query(s->pg, &jm_sql_schedule_lock, &args, &res, err);
    if (!code && !PQntuples(res))
        code = there_is_none(id, err);
    PQclear(res);
    return code ? code : read_row(s, id, err); /* the clock is read under the lock */
}

/* Whether instants of the old definition have come that nobody has decided. */
static bool is_due(const save *s)
{
    const jm_schedule *o = &s->old;
    return s->understood && o->enabled && !o->paused &&
           ((o->next_run_us && o->next_run_us <= s->clock_us) ||
            (o->next_skip_us && o->next_skip_us <= s->clock_us));
}

/* Decides what is due by the old definition. */
static int settle(save *s, jm_err *err)
{
    int code = 0;
    while (!code && is_due(s)) {
        code = jm_dues_read_calendars(s->dues, s->pg, not_understood, s, err);
        if (!code)
            code = jm_dues_decide(s->dues, s->pg, err);
        if (!code)
            code = jm_dues_write(s->dues, s->pg, false, NULL, err);
        s->fired = true;
        if (!code && s->understood) /* more than fits at once */
            code = read_row(s, &s->old.id, err);
    }
    return code;
}

/* ---- editing ---- */

static int apply(save *s, const jm_edit *edit, jm_err *err)
{
    s->new = s->old;
    if (edit->mode == JM_EDIT_REPLACE) {
        jm_schedule_init(&s->new);
        s->new.id = s->old.id;
        s->new.name = s->old.name;
        s->new.project = s->old.project;
        s->new.version = s->old.version;
        s->new.source = s->old.source;
        s->new.when.anchor_at_us = s->old.when.anchor_at_us;
        if (s->old.when.kind == JM_RECURRENCE_INTERVAL) /* which an anchor belongs to */
            s->new.when.kind = JM_RECURRENCE_INTERVAL;
    }
    if (edit->owner)
        s->new.source = edit->owner;
    int code = jm_schedule_apply(&s->new, edit->definition, s->arena, err);
    if (!code && strcmp(s->new.project, s->old.project) != 0)
        code = jm_err_field(err, "project",
                            "a schedule stays in its project (%s): add another one and delete this",
                            s->old.project);
    if (!code)
        code = jm_schedule_check_contents(&s->new, err);
    return code ? code : normalize(s, err);
}

static bool is_same(const save *s)
{
    json_t *was = jm_schedule_to_json(&s->old), *is = jm_schedule_to_json(&s->new);
    bool same = json_equal(was, is) && !strcmp(s->old.source, s->new.source);
    json_decref(was);
    json_decref(is);
    return same;
}

/* Whether the edit says anew when it runs: then there must be an instant to come. */
static bool says_when(const save *s)
{
    const jm_recurrence_spec *o = &s->old.when, *n = &s->new.when;
    bool cron = o->cron_expression && n->cron_expression
                    ? strcmp(o->cron_expression, n->cron_expression) != 0
                    : o->cron_expression != n->cron_expression;
    return cron || o->interval_s != n->interval_s || o->run_at_us != n->run_at_us ||
           o->ends_at_us != n->ends_at_us;
}

static int edit(save *s, const jm_uuid *id, const jm_edit *edit, jm_edited *edited, jm_err *err)
{
    int code = lock(s, id, err);
    if (!code && edit->if_version && edit->if_version != s->old.version)
        return jm_err_set(err, JM_ERR_CONFLICT, "it has version %d by now, not %d", s->old.version,
                          edit->if_version);
    if (!code)
        code = apply(s, edit, err);
    if (code)
        return code;
    *edited = (jm_edited){.version = s->old.version, .changed = !is_same(s)};
    if (!edited->changed)
        return 0;
    code = settle(s, err);
    if (!code)
        code = resolve(s, says_when(s), err);
    if (!code)
        code = write_row(s, &jm_sql_schedule_update, err);
    if (!code)
        code = set_capacity(s, err);
    if (!code)
        code = use_zone(s, err);
    edited->version++;
    return code ? code : write_audit(s, edit->action, &s->old, &s->new, edited->version, err);
}

int jm_schedules_edit(jm_pg *pg, const jm_uuid *id, const jm_edit *how, const jm_change *change,
                      jm_edited *edited, jm_err *err)
{
    save s;
    int code = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (code)
        return code;
    save_init(&s, pg, change);
    code = end(&s, edit(&s, id, how, edited, err), err);
    save_fini(&s);
    return code;
}

int jm_schedules_rollback(jm_pg *pg, const jm_uuid *id, int version, const jm_change *change,
                          jm_edited *edited, jm_err *err)
{
    char text[JM_UUID_TEXT];
    json_t *definition = NULL;
    jm_pg_args args;
    jm_uuid_format(id, text);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, "schedule");
    jm_pg_arg_text(&args, text);
    jm_pg_arg_i32(&args, version);
    int code = jm_rows_one(pg, &jm_sql_audit_version, &args, &definition, err);
    if (code == JM_ERR_NOT_FOUND || (!code && !definition))
        return jm_err_set(err, JM_ERR_NOT_FOUND, "it has no version %d", version);
    if (code)
        return code;
    jm_edit how = {.mode = JM_EDIT_REPLACE, .definition = definition, .action = "rollback"};
    code = jm_schedules_edit(pg, id, &how, change, edited, err);
    json_decref(definition);
    return code;
}

/* ---- deleting ---- */

static int delete (save *s, const jm_uuid *id, jm_err *err)
{
    jm_pg_args args;
    int code = lock(s, id, err);
    if (!code)
        code = settle(s, err);
    if (code)
        return code;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, id);
    code = jm_pg_query(s->pg, &jm_sql_schedule_delete, &args, NULL, err);
    return code ? code : write_audit(s, "delete", &s->old, NULL, s->old.version + 1, err);
}

int jm_schedules_delete(jm_pg *pg, const jm_uuid *id, const jm_change *change, jm_err *err)
{
    save s;
    jm_err ignored;
    int64_t left = 1, until_ms = jm_mono_ms() + FORGET_MS;
    int code = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (code)
        return code;
    save_init(&s, pg, change);
    code = end(&s, delete (&s, id, err), err);
    save_fini(&s);
    while (!code && left && jm_mono_ms() < until_ms)
        if (jm_forget_run(pg, &left, &ignored))
            break; /* a producer goes on with it */
    return code;
}
