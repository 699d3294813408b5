/* Why a schedule ran, or did not, at a moment. */
#include "producer/service/schedule_why.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json_exact.h"
#include "common/pg.h"
#include "producer/calendar_cache.h"
#include "producer/plan.h"
#include "producer/schedule_json.h"
#include "producer/service/schedule_row.h"
#include "producer/tick_policy.h"

#define SECOND_US 1000000LL

/* A question and what is known. */
typedef struct why {
    jm_pg *pg;
    jm_zone_cache *zones;
    jm_calendar_cache *calendars;
    jm_arena *arena;
    jm_schedule now;  /* as it is */
    jm_schedule then; /* as it was */
    int64_t clock_us, created_us, at_us;
    int64_t calendar_changed_us; /* first time since the moment; 0: it has not been */
    json_t *tick, *version, *other;
    json_t *off; /* the version that disabled or paused it, where it was */
    jm_buf answer;
} why;

static void say_time(why *w, int64_t us)
{
    char text[JM_ZONE_LOCAL_TEXT];
    jm_zone_format(w->now.recurrence.zone, us, text);
    jm_buf_adds(&w->answer, text);
}

static const char *text_in(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "?";
}

/* ---- reading ---- */

static int read_now(why *w, const jm_uuid *id, jm_err *err)
{
    jm_schedule_row row;
    int code = jm_schedule_row_read(w->pg, id, false, w->arena, &row, NULL, err);
    if (code)
        return code;
    w->now = row.schedule;
    w->clock_us = row.clock_us;
    w->created_us = row.created_us;
    return jm_schedule_resolve(&w->now, w->zones, err);
}

static json_t *load(const PGresult *res, int col)
{
    json_t *value = NULL;
    if (!PQgetisnull(res, 0, col))
        (void)jm_json_exact_load(PQgetvalue(res, 0, col), (size_t)PQgetlength(res, 0, col), &value,
                                 NULL);
    return value;
}

static void drop_then(why *w)
{
    json_decref(w->tick);
    json_decref(w->version);
    json_decref(w->off);
    json_decref(w->other);
    w->tick = w->version = w->off = w->other = NULL;
}

static int read_then(why *w, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &w->now.id);
    jm_pg_arg_ts(&args, w->at_us);
    int code = jm_pg_query(w->pg, &jm_sql_schedule_at, &args, &res, err);
    if (code)
        return code;
    drop_then(w);
    w->tick = load(res, 0);
    w->version = load(res, 1);
    w->off = load(res, 2);
    w->other = load(res, 3);
    PQclear(res);
    w->then = w->now;
    const json_t *after = json_object_get(w->version, "after");
    jm_schedule then;
    jm_err ignored; /* what cannot be understood any more is told by what is */
    jm_schedule_init(&then);
    if (after && !jm_schedule_apply(&then, after, w->arena, &ignored) &&
        !jm_schedule_resolve(&then, w->zones, &ignored))
        w->then = then;
    return 0;
}

/* Calendars are kept as they are now: whether this one was so at the moment, the audit log knows.
 */
static int read_calendar_change(why *w, jm_err *err)
{
    jm_buf id = {0};
    jm_pg_args args;
    jm_buf_addf(&id, "%s/%s", w->then.project, w->then.calendar);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, jm_buf_str(&id));
    jm_pg_arg_ts(&args, w->at_us);
    jm_pg_call call = {.sql = &jm_sql_calendar_changed, .args = &args, .binary = true};
    int code = jm_pg_run(w->pg, &call, 1, err);
    if (!code && PQntuples(call.res))
        w->calendar_changed_us = jm_pg_get_ts(call.res, 0, 0);
    jm_pg_calls_clear(&call, 1);
    jm_buf_fini(&id);
    return code;
}

static int load_calendar(why *w, jm_err *err)
{
    jm_schedule *s = &w->then;
    jm_err ignored;
    if (!s->calendar)
        return 0;
    int code = jm_calendar_cache_refresh(w->calendars, w->pg, &s->project, &s->calendar, 1, err);
    if (!code)
        (void)jm_calendar_cache_get(w->calendars, s->project, s->calendar, &s->days, &ignored);
    return code ? code : read_calendar_change(w, err);
}

/* ---- the moment ---- */

/* The instants at which clocks of the zone show local_s, in order; at most 2. *gap_s: where there
 * is none, the end of the gap that it lies in. */
static int occurrences(const jm_zone *zone, int64_t local_s, int64_t out_s[2], int64_t *gap_s)
{
    int n = 0;
    int64_t t_s = local_s - 2 * 86400;
    *gap_s = 0;
    for (;;) {
        jm_zone_span span = jm_zone_find(zone, t_s);
        int64_t at_s = local_s - span.offset_s;
        if (n < 2 && at_s >= span.start_s && at_s < span.end_s)
            out_s[n++] = at_s;
        if (!n && at_s < span.start_s && !*gap_s)
            *gap_s = span.start_s;
        if (span.end_s > local_s + 2 * 86400)
            return n;
        t_s = span.end_s;
    }
}

