/* Calendars from iCalendar files. libical reads the events, one at a time, and expands rules of
 * recurrence as local times without a zone; what it leaves to its user is here: lines for messages,
 * exceptions, and the zones of the system. */
#include "producer/calendar_ical.h"

#include <libical/ical.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/calendar_rule.h"
#include "producer/ical_events.h"
#include "producer/zone.h"

enum {
    DAY_S = 86400,
    WHOLE_DAY = -1, /* as second of an exception */
    WORK_MAX =
        5000000,       /* occurrences, exceptions, days: far more than calendars of holidays need */
    TIME_MAX_MS = 3000 /* for rules that hardly ever match, of which libical counts nothing */
};

/* A local time. */
typedef struct moment {
    int64_t day;
    int second; /* of the day; 0 for dates */
    bool is_date;
    const char *zone; /* TZID, "UTC" or NULL: any; borrowed from the component */
} moment;

typedef struct event {
    const jm_ical_event *at;
    icalcomponent *component;
    const char *uid; /* NULL: it has none */
    moment start;
    int64_t length_s; /* of dates: whole days */
    bool cancelled;
    bool is_change; /* of one occurrence of the event with its uid */
    moment changed; /* which */
} event;

typedef struct exception {
    int64_t day;
    int second;
} exception;

typedef struct import {
    const jm_ical_events *found;
    int64_t first, last; /* days wanted */
    bool *closed;        /* of each */
    int n_closed;
    int64_t work, until_ms;
    event *events;
    size_t n_events;
    event **changes; /* by uid */
    size_t n_changes;
    exception *exceptions; /* of the event in hand, sorted */
    size_t n_exceptions, cap_exceptions;
    jm_zone_cache *zones;
    jm_err *err;
} import;

/* ---- errors ---- */

/* The message is about property nth of that name. Returns code. */
static int fail(import *in, int code, const event *e, const char *name, int nth, const char *fmt,
                ...) __attribute__((format(printf, 6, 7)));

static int fail(import *in, int code, const event *e, const char *name, int nth, const char *fmt,
                ...)
{
    char text[sizeof in->err->msg]; /* cut here it is cut again: no part of a character is left */
    int line = e->at->line;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)jm_ical_event_count(e->at, name, nth, &line);
    return jm_err_set(in->err, code, "line %d: %s: %s", line, name, text);
}

/* Counts what is done, so that no file takes for ever. */
static int spend(import *in, int64_t work)
{
    in->work += work;
    if (in->work > WORK_MAX || jm_mono_ms() > in->until_ms)
        return jm_err_set(in->err, JM_ERR_INVALID, "its events take too long to expand");
    return JM_OK;
}

/* ---- times ---- */

static bool is_valid(const struct icaltimetype *t)
{
    return t->year >= 1 && t->year <= 9999 && t->month >= 1 && t->month <= 12 && t->day >= 1 &&
           t->day <= jm_calendar_month_days(t->year, t->month) && t->hour >= 0 && t->hour <= 23 &&
           t->minute >= 0 && t->minute <= 59 && t->second >= 0 && t->second <= 60;
}

static moment moment_of(const struct icaltimetype *t, const char *zone)
{
    moment m = {.day = jm_days_from_civil(t->year, t->month, t->day), .is_date = t->is_date};
    if (!t->is_date) {
        m.second = t->hour * 3600 + t->minute * 60 + (t->second < 60 ? t->second : 59);
        m.zone = icaltime_is_utc(*t) ? "UTC" : zone;
    }
    return m;
}

static const char *zone_of(icalproperty *property)
{
    icalparameter *p = icalproperty_get_first_parameter(property, ICAL_TZID_PARAMETER);
    return p ? icalparameter_get_tzid(p) : NULL;
}

static int read_time(import *in, const event *e, icalproperty *property, const char *name, int nth,
                     struct icaltimetype t, moment *out)
{
    if (!is_valid(&t))
        return fail(in, JM_ERR_INVALID, e, name, nth, "there is no such day or time");
    *out = moment_of(&t, zone_of(property));
    return JM_OK;
}

