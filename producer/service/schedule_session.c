/* Changes of schedules in one transaction: judging, settling what is due, writing. */
#include "producer/service/schedule_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/mem.h"
#include "common/pg.h"
#include "producer/calendar_cache.h"
#include "producer/dues.h"
#include "producer/forget.h"
#include "producer/plan.h"
#include "producer/schedule_columns.h"
#include "producer/schedule_json.h"
#include "producer/service/schedule_row.h"
#include "producer/service/schedule_writes.h"
#include "producer/tx.h"

enum {
    ARENA_BYTES = 1 << 20,
    FORGET_MS = 5000, /* for taking deleted ids off jobs; what is left then a producer does */
    CLOCK_MS = 1000   /* a reading of PostgreSQL's clock serves additions for so long */
};

struct jm_schedule_session {
    jm_pg *pg;
    jm_change change;
    jm_zone_cache *zones;
    jm_calendar_cache *calendars;
    json_t *read_calendars; /* "project/name" of those that the cache has from here on */
    jm_schedule_writes *writes;
    jm_dues *dues;   /* the locked row, and what is due by it */
    json_t *hints;   /* to be given after the commit, each once */
    jm_arena *arena; /* of the changes since the last flush */
    bool deleted;
    /* The project of the last change. */
    char *project;
    int64_t min_interval_s, project_clock_us, project_ms;
    /* The change under way. */
    jm_schedule old, new;
    int64_t clock_us;
    int64_t decided_until_us; /* the last instant in the ledger of old; 0: none */
    bool understood;          /* old could be resolved */
    bool joined;              /* the transaction is the caller's */
};

jm_schedule_session *jm_schedule_session_new(jm_pg *pg, const jm_change *change)
{
    jm_schedule_session *s = jm_calloc(1, sizeof *s);
    s->pg = pg;
    s->change = *change;
    s->zones = jm_zone_cache_new(NULL);
    s->calendars = jm_calendar_cache_new();
    s->read_calendars = json_object();
    s->writes = jm_schedule_writes_new(pg, &s->change);
    s->dues = jm_dues_new();
    s->hints = json_object();
    s->arena = jm_arena_new(0);
    return s;
}

void jm_schedule_session_free(jm_schedule_session *s)
{
    if (!s)
        return;
    jm_schedule_writes_free(s->writes);
    jm_dues_free(s->dues);
    json_decref(s->hints);
    json_decref(s->read_calendars);
    jm_calendar_cache_free(s->calendars);
    jm_zone_cache_free(s->zones);
    jm_arena_free(s->arena);
    free(s->project);
    free(s);
}

/* ---- checking what is new ---- */

/* Whether it has a number that the database may write otherwise than it was given. */
static bool has_exact(const json_t *value)
{
    const char *name;
    json_t *member;
    size_t i;
    bool found = jm_json_exact_number(value) != NULL;
    json_object_foreach((json_t *)value, name, member)
    {
        found = found || has_exact(member);
    }
    json_array_foreach((json_t *)value, i, member)
    {
        found = found || has_exact(member);
    }
    return found;
}

