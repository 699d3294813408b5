/* Cron expressions: the grammar of Vixie cron, and matching local times by sets of bits. */
#include "producer/cron.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/json_scan.h"

#define DAY_S 86400

/* ---- grammar ---- */

typedef struct field {
    const char *name;
    int min, max;      /* what may be written */
    int top;           /* where '*' and 'n/step' end: 7 is Sunday again, not an eighth day */
    const char *names; /* three letters each, or NULL */
    int first_name;    /* value of the first one */
} field;

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const field fields[FIELDS] = {
    [SECOND] = {"second", 0, 59, 59, NULL, 0},
    [MINUTE] = {"minute", 0, 59, 59, NULL, 0},
    [HOUR] = {"hour", 0, 23, 23, NULL, 0},
    [DAY] = {"day of month", 1, 31, 31, NULL, 0},
    [MONTH] = {"month", 1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1},
    [WEEKDAY] = {"day of week", 0, 7, 6, "sunmontuewedthufrisat", 0},
};

static const struct {
    const char *name, *text;
} macros[] = {
    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

/* Where the parser stands. */
typedef struct cursor {
    const char *text, *p;
    const field *field;
    jm_err *err;
} cursor;

static bool at_end(const cursor *c)
{
    return !*c->p || *c->p == ' ' || *c->p == '\t';
}

static int here(const cursor *c, const char *p)
{
    return (int)(p - c->text) + 1;
}

/* "character 3 (hour): ..." with the text that is there. */
static int fail(cursor *c, const char *p, const char *expected)
{
    int len = (int)strcspn(p, " \t,-/");
    if (!len)
        len = *p && *p != ' ' && *p != '\t';
    if (len > 20)
        len = 20;
    while (len > 0 && !jm_utf8_is_valid(p, (size_t)len, NULL)) /* no half characters */
        len--;
    if (!len)
        return jm_err_field(c->err, "cron_expression", "character %d (%s): %s", here(c, p),
                            c->field->name, expected);
    return jm_err_field(c->err, "cron_expression", "character %d (%s): %s, not \"%.*s\"",
                        here(c, p), c->field->name, expected, len, p);
}

static int fail_unsupported(cursor *c, const char *p)
{
    int code =
        jm_err_set(c->err, JM_ERR_UNSUPPORTED, "character %d (%s): \"%c\" is not supported yet",
                   here(c, p), c->field->name, *p);
    if (c->err)
        memcpy(c->err->field, "cron_expression", sizeof "cron_expression");
    return code;
}

/* Letters of day fields that other crons know. */
static bool is_special(const cursor *c, const char *p)
{
    return *p && strchr("LlWw#", *p) && (c->field == &fields[DAY] || c->field == &fields[WEEKDAY]);
}

static int fail_value(cursor *c, const char *p)
{
    char expected[64];
    if (is_special(c, p))
        return fail_unsupported(c, p);
    if (*p == '?')
        return fail(c, p, "write * for any day");
    snprintf(expected, sizeof expected, "%d to %d%s expected", c->field->min, c->field->max,
             c->field->names ? " or a name of three letters" : "");
    return fail(c, p, expected);
}

/* A number, at most 4 digits. */
static bool read_number(cursor *c, int *out)
{
    const char *p = c->p;
    int v = 0;
    while (isdigit((unsigned char)*p) && p - c->p < 4)
        v = v * 10 + (*p++ - '0');
    if (p == c->p || isdigit((unsigned char)*p))
        return false;
    c->p = p;
    *out = v;
    return true;
}

static bool read_name(cursor *c, int *out)
{
    const char *names = c->field->names;
    if (!names || !isalpha((unsigned char)c->p[0]) || !isalpha((unsigned char)c->p[1]) ||
        !isalpha((unsigned char)c->p[2]) || isalpha((unsigned char)c->p[3]))
        return false;
    for (int i = 0; names[3 * i]; i++) {
        if (!strncasecmp(names + (ptrdiff_t)3 * i, c->p, 3)) {
            c->p += 3;
            *out = c->field->first_name + i;
            return true;
        }
    }
    return false;
}

static int read_value(cursor *c, int *out)
{
    const char *p = c->p;
    if (read_name(c, out))
        return 0;
    if (!read_number(c, out) || *out < c->field->min || *out > c->field->max)
        return fail_value(c, p);
    return 0;
}

/* value | value-value | '*', the last two and "value/" with a step. */
static int read_range(cursor *c, int *from, int *to, int *step)
{
    const char *start = c->p;
    bool open = false; /* a single value, which a step makes a range */
    int code;
    *step = 1;
    if (*c->p == '*') {
        c->p++;
        *from = c->field->min;
        *to = c->field->top;
    } else {
        code = read_value(c, from);
        if (code)
            return code;
        *to = *from;
        open = *c->p != '-';
        if (!open) {
            c->p++;
            code = read_value(c, to);
            if (code)
                return code;
        }
        if (*to < *from)
            return fail(c, start,
                        c->field == &fields[WEEKDAY] && *to == 0
                            ? "a range must not run backwards (Sunday at its end is 7)"
                            : "a range must not run backwards; write it as two");
    }
    if (*c->p != '/')
        return 0;
    start = ++c->p;
    if (!read_number(c, step) || *step == 0)
        return fail(c, start, "a step of 1 to 9999 expected");
    if (open && *to < c->field->top)
        *to = c->field->top;
    return 0;
}

static int read_field(cursor *c, uint64_t *out)
{
    *out = 0;
    for (;;) {
        int from = 0, to = 0, step = 1;
        int code = read_range(c, &from, &to, &step);
        if (code)
            return code;
        for (int v = from; v <= to; v += step)
            *out |= (uint64_t)1 << v;
        if (at_end(c))
            return 0;
        if (is_special(c, c->p))
            return fail_unsupported(c, c->p);
        if (*c->p != ',')
            return fail(c, c->p, "a comma or the end of the field expected");
        c->p++;
    }
}

static int count_fields(const char *text)
{
    int n = 0;
    for (const char *p = text; *p;) {
        p += strspn(p, " \t");
        n += *p != 0;
        p += strcspn(p, " \t");
    }
    return n;
}

static int expand_macro(const char **text, jm_err *err)
{
    const char *name = *text + strspn(*text, " \t");
    if (*name != '@')
        return 0;
    size_t len = strcspn(name, " \t");
    for (size_t i = 0; i < sizeof macros / sizeof *macros; i++) {
        if (strlen(macros[i].name) == len && !strncasecmp(macros[i].name, name, len) &&
            !name[len + strspn(name + len, " \t")]) {
            *text = macros[i].text;
            return 0;
        }
    }
    return jm_err_field(err, "cron_expression",
                        "character %d: @hourly, @daily, @weekly, @monthly or @yearly expected",
                        (int)(name - *text) + 1);
}

/* ---- matching ---- */

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int64_t year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Bits 1..31: the days of that month that match. first_day: days since 1970 of its first. */
static uint32_t matching_days(const jm_cron *cron, int64_t year, int month, int64_t first_day)
{
    int weekday = (int)(((first_day + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    uint64_t week = (uint64_t)cron->weekdays << 7 | cron->weekdays;
    week = week >> weekday & 0x7f;
    uint64_t by_weekday = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
    uint64_t days = cron->either_day ? by_weekday | cron->days : by_weekday & cron->days;
    return (uint32_t)(days & (((uint64_t)2 << days_in_month(year, month)) - 2));
}

/* The first day >= from_day that matches, below to_day. */
static bool next_day(const jm_cron *cron, int64_t from_day, int64_t to_day, int64_t *out)
{
    int64_t year;
    int month, day;
    jm_civil_from_days(from_day, &year, &month, &day);
    int64_t first = from_day - (day - 1);
    while (first < to_day) {
        if (cron->months >> month & 1) {
            uint32_t days = matching_days(cron, year, month, first) & ~((1U << day) - 1);
            if (days) {
                *out = first + __builtin_ctz(days) - 1;
                return *out < to_day;
            }
        }
        first += days_in_month(year, month);
        day = 1;
        if (++month > 12) {
            month = 1;
            year++;
        }
    }
    return false;
}

/* The first bit >= from, or -1. */
static int next_bit(uint64_t bits, int from)
{
    if (from > 63)
        return -1;
    bits &= ~(((uint64_t)1 << from) - 1);
    return bits ? __builtin_ctzll(bits) : -1;
}

/* The first matching second of a day that is >= from, or -1. */
static int next_time(const jm_cron *cron, int from)
{
    int hour = from / 3600, minute = from / 60 % 60, second = from % 60;
    int h = next_bit(cron->hours, hour);
    if (h < 0)
        return -1;
    if (h == hour) {
        int m = next_bit(cron->minutes, minute);
        int s = m == minute ? next_bit(cron->seconds, second) : 0;
        if (m == minute && s < 0)
            m = next_bit(cron->minutes, minute + 1);
        if (m == minute)
            return h * 3600 + m * 60 + s;
        if (m >= 0)
            return h * 3600 + m * 60 + __builtin_ctzll(cron->seconds);
        h = next_bit(cron->hours, hour + 1);
        if (h < 0)
            return -1;
    }
    return h * 3600 + __builtin_ctzll(cron->minutes) * 60 + __builtin_ctzll(cron->seconds);
}

static int64_t day_of(int64_t local_s)
{
    return local_s >= 0 ? local_s / DAY_S : -((DAY_S - 1 - local_s) / DAY_S);
}

bool jm_cron_next(const jm_cron *cron, int64_t from_s, int64_t to_s, int64_t *out_s)
{
    int64_t today = day_of(from_s), to_day = day_of(to_s) + 1, day;
    if (from_s >= to_s || !next_day(cron, today, to_day, &day))
        return false;
    int time = next_time(cron, day == today ? (int)(from_s - today * DAY_S) : 0);
    if (time < 0) { /* nothing left of today */
        if (!next_day(cron, today + 1, to_day, &day))
            return false;
        time = next_time(cron, 0);
    }
    *out_s = day * DAY_S + time;
    return *out_s < to_s;
}

/* Matches before that second of a day. */
static int64_t count_times(const jm_cron *cron, int before)
{
    int hour = before / 3600, minute = before / 60 % 60, second = before % 60;
    int64_t seconds = __builtin_popcountll(cron->seconds);
    int64_t minutes = __builtin_popcountll(cron->minutes);
    int64_t n = __builtin_popcountll(cron->hours & (((uint64_t)1 << hour) - 1)) * minutes * seconds;
    if (cron->hours >> hour & 1) {
        n += __builtin_popcountll(cron->minutes & (((uint64_t)1 << minute) - 1)) * seconds;
        if (cron->minutes >> minute & 1)
            n += __builtin_popcountll(cron->seconds & (((uint64_t)1 << second) - 1));
    }
    return n;
}

/* Matching days in [from, to). */
static int64_t count_days(const jm_cron *cron, int64_t from, int64_t to)
{
    int64_t year, n = 0;
    int month, day;
    if (from >= to)
        return 0;
    jm_civil_from_days(from, &year, &month, &day);
    int64_t first = from - (day - 1);
    while (first < to) {
        if (cron->months >> month & 1) {
            uint64_t days = matching_days(cron, year, month, first) & ~((1U << day) - 1);
            if (to - first < 31)
                days &= ((uint64_t)2 << (to - first)) - 1;
            n += __builtin_popcountll(days);
        }
        first += days_in_month(year, month);
        day = 1;
        if (++month > 12) {
            month = 1;
            year++;
        }
    }
    return n;
}

/* Matches of that day before to_s. */
static int64_t count_partial(const jm_cron *cron, int64_t day, int64_t to_s)
{
    int64_t match;
    if (to_s <= day * DAY_S || !next_day(cron, day, day + 1, &match))
        return 0;
    return count_times(cron, (int)(to_s - day * DAY_S));
}

int64_t jm_cron_count(const jm_cron *cron, int64_t from_s, int64_t to_s)
{
    if (from_s >= to_s)
        return 0;
    int64_t from_day = day_of(from_s), to_day = day_of(to_s);
    int64_t per_day = (int64_t)__builtin_popcountll(cron->seconds) *
                      __builtin_popcountll(cron->minutes) * __builtin_popcount(cron->hours);
    return count_days(cron, from_day, to_day) * per_day + count_partial(cron, to_day, to_s) -
           count_partial(cron, from_day, from_s);
}

/* ---- parsing ---- */

static int check_possible(const jm_cron *cron, jm_err *err)
{
    int64_t day;
    /* Dates repeat after 400 years, weekdays too. */
    if (next_day(cron, 0, 146097, &day))
        return 0;
    return jm_err_field(err, "cron_expression", "no such day exists in any year");
}

int jm_cron_parse(jm_cron *out, const char *text, jm_err *err)
{
    if (strlen(text) > JM_CRON_TEXT_MAX)
        return jm_err_field(err, "cron_expression", "longer than %d characters", JM_CRON_TEXT_MAX);
    int code = expand_macro(&text, err);
    if (code)
        return code;
    int n = count_fields(text);
    if (n != 5 && n != 6)
        return jm_err_field(err, "cron_expression",
                            "5 fields expected (minute, hour, day of month, month, day of week), "
                            "or 6 with seconds first, not %d",
                            n);
    uint64_t sets[FIELDS] = {[SECOND] = 1};
    bool star[FIELDS] = {false};
    cursor c = {.text = text, .p = text, .err = err};
    for (int i = n == 6 ? SECOND : MINUTE; i < FIELDS; i++) {
        c.field = &fields[i];
        c.p += strspn(c.p, " \t");
        star[i] = *c.p == '*';
        code = read_field(&c, &sets[i]);
        if (code)
            return code;
    }
    *out = (jm_cron){.seconds = sets[SECOND],
                     .minutes = sets[MINUTE],
                     .hours = (uint32_t)sets[HOUR],
                     .days = (uint32_t)sets[DAY],
                     .months = (uint16_t)sets[MONTH],
                     .weekdays = (uint8_t)((sets[WEEKDAY] | sets[WEEKDAY] >> 7) & 0x7f),
                     .either_day = !star[DAY] && !star[WEEKDAY],
                     .fixed = !star[MINUTE] && !star[HOUR]};
    return check_possible(out, err);
}