static int find_zone(import *in, const event *e, const char *name, int nth, const char *zone,
                     const jm_zone **out)
{
    jm_err ignored;
    if (!jm_zone_cache_get(in->zones, zone, out, &ignored))
        return JM_OK;
    return fail(in, JM_ERR_UNSUPPORTED, e, name, nth,
                "it is in another time zone than DTSTART, and \"%s\" is none of the system's",
                zone);
}

/* Makes it a time of the zone of the event's start. Dates, and times without a zone, stay. */
static int to_zone_of_start(import *in, const event *e, const char *name, int nth, moment *m)
{
    const jm_zone *from, *to;
    const char *zone = e->start.zone;
    if (m->is_date || !m->zone || !zone || !strcmp(m->zone, zone))
        return JM_OK;
    if (find_zone(in, e, name, nth, m->zone, &from) || find_zone(in, e, name, nth, zone, &to))
        return in->err->code;
    int64_t local = m->day * DAY_S + m->second;
    int64_t utc = local - jm_zone_find(from, local).offset_s;
    utc = local - jm_zone_find(from, utc).offset_s; /* the first guess took local time for UTC */
    local = utc + jm_zone_find(to, utc).offset_s;
    m->second = (int)((local % DAY_S + DAY_S) % DAY_S);
    m->day = (local - m->second) / DAY_S;
    m->zone = zone;
    return JM_OK;
}

/* ---- reading an event ---- */

/* The properties of that name must all have been understood. */
static int check_read(import *in, const event *e, icalproperty_kind kind, const char *name)
{
    int n = 0, written = jm_ical_event_count(e->at, name, 0, NULL);
    for (icalproperty *p = icalcomponent_get_first_property(e->component, kind); p;
         p = icalcomponent_get_next_property(e->component, kind))
        n++;
    return n >= written ? JM_OK : fail(in, JM_ERR_INVALID, e, name, 0, "it cannot be understood");
}

/* The one property of that kind, or NULL. */
static int read_single(import *in, const event *e, icalproperty_kind kind, const char *name,
                       icalproperty **out)
{
    *out = icalcomponent_get_first_property(e->component, kind);
    if (check_read(in, e, kind, name))
        return in->err->code;
    if (jm_ical_event_count(e->at, name, 0, NULL) > 1)
        return fail(in, JM_ERR_INVALID, e, name, 1, "it is there twice");
    return JM_OK;
}

static int64_t seconds_of(struct icaldurationtype d)
{
    return ((int64_t)d.weeks * 7 + d.days) * DAY_S + (int64_t)d.hours * 3600 +
           (int64_t)d.minutes * 60 + d.seconds;
}

/* Whole days for dates. */
static int64_t length_of(const event *e, int64_t s)
{
    if (!e->start.is_date)
        return s;
    return s < DAY_S ? DAY_S : (s + DAY_S - 1) / DAY_S * DAY_S;
}

static int read_length(import *in, event *e)
{
    icalproperty *dtend, *duration;
    moment m = {0};
    if (read_single(in, e, ICAL_DTEND_PROPERTY, "DTEND", &dtend) ||
        read_single(in, e, ICAL_DURATION_PROPERTY, "DURATION", &duration))
        return in->err->code;
    e->length_s = length_of(e, 0);
    if (duration) {
        struct icaldurationtype d = icalproperty_get_duration(duration);
        if (d.is_neg)
            return fail(in, JM_ERR_INVALID, e, "DURATION", 0, "it is negative");
        e->length_s = length_of(e, seconds_of(d));
    }
    if (!dtend)
        return JM_OK;
    if (read_time(in, e, dtend, "DTEND", 0, icalproperty_get_dtend(dtend), &m))
        return in->err->code;
    if (m.is_date != e->start.is_date)
        return fail(in, JM_ERR_INVALID, e, "DTEND", 0, "a %s expected, as DTSTART",
                    e->start.is_date ? "date" : "time");
    if (to_zone_of_start(in, e, "DTEND", 0, &m))
        return in->err->code;
    int64_t s = (m.day - e->start.day) * DAY_S + m.second - e->start.second;
    if (s < 0)
        return fail(in, JM_ERR_INVALID, e, "DTEND", 0, "it lies before DTSTART");
    e->length_s = length_of(e, s);
    return JM_OK;
}