static int read_local(why *w, const char *text, jm_err *err)
{
    char full[40];
    int64_t local_us, at_s[2], gap_s;
    size_t len = strlen(text);
    snprintf(full, sizeof full, "%.20s%s", text,
             len == 10   ? "T00:00:00Z"
             : len == 16 ? ":00Z"
                         : "Z");
    if (len > 20 || jm_rfc3339_parse(full, strlen(full), &local_us, err))
        return jm_err_field(err, "at",
                            "\"%.40s\" is no time: write 2026-03-29T02:30 in the schedule's zone, "
                            "or add Z or an offset",
                            text);
    int n = occurrences(w->now.recurrence.zone, local_us / SECOND_US, at_s, &gap_s);
    w->at_us = SECOND_US * (n ? at_s[0] : gap_s);
    if (!n)
        jm_buf_addf(&w->answer, "%s did not exist in %s: the clocks were put forward over it. ",
                    text, w->now.when.timezone);
    if (n == 2) {
        jm_buf_addf(&w->answer, "%s came twice in %s; this is about the first, the second was ",
                    text, w->now.when.timezone);
        say_time(w, SECOND_US * at_s[1]);
        jm_buf_adds(&w->answer, ". ");
    }
    return 0;
}

static int read_at(why *w, const char *text, jm_err *err)
{
    jm_err ignored;
    char full[48];
    if (!jm_rfc3339_parse(text, strlen(text), &w->at_us, &ignored))
        return 0;
    /* the same without seconds */
    if (strlen(text) > 16 && strlen(text) < 30 && strchr("Zz+-", text[16])) {
        snprintf(full, sizeof full, "%.16s:00%s", text, text + 16);
        if (!jm_rfc3339_parse(full, strlen(full), &w->at_us, &ignored))
            return 0;
    }
    return read_local(w, text, err);
}

/* ---- answers ---- */

/* An instant of the definition then, in the second that was asked for. */
static bool is_instant(why *w)
{
    int64_t at_us;
    if (!jm_recurrence_next(&w->then.recurrence, w->at_us - 1, &at_us, NULL) ||
        at_us >= w->at_us + SECOND_US)
        return false;
    w->at_us = at_us;
    return true;
}

/* What is known about the moment; an instant in the second that was asked for is meant. */
static int find_then(why *w, bool *instant, jm_err *err)
{
    int64_t asked_us = w->at_us;
    int code = read_then(w, err);
    *instant = !code && is_instant(w);
    if (w->at_us != asked_us) {
        code = read_then(w, err);
        *instant = !code && is_instant(w);
    }
    return code;
}

static void say_no_instant(why *w)
{
    int64_t us;
    const jm_recurrence_spec *when = &w->then.when;
    jm_buf_adds(&w->answer, "It was not to run then (");
    (void)jm_recurrence_describe(when, &w->answer, NULL);
    jm_buf_addc(&w->answer, ')');
    if (when->starts_at_us && w->at_us < when->starts_at_us)
        jm_buf_adds(&w->answer, ", before its starts_at");
    if (when->ends_at_us && w->at_us > when->ends_at_us)
        jm_buf_adds(&w->answer, ", after its ends_at");
    if (jm_recurrence_previous(&w->then.recurrence, w->at_us, &us, NULL)) {
        jm_buf_adds(&w->answer, "; before that it was to run at ");
        say_time(w, us);
    }
    if (jm_recurrence_next(&w->then.recurrence, w->at_us, &us, NULL)) {
        jm_buf_adds(&w->answer, "; after it at ");
        say_time(w, us);
    }
    jm_buf_addc(&w->answer, '.');
}

static void say_job(why *w, const json_t *tick, const char *how)
{
    const char *status = text_in(tick, "job_status"), *job = text_in(tick, "job_id");
    const char *error = json_string_value(json_object_get(tick, "job_error"));
    if (!json_is_string(json_object_get(tick, "job_status")))
        status = "gone (deleted, or older than what is kept)";
    jm_buf_addf(&w->answer, "It %s: job %s is %s", how, job, status);
    if (error)
        jm_buf_addf(&w->answer, " (%.300s)", error);
    jm_buf_addc(&w->answer, '.');
}

static void say_unfired(why *w)
{
    static const struct {
        const char *reason, *text;
    } texts[] = {
        {"overlap", "It was skipped: max_instances of its jobs had not ended (overlap = skip)"},
        {"misfire_grace", "It was missed: no producer was running within misfire_grace_seconds, "
                          "and catch_up is skip"},
        {"catch_up_limit", "It was missed: no producer was running, and catch_up_limit later "
                           "instants were caught up instead"},
        {"catch_up", "It was missed, and a later instant fired for it (catch_up = one)"},
        {"coalesce_grace", "It was late, and a later instant fired for it (coalesce_grace)"},
        {JM_TICK_CALENDAR_REASON, "Its calendar leaves the day out"}};
    const char *reason = text_in(w->tick, "reason");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(texts[i].reason, reason))
            jm_buf_adds(&w->answer, texts[i].text);
    jm_buf_addf(&w->answer, ". That was decided at %s.", text_in(w->tick, "decided_at"));
}