/* params and metadata as the database writes them, so that they can be compared. */
static int normalize(jm_schedule_session *s, const json_t *definition, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    if (!has_exact(json_object_get(definition, "params")) &&
        !has_exact(json_object_get(definition, "metadata")))
        return 0;
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

static bool knows_project(const jm_schedule_session *s)
{
    return s->project && !strcmp(s->project, s->new.project) &&
           jm_mono_ms() - s->project_ms < CLOCK_MS;
}

static void keep_project(jm_schedule_session *s, const PGresult *res)
{
    free(s->project);
    s->project = jm_strdup(s->new.project);
    s->min_interval_s = jm_pg_get_i32(res, 0, 0);
    s->project_clock_us = jm_pg_get_ts(res, 0, 1);
    s->project_ms = jm_mono_ms();
}

/* The project's rules, and PostgreSQL's clock. */
static int read_project(jm_schedule_session *s, jm_err *err)
{
    jm_pg_args args;
    int code = 0;
    if (!knows_project(s)) {
        jm_pg_args_init(&args);
        jm_pg_arg_text(&args, s->new.project);
        jm_pg_call call = {.sql = &jm_sql_schedule_project, .args = &args, .binary = true};
        code = jm_pg_run(s->pg, &call, 1, err);
        if (!code && PQntuples(call.res))
            keep_project(s, call.res);
        else if (!code)
            code =
                jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", s->new.project);
        jm_pg_calls_clear(&call, 1);
    }
    if (!code && !s->clock_us)
        s->clock_us = s->project_clock_us;
    return code;
}

/* Calendars are read once a session. */
static int read_calendar(jm_schedule_session *s, const jm_schedule *schedule, jm_err *err)
{
    char key[256];
    snprintf(key, sizeof key, "%s/%s", schedule->project, schedule->calendar);
    if (json_object_get(s->read_calendars, key))
        return 0;
    json_object_set_new(s->read_calendars, key, json_true());
    return jm_calendar_cache_refresh(s->calendars, s->pg, &schedule->project, &schedule->calendar,
                                     1, err);
}

static int load_calendar(jm_schedule_session *s, jm_schedule *schedule, jm_err *err)
{
    schedule->days = NULL;
    if (!schedule->calendar)
        return 0;
    int code = read_calendar(s, schedule, err);
    return code ? code
                : jm_calendar_cache_get(s->calendars, schedule->project, schedule->calendar,
                                        &schedule->days, err);
}

void jm_schedule_session_put_calendar(jm_schedule_session *s, const char *project, const char *name,
                                      const char *definition)
{
    char key[256];
    snprintf(key, sizeof key, "%s/%s", project, name);
    json_object_set_new(s->read_calendars, key, json_true());
    jm_calendar_cache_put(s->calendars, project, name, 0, definition, strlen(definition));
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

/* Strictly after the clock, and after what has been decided before the clock was put back, if it
 * was. strict: there must be one. */
static int plan(jm_schedule_session *s, bool strict, jm_err *err)
{
    jm_schedule *n = &s->new;
    const jm_plan p = {&n->recurrence, n->days};
    int64_t after_us = s->clock_us > s->decided_until_us ? s->clock_us : s->decided_until_us;
    jm_plan_begin(&p, after_us, &n->next_run_us, &n->next_skip_us);
    if (!n->next_run_us && strict && !s->change.ended_ok)
        return no_instant(n, err);
    if (!n->enabled || n->paused)
        n->next_run_us = n->next_skip_us = 0;
    return 0;
}

/* All that must hold of the new definition. */
static int resolve(jm_schedule_session *s, bool strict, jm_err *err)
{
    jm_schedule *n = &s->new;
    int code = read_project(s, err);
    if (!code && n->when.kind == JM_RECURRENCE_INTERVAL && !n->when.anchor_at_us)
        n->when.anchor_at_us = s->clock_us;
    if (!code)
        code = jm_schedule_resolve(n, s->zones, err);
    if (!code && strict && n->when.kind == JM_RECURRENCE_INTERVAL &&
        n->when.interval_s < s->min_interval_s)
        code = jm_err_field(err, "interval_seconds", "project %s wants at least %lld s", n->project,
                            (long long)s->min_interval_s);
    if (!code)
        code = load_calendar(s, n, err);
    return code ? code : plan(s, strict, err);
}

/* ---- writing ---- */

/* Jobs that run one after the other wait for a lock of their schedule; more than one at a time is
 * its capacity. */
static void set_capacity(jm_schedule_session *s)
{
    const jm_schedule *n = &s->new;
    int capacity = n->overlap == JM_OVERLAP_ALLOW ? 1 : n->max_instances; /* skip: of a backfill */
    char payload[80];
    if (capacity == (s->old.max_instances ? s->old.max_instances : 1) && capacity == 1)
        return;
    jm_schedule_writes_capacity(s->writes, n, capacity);
    snprintf(payload, sizeof payload, "ready %s", n->queue);
    json_object_set_new(s->hints, payload, json_true());
}

/* Begins a change. What the arena has is of use until the statements have been sent. */
static void begin_change(jm_schedule_session *s)
{
    if (jm_schedule_writes_is_empty(s->writes) && jm_arena_bytes(s->arena) > ARENA_BYTES) {
        jm_arena_free(s->arena);
        s->arena = jm_arena_new(0);
    }
    memset(&s->old, 0, sizeof s->old);
    s->clock_us = s->decided_until_us = 0;
}

int jm_schedule_session_send(jm_schedule_session *s, jm_err *err)
{
    return jm_schedule_writes_is_full(s->writes) ? jm_schedule_writes_flush(s->writes, err) : 0;
}

static void note_hint(void *ctx, const char *payload)
{
    json_object_set_new(((jm_schedule_session *)ctx)->hints, payload, json_true());
}

/* For schedulers and, where jobs were made, for relays and workers. */
static void give_hints(jm_schedule_session *s)
{
    const char *payload;
    json_t *value;
    jm_err ignored;
    note_hint(s, "schedules");
    json_object_foreach(s->hints, payload, value)
    {
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_text(&args, payload);
        (void)jm_pg_query(s->pg, &jm_sql_job_tell, &args, NULL, &ignored);
    }
    json_object_clear(s->hints);
}

static void forget_deleted(jm_schedule_session *s)
{
    int64_t left = 1, until_ms = jm_mono_ms() + FORGET_MS;
    jm_err ignored;
    while (left && jm_mono_ms() < until_ms)
        if (jm_forget_run(s->pg, &left, &ignored))
            return; /* a producer goes on with it */
}

int jm_schedule_session_begin(jm_schedule_session *s, jm_err *err)
{
    return jm_pg_exec(s->pg, "BEGIN", NULL, err);
}

void jm_schedule_session_join(jm_schedule_session *s)
{
    s->joined = true;
}

int jm_schedule_session_end(jm_schedule_session *s, int code, jm_err *err)
{
    if (!code)
        code = jm_schedule_writes_flush(s->writes, err);
    if (s->joined)
        return code;
    if (code || s->change.dry_run) {
        jm_tx_rollback(s->pg);
        return code;
    }
    code = jm_pg_exec(s->pg, "COMMIT", NULL, err);
    if (code)
        return code;
    give_hints(s);
    if (s->deleted)
        forget_deleted(s);
    return 0;
}

/* ---- adding ---- */

/* Makes s->new of a definition. */
static int apply_new(jm_schedule_session *s, const json_t *definition, const char *owner,
                     jm_err *err)
{
    jm_schedule_init(&s->new);
    s->new.source = owner;
    int code = jm_schedule_apply(&s->new, definition, s->arena, err);
    if (!code)
        code = jm_schedule_check_contents(&s->new, err);
    return code ? code : normalize(s, definition, err);
}

int jm_schedule_session_add(jm_schedule_session *s, const json_t *definition, const char *owner,
                            jm_uuid *id, jm_err *err)
{
    begin_change(s);
    int code = apply_new(s, definition, owner, err);
    if (!code)
        code = resolve(s, true, err);
    if (code)
        return code;
    /* An instant between the clock and the commit is late, never lost. */
    *id = s->new.id = jm_uuid7_new();
    jm_schedule_writes_insert(s->writes, &s->new);
    set_capacity(s);
    jm_schedule_writes_zone(s->writes, &s->new, s->zones);
    jm_schedule_writes_audit(s->writes, "create", NULL, &s->new, 1, s->clock_us);
    return 0;
}

/* ---- the row, locked ---- */

/* One that cannot be understood any more has nothing to settle: the edit may mend it. */
static void not_understood(void *ctx, const jm_schedule *schedule, const jm_err *err)
{
    (void)schedule;
    (void)err;
    ((jm_schedule_session *)ctx)->understood = false;
}

/* The row as it is now, and the clock. */
static int read_row(jm_schedule_session *s, const jm_uuid *id, bool lock, jm_err *err)
{
    jm_schedule_row row;
    PGresult *res = NULL;
    int code = jm_schedule_row_read(s->pg, id, lock, s->arena, &row, &res, err);
    if (code)
        return code;
    s->old = row.schedule;
    s->clock_us = row.clock_us;
    s->decided_until_us = row.decided_until_us;
    s->understood = true;
    jm_dues_reset(s->dues);
    jm_dues_read(s->dues, res, s->zones, not_understood, s);
    PQclear(res);
    return 0;
}

/* The same, locked; and of that version, where one is given. */
static int lock(jm_schedule_session *s, const jm_uuid *id, int if_version, jm_err *err)
{
    int code = read_row(s, id, true, err);
    if (!code && if_version && if_version != s->old.version) {
        jm_err_field(err, "version", "it has version %d by now, not %d", s->old.version,
                     if_version);
        code = err->code = JM_ERR_CONFLICT;
    }
    return code;
}

/* Whether instants of the old definition have come that nobody has decided. */
static bool is_due(const jm_schedule_session *s)
{
    const jm_schedule *o = &s->old;
    return s->understood && o->enabled && !o->paused &&
           ((o->next_run_us && o->next_run_us <= s->clock_us) ||
            (o->next_skip_us && o->next_skip_us <= s->clock_us));
}

/* Decides what is due by the old definition. */
static int settle(jm_schedule_session *s, jm_err *err)
{
    int code = 0;
    while (!code && is_due(s)) {
        code = jm_dues_read_calendars(s->dues, s->pg, not_understood, s, err);
        if (!code)
            code = jm_dues_decide(s->dues, s->pg, err);
        if (!code)
            code = jm_dues_write(s->dues, s->pg, false, NULL, err);
        if (!code) {
            note_hint(s, "pending");
            jm_dues_tell(s->dues, note_hint, s);
        }
        if (!code && s->understood) /* more than fits at once */
            code = read_row(s, &s->old.id, false, err);
    }
    return code;
}

/* ---- editing ---- */

static int apply(jm_schedule_session *s, const jm_edit *edit, jm_err *err)
{
    s->new = s->old;
    if (edit->mode == JM_EDIT_REPLACE) {
        jm_schedule_init(&s->new);
        s->new.id = s->old.id;
        s->new.name = s->old.name;
        s->new.project = s->old.project;
        s->new.version = s->old.version;
        s->new.source = s->old.source;
        s->new.paused = s->old.paused; /* whoever held it lets it go */
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
    return code ? code : normalize(s, edit->definition, err);
}

static bool is_same(const jm_schedule_session *s)
{
    json_t *was = jm_schedule_to_json(&s->old), *is = jm_schedule_to_json(&s->new);
    bool same = json_equal(was, is) && !strcmp(s->old.source, s->new.source);
    json_decref(was);
    json_decref(is);
    return same;
}

/* Whether the edit says anew when it runs: then there must be an instant to come. */
static bool says_when(const jm_schedule_session *s)
{
    const jm_recurrence_spec *o = &s->old.when, *n = &s->new.when;
    bool cron = o->cron_expression && n->cron_expression
                    ? strcmp(o->cron_expression, n->cron_expression) != 0
                    : o->cron_expression != n->cron_expression;
    return cron || o->interval_s != n->interval_s || o->run_at_us != n->run_at_us ||
           o->ends_at_us != n->ends_at_us;
}

int jm_schedule_session_edit(jm_schedule_session *s, const jm_uuid *id, const jm_edit *edit,
                             jm_edited *edited, jm_err *err)
{
    begin_change(s);
    int code = lock(s, id, edit->if_version, err);
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
    if (code)
        return code;
    edited->version++;
    if (s->change.dry_run)
        edited->would = jm_schedule_to_json(&s->new);
    jm_schedule_writes_update(s->writes, &s->new);
    set_capacity(s);
    jm_schedule_writes_zone(s->writes, &s->new, s->zones);
    jm_schedule_writes_audit(s->writes, edit->action, &s->old, &s->new, edited->version,
                             s->clock_us);
    return 0;
}

/* ---- deleting ---- */

int jm_schedule_session_delete(jm_schedule_session *s, const jm_uuid *id, int if_version,
                               jm_err *err)
{
    begin_change(s);
    int code = lock(s, id, if_version, err);
    if (!code)
        code = settle(s, err);
    if (code)
        return code;
    jm_schedule_writes_delete(s->writes, id);
    jm_schedule_writes_audit(s->writes, "delete", &s->old, NULL, s->old.version + 1, s->clock_us);
    s->deleted = true;
    return 0;
}

/* ---- judging ---- */

int jm_schedule_session_judge(jm_schedule_session *s, const jm_schedule *row, const jm_edit *edit,
                              const jm_schedule **out, bool *changed, int64_t *clock_us,
                              jm_err *err)
{
    begin_change(s);
    *out = &s->new;
    *changed = true;
    if (row)
        s->old = *row;
    int code = row ? apply(s, edit, err) : apply_new(s, edit->definition, edit->owner, err);
    if (!code && row)
        *changed = !is_same(s);
    if (!code && *changed)
        code = resolve(s, !row || says_when(s), err);
    *clock_us = s->clock_us;
    return code;
}