static int read_change(import *in, event *e)
{
    icalproperty *id;
    if (read_single(in, e, ICAL_RECURRENCEID_PROPERTY, "RECURRENCE-ID", &id) || !id)
        return id ? in->err->code : JM_OK;
    if (icalproperty_get_first_parameter(id, ICAL_RANGE_PARAMETER))
        return fail(in, JM_ERR_UNSUPPORTED, e, "RECURRENCE-ID", 0,
                    "changes of all later occurrences are not supported");
    e->is_change = true;
    return read_time(in, e, id, "RECURRENCE-ID", 0, icalproperty_get_recurrenceid(id), &e->changed);
}

/* Local times need no rules, but a zone that is defined nowhere is a mistake. */
static int check_zone(import *in, const event *e)
{
    const jm_zone *zone;
    jm_err ignored;
    if (!e->start.zone || !strcmp(e->start.zone, "UTC"))
        return JM_OK;
    if (spend(in, (int64_t)in->found->n_zones))
        return in->err->code;
    if (jm_ical_events_has_zone(in->found, e->start.zone) ||
        !jm_zone_cache_get(in->zones, e->start.zone, &zone, &ignored))
        return JM_OK;
    return fail(in, JM_ERR_INVALID, e, "DTSTART", 0,
                "\"%s\" is neither a time zone of the system nor a VTIMEZONE of the file",
                e->start.zone);
}

static int read_event(import *in, event *e)
{
    icalproperty *dtstart, *status, *uid;
    char *text = jm_strndup(e->at->at, e->at->len);
    e->component = icalparser_parse_string(text);
    free(text);
    if (!e->component || icalcomponent_isa(e->component) != ICAL_VEVENT_COMPONENT)
        return jm_err_set(in->err, JM_ERR_INVALID, "line %d: the event cannot be understood",
                          e->at->line);
    if (read_single(in, e, ICAL_DTSTART_PROPERTY, "DTSTART", &dtstart) ||
        read_single(in, e, ICAL_STATUS_PROPERTY, "STATUS", &status))
        return in->err->code;
    if (!dtstart)
        return jm_err_set(in->err, JM_ERR_INVALID, "line %d: the event has no DTSTART",
                          e->at->line);
    e->cancelled = status && icalproperty_get_status(status) == ICAL_STATUS_CANCELLED;
    uid = icalcomponent_get_first_property(e->component, ICAL_UID_PROPERTY);
    e->uid = uid ? icalproperty_get_uid(uid) : NULL;
    if (read_time(in, e, dtstart, "DTSTART", 0, icalproperty_get_dtstart(dtstart), &e->start) ||
        read_length(in, e))
        return in->err->code;
    return check_zone(in, e) ? in->err->code : read_change(in, e);
}

/* ---- exceptions ---- */

static int by_place(const void *a, const void *b)
{
    const exception *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return (x->second > y->second) - (x->second < y->second);
}

static int by_uid(const void *a, const void *b)
{
    return strcmp((*(event *const *)a)->uid, (*(event *const *)b)->uid);
}

/* e: the event that recurs; where the exception was read (of, name, nth) is for messages. */
static int add_exception(import *in, const event *e, const event *of, const char *name, int nth,
                         moment m)
{
    event view = *of; /* the place of one event, the zone of the other */
    view.start = e->start;
    if (spend(in, 1) || to_zone_of_start(in, &view, name, nth, &m))
        return in->err->code;
    if (in->n_exceptions == in->cap_exceptions) {
        in->cap_exceptions = in->cap_exceptions ? in->cap_exceptions * 2 : 64;
        in->exceptions = jm_realloc(in->exceptions, in->cap_exceptions * sizeof *in->exceptions);
    }
    bool whole_day = m.is_date || e->start.is_date;
    in->exceptions[in->n_exceptions++] = (exception){m.day, whole_day ? WHOLE_DAY : m.second};
    return JM_OK;
}