/* What its calendar says of the day, as far as it can be known. */
static void say_day(why *w)
{
    bool open = jm_plan_is_open(&(jm_plan){&w->then.recurrence, w->then.days}, w->at_us);
    if (!w->calendar_changed_us) {
        jm_buf_adds(&w->answer, open ? "" : "Its calendar leaves the day out. ");
        return;
    }
    jm_buf_addf(&w->answer,
                "As it is now its calendar %s %s; it was changed after that moment, first at ",
                w->then.calendar, open ? "has the day" : "leaves the day out");
    say_time(w, w->calendar_changed_us);
    jm_buf_adds(&w->answer, ", and may have said otherwise then. ");
}

static void say_undecided(why *w)
{
    if (w->then.days)
        say_day(w);
    int64_t run_us = w->now.next_run_us, skip_us = w->now.next_skip_us;
    if ((run_us && run_us <= w->at_us) || (skip_us && skip_us <= w->at_us))
        jm_buf_adds(&w->answer, "No producer has decided it: is one running, and does its log name "
                                "this schedule?");
    else
        jm_buf_adds(&w->answer,
                    "The ledger has nothing about it: it is older than what is kept, or "
                    "the schedule was changed by other means than jobmill.");
}

/* Disabled or paused then, and by whom. */
static bool say_off(why *w)
{
    bool off = w->off && (!w->then.enabled || w->then.paused);
    if (off)
        jm_buf_addf(&w->answer, "It was %s: version %lld, %s at %s by %s.",
                    w->then.enabled ? "paused" : "disabled",
                    (long long)json_integer_value(json_object_get(w->off, "version")),
                    text_in(w->off, "action"), text_in(w->off, "at"), text_in(w->off, "actor"));
    const char *reason = json_string_value(json_object_get(w->off, "reason"));
    if (off && reason)
        jm_buf_addf(&w->answer, " The reason given: %.300s.", reason);
    return off;
}

static void say_future(why *w, bool instant)
{
    if (!instant)
        say_no_instant(w);
    else if (!w->now.enabled || w->now.paused)
        jm_buf_addf(&w->answer, "It is to come, but the schedule is %s.",
                    w->now.enabled ? "paused" : "disabled");
    else if (w->then.days &&
             !jm_plan_is_open(&(jm_plan){&w->then.recurrence, w->then.days}, w->at_us))
        jm_buf_adds(&w->answer, "It is to come, and its calendar leaves the day out.");
    else
        jm_buf_adds(&w->answer, "It is to come.");
}

/* Beside the calendar, which may have had its reason not to. */
static void say_other(why *w, bool instant)
{
    bool manual = !strcmp(text_in(w->other, "kind"), "manual");
    say_job(w, w->other, manual ? "was run by hand" : "was run by a backfill");
    if (w->tick && instant) {
        jm_buf_adds(&w->answer, " By its calendar it had not run: ");
        say_unfired(w);
    }
}

static void say(why *w, bool instant)
{
    if (w->tick && instant && !strcmp(text_in(w->tick, "outcome"), "fired"))
        say_job(w, w->tick, "ran");
    else if (w->other)
        say_other(w, instant);
    else if (w->at_us > w->clock_us)
        say_future(w, instant);
    else if (w->at_us < w->created_us) {
        jm_buf_adds(&w->answer, "It did not exist yet: it was added at ");
        say_time(w, w->created_us);
        jm_buf_addc(&w->answer, '.');
    } else if (w->tick && instant)
        say_unfired(w);
    else if (!say_off(w)) {
        if (instant)
            say_undecided(w);
        else
            say_no_instant(w);
    }
}

static json_t *result_of(why *w)
{
    char at[JM_RFC3339_TEXT], local[JM_ZONE_LOCAL_TEXT];
    jm_rfc3339_format(w->at_us, at);
    jm_zone_format(w->now.recurrence.zone, w->at_us, local);
    return json_pack("{s:s, s:s, s:s, s:O?, s:O?}", "at", at, "local", local, "answer",
                     jm_buf_str(&w->answer), "tick", w->tick, "version",
                     json_object_get(w->version, "version"));
}

int jm_schedules_why(jm_pg *pg, const jm_uuid *id, const char *at, json_t **answer, jm_err *err)
{
    why w = {.pg = pg};
    bool instant = false;
    *answer = NULL;
    w.zones = jm_zone_cache_new(NULL);
    w.calendars = jm_calendar_cache_new();
    w.arena = jm_arena_new(0);
    int code = read_now(&w, id, err);
    if (!code)
        code = read_at(&w, at, err);
    if (!code)
        code = find_then(&w, &instant, err);
    if (!code)
        code = load_calendar(&w, err);
    if (!code) {
        say(&w, instant);
        *answer = result_of(&w);
    }
    drop_then(&w);
    jm_buf_fini(&w.answer);
    jm_arena_free(w.arena);
    jm_calendar_cache_free(w.calendars);
    jm_zone_cache_free(w.zones);
    return code;
}