/* Occurrences that an event of their own stands for. */
static int add_changes(import *in, const event *e)
{
    size_t low = 0, high = in->n_changes;
    while (e->uid && low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(in->changes[middle]->uid, e->uid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; e->uid && low < in->n_changes && !strcmp(in->changes[low]->uid, e->uid); low++) {
        const event *change = in->changes[low];
        if (add_exception(in, e, change, "RECURRENCE-ID", 0, change->changed))
            return in->err->code;
    }
    return JM_OK;
}

static int read_exceptions(import *in, const event *e)
{
    int nth = 0;
    moment m = {0};
    in->n_exceptions = 0;
    if (check_read(in, e, ICAL_EXDATE_PROPERTY, "EXDATE"))
        return in->err->code;
    for (icalproperty *p = icalcomponent_get_first_property(e->component, ICAL_EXDATE_PROPERTY); p;
         p = icalcomponent_get_next_property(e->component, ICAL_EXDATE_PROPERTY), nth++) {
        if (read_time(in, e, p, "EXDATE", nth, icalproperty_get_exdate(p), &m) ||
            add_exception(in, e, e, "EXDATE", nth, m))
            return in->err->code;
    }
    if (add_changes(in, e))
        return in->err->code;
    if (in->n_exceptions)
        qsort(in->exceptions, in->n_exceptions, sizeof *in->exceptions, by_place);
    return JM_OK;
}

static bool is_excepted(const import *in, const moment *m)
{
    exception whole = {m->day, WHOLE_DAY}, exact = {m->day, m->second};
    if (!in->n_exceptions)
        return false;
    return bsearch(&whole, in->exceptions, in->n_exceptions, sizeof whole, by_place) ||
           bsearch(&exact, in->exceptions, in->n_exceptions, sizeof exact, by_place);
}

/* ---- days ---- */

/* The days that something of that length touches. */
static int close_days(import *in, const moment *start, int64_t length_s)
{
    int64_t day = start->day, end = day;
    if (length_s > 0)
        end += (start->second + length_s - 1) / DAY_S;
    day = day > in->first ? day : in->first;
    end = end < in->last ? end : in->last;
    if (day > end)
        return JM_OK;
    if (spend(in, end - day + 1))
        return in->err->code;
    for (; day <= end; day++) {
        in->n_closed += !in->closed[day - in->first];
        in->closed[day - in->first] = true;
    }
    if (in->n_closed > JM_CALENDAR_ICAL_DAYS_MAX)
        return jm_err_set(in->err, JM_ERR_INVALID,
                          "its events take more than %d days: import fewer years",
                          JM_CALENDAR_ICAL_DAYS_MAX);
    return JM_OK;
}

static int occur(import *in, const moment *start, int64_t length_s)
{
    if (spend(in, 1))
        return in->err->code;
    return is_excepted(in, start) ? JM_OK : close_days(in, start, length_s);
}

/* ---- rules of recurrence ---- */

static int count_of(const short *list)
{
    int n = 0;
    while (n < 2 && list[n] != ICAL_RECURRENCE_ARRAY_MAX)
        n++;
    return n;
}

static int check_rule(import *in, const event *e, int nth, const struct icalrecurrencetype *rule)
{
    if (rule->freq == ICAL_NO_RECURRENCE || rule->interval < 1)
        return fail(in, JM_ERR_INVALID, e, "RRULE", nth, "it cannot be understood");
    if (rule->freq < ICAL_DAILY_RECURRENCE || count_of(rule->by_hour) > 1 ||
        count_of(rule->by_minute) > 1 || count_of(rule->by_second) > 1)
        return fail(in, JM_ERR_UNSUPPORTED, e, "RRULE", nth,
                    "events several times a day are not supported");
    if (rule->rscale && strcmp(rule->rscale, "GREGORIAN") != 0)
        return fail(in, JM_ERR_UNSUPPORTED, e, "RRULE", nth,
                    "calendars other than the Gregorian are not supported");
    return JM_OK;
}

static struct icaltimetype time_of(const moment *m)
{
    int64_t year;
    struct icaltimetype t = icaltime_null_time();
    jm_civil_from_days(m->day, &year, &t.month, &t.day);
    t.year = (int)year;
    t.hour = m->second / 3600;
    t.minute = m->second / 60 % 60;
    t.second = m->second % 60;
    t.is_date = m->is_date;
    return t;
}

/* Makes UNTIL a time like those that it ends: a date for dates, else one of their zone. */
static int settle_until(import *in, const event *e, int nth, struct icalrecurrencetype *rule)
{
    if (icaltime_is_null_time(rule->until))
        return JM_OK;
    if (!is_valid(&rule->until))
        return fail(in, JM_ERR_INVALID, e, "RRULE", nth, "there is no such day or time in UNTIL");
    moment m = moment_of(&rule->until, NULL);
    if (e->start.is_date)
        m.second = 0;
    else if (m.is_date)
        m.second = DAY_S - 1;
    else if (to_zone_of_start(in, e, "RRULE", nth, &m))
        return in->err->code;
    m.is_date = e->start.is_date;
    rule->until = time_of(&m);
    return JM_OK;
}

static int expand_rule(import *in, const event *e, int nth, struct icalrecurrencetype rule)
{
    if (check_rule(in, e, nth, &rule) || settle_until(in, e, nth, &rule))
        return in->err->code;
    icalrecur_iterator *it = icalrecur_iterator_new(rule, time_of(&e->start));
    if (!it)
        return fail(in, JM_ERR_INVALID, e, "RRULE", nth, "no day can match it");
    int rc = JM_OK;
    while (!rc) {
        struct icaltimetype t = icalrecur_iterator_next(it);
        if (icaltime_is_null_time(t) || !is_valid(&t))
            break;
        moment m = moment_of(&t, e->start.zone);
        if (m.day > in->last)
            break;
        rc = occur(in, &m, e->length_s);
    }
    icalrecur_iterator_free(it);
    return rc ? rc : spend(in, 0);
}

static int expand_rules(import *in, const event *e, int *n)
{
    *n = 0;
    if (check_read(in, e, ICAL_RRULE_PROPERTY, "RRULE"))
        return in->err->code;
    if (icalcomponent_get_first_property(e->component, ICAL_EXRULE_PROPERTY))
        return fail(in, JM_ERR_UNSUPPORTED, e, "EXRULE", 0, "rules of exceptions are obsolete");
    for (icalproperty *p = icalcomponent_get_first_property(e->component, ICAL_RRULE_PROPERTY); p;
         p = icalcomponent_get_next_property(e->component, ICAL_RRULE_PROPERTY), ++*n) {
        if (expand_rule(in, e, *n, icalproperty_get_rrule(p)))
            return in->err->code;
    }
    return JM_OK;
}

/* A date that is added: a time, or a period with its own length. */
static int expand_date(import *in, const event *e, int nth, icalproperty *p)
{
    moment m = {0}, end = {0};
    struct icaldatetimeperiodtype value = icalproperty_get_rdate(p);
    bool is_period = !icalperiodtype_is_null_period(value.period);
    int64_t length_s = e->length_s;
    if (read_time(in, e, p, "RDATE", nth, is_period ? value.period.start : value.time, &m))
        return in->err->code;
    if (is_period && icaltime_is_null_time(value.period.end)) {
        length_s = value.period.duration.is_neg ? 0 : seconds_of(value.period.duration);
    } else if (is_period) {
        if (read_time(in, e, p, "RDATE", nth, value.period.end, &end))
            return in->err->code;
        length_s = (end.day - m.day) * DAY_S + end.second - m.second;
    }
    if (to_zone_of_start(in, e, "RDATE", nth, &m))
        return in->err->code;
    return occur(in, &m, length_s);
}

static int expand(import *in, const event *e)
{
    int n_rules = 0, nth = 0;
    if (e->cancelled)
        return JM_OK;
    if (e->is_change)
        return close_days(in, &e->start, e->length_s);
    if (read_exceptions(in, e) || expand_rules(in, e, &n_rules) ||
        check_read(in, e, ICAL_RDATE_PROPERTY, "RDATE"))
        return in->err->code;
    for (icalproperty *p = icalcomponent_get_first_property(e->component, ICAL_RDATE_PROPERTY); p;
         p = icalcomponent_get_next_property(e->component, ICAL_RDATE_PROPERTY), nth++)
        if (expand_date(in, e, nth, p))
            return in->err->code;
    return n_rules ? JM_OK : occur(in, &e->start, e->length_s);
}

/* ---- the whole ---- */

static int read_events(import *in, const jm_ical_events *found)
{
    in->events = jm_calloc(found->n + 1, sizeof *in->events);
    in->changes = jm_calloc(found->n + 1, sizeof(event *));
    in->found = found;
    for (size_t i = 0; i < found->n; i++) {
        event *e = &in->events[in->n_events++];
        e->at = &found->items[i];
        if (read_event(in, e) || spend(in, 1))
            return in->err->code;
        if (e->is_change && e->uid)
            in->changes[in->n_changes++] = e;
    }
    if (in->n_changes)
        qsort(in->changes, in->n_changes, sizeof *in->changes, by_uid);
    return JM_OK;
}

static void format_day(int64_t day, char text[24])
{
    int64_t year;
    int month, mday;
    jm_civil_from_days(day, &year, &month, &mday);
    snprintf(text, 24, "%04d-%02d-%02d", (int)year, month, mday);
}

static json_t *definition_of(const import *in)
{
    json_t *rules = json_array();
    for (int64_t day = in->first; day <= in->last; day++) {
        int64_t end = day;
        char first[24], last[24], both[50];
        if (!in->closed[day - in->first])
            continue;
        while (end < in->last && in->closed[end + 1 - in->first])
            end++;
        format_day(day, first);
        format_day(end, last);
        snprintf(both, sizeof both, "%s..%s", first, last);
        json_array_append_new(rules, json_string(end > day ? both : first));
        day = end;
    }
    return json_pack("{s:o}", "exclude", rules);
}

static int run(import *in, const jm_ical_events *found, int from_year, int to_year)
{
    if (!found->n)
        return jm_err_set(in->err, JM_ERR_INVALID, "there is no event (VEVENT) in it");
    int rc = read_events(in, found);
    for (size_t i = 0; !rc && i < in->n_events; i++)
        rc = expand(in, &in->events[i]);
    if (!rc && !in->n_closed)
        rc = jm_err_set(in->err, JM_ERR_INVALID, "no event takes place from %d to %d", from_year,
                        to_year);
    return rc;
}

static void import_fini(import *in)
{
    for (size_t i = 0; i < in->n_events; i++)
        if (in->events[i].component)
            icalcomponent_free(in->events[i].component);
    free(in->events);
    free(in->changes);
    free(in->exceptions);
    free(in->closed);
    jm_zone_cache_free(in->zones);
    icalmemory_free_ring();
}

static int check_years(int from_year, int to_year, jm_err *err)
{
    if (from_year < JM_CALENDAR_ICAL_YEAR_MIN || from_year > JM_CALENDAR_ICAL_YEAR_MAX)
        return jm_err_field(err, "from_year", "a year from %d to %d expected",
                            JM_CALENDAR_ICAL_YEAR_MIN, JM_CALENDAR_ICAL_YEAR_MAX);
    if (to_year < from_year || to_year > JM_CALENDAR_ICAL_YEAR_MAX)
        return jm_err_field(err, "to_year", "a year from %d to %d expected", from_year,
                            JM_CALENDAR_ICAL_YEAR_MAX);
    return JM_OK;
}

int jm_calendar_from_ical(const char *text, size_t len, int from_year, int to_year,
                          json_t **definition, jm_err *err)
{
    jm_err local = {0};
    jm_ical_events found;
import in = {.err = err ? err: & local };
    *definition = NULL;
    if (check_years(from_year, to_year, in.err))
        return JM_ERR_INVALID;
    if (len > JM_CALENDAR_ICAL_BYTES_MAX)
        return jm_err_set(in.err, JM_ERR_INVALID, "%zu bytes; at most %d expected", len,
                          JM_CALENDAR_ICAL_BYTES_MAX);
    icalerror_set_errors_are_fatal(0);
    in.first = jm_days_from_civil(from_year, 1, 1);
    in.last = jm_days_from_civil(to_year, 12, 31);
    in.until_ms = jm_mono_ms() + TIME_MAX_MS;
    in.closed = jm_calloc((size_t)(in.last - in.first + 1), sizeof *in.closed);
    in.zones = jm_zone_cache_new(NULL);
    int rc = jm_ical_events_scan(&found, text, len, in.err);
    if (!rc)
        rc = run(&in, &found, from_year, to_year);
    if (!rc)
        *definition = definition_of(&in);
    import_fini(&in);
    jm_ical_events_fini(&found);
    return rc;
}
