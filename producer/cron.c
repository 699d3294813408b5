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
/* 100 years of 365.25 days */
#define EVERY_MAX_S 3155760000LL

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
    jm_cron *cron; /* takes what is no set of values */
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
    int len = (int)strcspn(p, " \t,-/#");
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

static bool is_letter(const char *p, char letter)
{
    return tolower((unsigned char)*p) == letter;
}

static bool is_day_field(const cursor *c)
{
    return c->field == &fields[DAY] || c->field == &fields[WEEKDAY];
}

static int fail_value(cursor *c, const char *p)
{
    char expected[112];
    if (c->field == &fields[DAY] && is_letter(p, 'w'))
        return fail(c, p, "a day in front of W expected, such as 15W");
    snprintf(expected, sizeof expected, "%d to %d%s expected%s", c->field->min, c->field->max,
             c->field->names ? " or a name of three letters" : "",
             *p != '?'         ? ""
             : is_day_field(c) ? " (? stands alone)"
                               : " (? is for the day fields; * stands for any)");
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

static size_t count_letters(const char *p)
{
    size_t n = 0;
    while (isalpha((unsigned char)p[n]))
        n++;
    return n;
}

static bool read_name(cursor *c, int *out)
{
    const char *names = c->field->names;
    size_t n = count_letters(c->p);
    bool last = n == 4 && c->field == &fields[WEEKDAY] && is_letter(c->p + 3, 'l'); /* friL */
    if (!names || (n != 3 && !last))
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

/* What is refused is shown as it could be written: 22-2 as 22-23,0-2. */
static int fail_backwards(cursor *c, const char *start, int from, int to)
{
    char expected[112];
    if (c->field == &fields[WEEKDAY] && to == 0)
        return fail(c, start, "a range must not run backwards (Sunday at its end is 7)");
    snprintf(expected, sizeof expected,
             "a range must not run backwards; write it as two, such as %d-%d,%d-%d", from,
             c->field->top, c->field->min, to);
    return fail(c, start, expected);
}

/* value | value-value | '*', the last two and "value/" with a step. single: only a value so far. */
static int read_range(cursor *c, int *from, int *to, bool *single)
{
    const char *start = c->p;
    *single = false;
    if (*c->p == '*') {
        c->p++;
        *from = c->field->min;
        *to = c->field->top;
        return 0;
    }
    int code = read_value(c, from);
    if (code)
        return code;
    *to = *from;
    *single = *c->p != '-';
    if (*single)
        return 0;
    c->p++;
    code = read_value(c, to);
    if (code)
        return code;
    return *to < *from ? fail_backwards(c, start, *from, *to) : 0;
}

/* "/n", if it is there. */
static int read_step(cursor *c, bool single, int *to, int *step)
{
    *step = 1;
    if (*c->p != '/')
        return 0;
    const char *start = ++c->p;
    if (!read_number(c, step) || *step == 0)
        return fail(c, start, "a step of 1 to 9999 expected");
    if (single && *to < c->field->top)
        *to = c->field->top;
    return 0;
}

/* From an L on: L, L-3 and LW in the day of month; in the day of week L is Saturday, as in Quartz.
 */
static int read_last(cursor *c, uint64_t *set)
{
    int days = 0;
    c->p++;
    if (c->field == &fields[WEEKDAY]) {
        *set |= 1 << 6;
        return 0;
    }
    if (is_letter(c->p, 'w')) {
        c->p++;
        c->cron->last_workday = true;
        return 0;
    }
    if (*c->p == '-') {
        const char *start = ++c->p;
        if (!read_number(c, &days) || days > 30)
            return fail(c, start, "0 to 30 days before the last one expected");
    }
    c->cron->days_to_last |= 1U << days;
    return 0;
}

/* The k of fri#k. */
static int read_nth(cursor *c, int weekday)
{
    const char *start = ++c->p;
    int k;
    if (!read_number(c, &k) || k < 1 || k > 5)
        return fail(c, start, "1 to 5 expected: which one of the month");
    c->cron->nth_weekdays |= (uint64_t)1 << (7 * (k - 1) + weekday);
    return 0;
}

/* What may follow a single value of a day field: 15W, friL, fri#2. */
static int read_suffix(cursor *c, int value, bool *found)
{
    *found = true;
    if (c->field == &fields[DAY] && is_letter(c->p, 'w')) {
        c->p++;
        c->cron->nearest_days |= 1U << value;
        return 0;
    }
    if (c->field == &fields[WEEKDAY] && is_letter(c->p, 'l')) {
        c->p++;
        c->cron->nth_weekdays |= (uint64_t)1 << (7 * 5 + value % 7);
        return 0;
    }
    if (c->field == &fields[WEEKDAY] && *c->p == '#')
        return read_nth(c, value % 7);
    *found = false;
    return 0;
}

static int read_item(cursor *c, uint64_t *set)
{
    int from = 0, to = 0, step = 1;
    bool single, found = false;
    if (is_day_field(c) && is_letter(c->p, 'l'))
        return read_last(c, set);
    int code = read_range(c, &from, &to, &single);
    if (!code && single)
        code = read_suffix(c, from, &found);
    if (code || found)
        return code;
    code = read_step(c, single, &to, &step);
    for (int v = from; !code && v <= to; v += step)
        *set |= (uint64_t)1 << v;
    return code;
}

static int fail_rest(cursor *c)
{
    if (c->field == &fields[DAY] && is_letter(c->p, 'w'))
        return fail(c, c->p, "W takes a single day");
    if (c->field == &fields[WEEKDAY] && (is_letter(c->p, 'l') || *c->p == '#'))
        return fail(c, c->p, "L and # take a single day of the week");
    return fail(c, c->p, "a comma or the end of the field expected");
}

static int read_field(cursor *c, uint64_t *out)
{
    *out = 0;
    if (is_day_field(c) && *c->p == '?') {
        *out = UINT64_MAX >> (63 - c->field->top) & UINT64_MAX << c->field->min;
        c->p++;
        return at_end(c) ? 0 : fail(c, c->p, "the end of the field expected (? stands alone)");
    }
    for (;;) {
        int code = read_item(c, out);
        if (code)
            return code;
        if (at_end(c))
            return 0;
        if (*c->p != ',')
            return fail_rest(c);
        c->p++;
    }
}

/* *bad: where the seventh begins, else behind the last. */
static int count_fields(const char *text, int *bad)
{
    int n = 0;
    *bad = 1;
    for (const char *p = text; *p;) {
        p += strspn(p, " \t");
        n += *p != 0;
        if (*p && n == FIELDS + 1)
            *bad = (int)(p - text) + 1;
        p += strcspn(p, " \t");
        if (n <= FIELDS && p > text && p[-1] != ' ' && p[-1] != '\t')
            *bad = (int)(p - text) + 1;
    }
    return n;
}

static int check_fields(const char *text, int *n, jm_err *err)
{
    int bad;
    *n = count_fields(text, &bad);
    if (*n == FIELDS || *n == FIELDS - 1)
        return 0;
    return jm_err_field(err, "cron_expression",
                        "character %d: %s; 5 fields expected (minute, hour, day of month, month, "
                        "day of week), or 6 with seconds first, not %d",
                        bad, *n > FIELDS ? "a field too many" : "fields are missing at the end",
                        *n);
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && !strncasecmp(word, text, len);
}

static int expand_macro(const char **text, jm_err *err)
{
    const char *name = *text + strspn(*text, " \t");
    if (*name != '@')
        return 0;
    int at = (int)(name - *text) + 1;
    size_t len = strcspn(name, " \t");
    for (size_t i = 0; i < sizeof macros / sizeof *macros; i++) {
        if (!is_word(name, len, macros[i].name))
            continue;
        const char *rest = name + len + strspn(name + len, " \t");
        if (*rest)
            return jm_err_field(err, "cron_expression",
                                "character %d: the end expected; %s stands alone",
                                (int)(rest - *text) + 1, macros[i].name);
        *text = macros[i].text;
        return 0;
    }
    if (is_word(name, len, "@every"))
        return jm_err_field(err, "cron_expression",
                            "character %d: @every is an interval, not a cron expression", at);
    return jm_err_field(err, "cron_expression",
                        "character %d: @hourly, @daily, @weekly, @monthly, @yearly or @every "
                        "expected",
                        at);
}

int jm_cron_every(const char *text, int64_t *out_s, jm_err *err)
{
    char duration[64];
    int64_t us;
    *out_s = 0;
    const char *p = text + strspn(text, " \t");
    size_t len = strcspn(p, " \t");
    if (!is_word(p, len, "@every"))
        return 0;
    p += len;
    p += strspn(p, " \t");
    len = strcspn(p, " \t");
    if (len >= sizeof duration || p[len + strspn(p + len, " \t")])
        return jm_err_field(err, "cron_expression",
                            "character %d: one duration such as 90s, 5m or 1h30m expected",
                            (int)(p - text) + 1);
    memcpy(duration, p, len);
    duration[len] = 0;
    if (jm_duration_parse(duration, &us, err))
        return jm_err_field(err, "cron_expression",
                            "character %d: a duration such as 90s, 5m or 1h30m expected",
                            (int)(p - text) + 1);
    if (us % 1000000 || us < 1000000 || us / 1000000 > EVERY_MAX_S)
        return jm_err_field(err, "cron_expression",
                            "character %d: whole seconds expected, 1s to 100 years",
                            (int)(p - text) + 1);
    *out_s = us / 1000000;
    return 0;
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

typedef struct month {
    int64_t year, first; /* days since 1970 of its first day */
    int month, length;
} month;

static month month_of(int64_t day_number)
{
    month m;
    int day;
    jm_civil_from_days(day_number, &m.year, &m.month, &day);
    m.first = day_number - (day - 1);
    m.length = days_in_month(m.year, m.month);
    return m;
}

static void go_forward(month *m)
{
    m->first += m->length;
    if (++m->month > 12) {
        m->month = 1;
        m->year++;
    }
    m->length = days_in_month(m->year, m->month);
}

static void go_back(month *m)
{
    if (--m->month < 1) {
        m->month = 12;
        m->year--;
    }
    m->length = days_in_month(m->year, m->month);
    m->first -= m->length;
}

/* Sets of days of a month have bits 1..31; of a week, bits 0..6 with Sunday first. */

static uint32_t month_mask(const month *m)
{
    return (uint32_t)(((uint64_t)2 << m->length) - 2);
}

static int weekday_of(int64_t day_number)
{
    return (int)(((day_number + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

/* The set of weekdays with that weekday as bit 0. */
static uint64_t turned(uint64_t week, int weekday)
{
    return (week << 7 | week) >> weekday & 0x7f;
}

static uint32_t every_week(uint64_t week, int first_weekday)
{
    week = turned(week, first_weekday);
    return (uint32_t)((week | week << 7 | week << 14 | week << 21 | week << 28) << 1);
}

/* Saturdays become the day before, Sundays the one behind, unless that is another month. */
static uint32_t nearest_workdays(uint32_t days, const month *m, int first_weekday)
{
    uint32_t first = 1U << 1, last = 1U << m->length;
    days &= month_mask(m);
    uint32_t saturdays = days & every_week(1 << 6, first_weekday);
    uint32_t sundays = days & every_week(1 << 0, first_weekday);
    uint32_t found = days & ~saturdays & ~sundays;
    found |= (saturdays & ~first) >> 1 | (saturdays & first) << 2;
    return found | (sundays & ~last) << 1 | (sundays & last) >> 2;
}

static uint32_t nth_weekdays(uint64_t nth, const month *m, int first_weekday)
{
    uint64_t found = 0;
    for (int k = 0; k < 5; k++)
        found |= turned(nth >> 7 * k & 0x7f, first_weekday) << (7 * k + 1);
    int begin = m->length - 6; /* of the last seven days */
    return (uint32_t)(found | turned(nth >> 35, (first_weekday + begin - 1) % 7) << begin);
}

static uint32_t days_before_last(uint32_t set, const month *m)
{
    uint32_t found = 0;
    for (; set; set &= set - 1)
        found |= __builtin_ctz(set) < m->length ? 1U << (m->length - __builtin_ctz(set)) : 0;
    return found;
}

static uint32_t matching_days(const jm_cron *cron, const month *m)
{
    int weekday = weekday_of(m->first);
    uint32_t by_day = cron->days, by_weekday = every_week(cron->weekdays, weekday);
    if (cron->days_to_last)
        by_day |= days_before_last(cron->days_to_last, m);
    if (cron->nearest_days)
        by_day |= nearest_workdays(cron->nearest_days, m, weekday);
    if (cron->last_workday)
        by_day |= nearest_workdays(1U << m->length, m, weekday);
    if (cron->nth_weekdays)
        by_weekday |= nth_weekdays(cron->nth_weekdays, m, weekday);
    return (cron->either_day ? by_day | by_weekday : by_day & by_weekday) & month_mask(m);
}

/* The first day >= from_day that matches, below to_day. */
static bool next_day(const jm_cron *cron, int64_t from_day, int64_t to_day, int64_t *out)
{
    month m = month_of(from_day);
    uint32_t left = ~0U << (from_day - m.first + 1);
    for (; m.first < to_day; go_forward(&m), left = ~0U) {
        uint32_t days = cron->months >> m.month & 1 ? matching_days(cron, &m) & left : 0;
        if (days) {
            *out = m.first + __builtin_ctz(days) - 1;
            return *out < to_day;
        }
    }
    return false;
}

/* The last day < to_day that matches, not below from_day. */
static bool previous_day(const jm_cron *cron, int64_t from_day, int64_t to_day, int64_t *out)
{
    month m = month_of(to_day - 1);
    uint32_t left = (uint32_t)(((uint64_t)2 << (to_day - m.first)) - 1);
    for (; m.first + m.length > from_day; go_back(&m), left = ~0U) {
        uint32_t days = cron->months >> m.month & 1 ? matching_days(cron, &m) & left : 0;
        if (days) {
            *out = m.first + 31 - __builtin_clz(days) - 1;
            return *out >= from_day;
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

/* The last bit <= from, or -1. */
static int previous_bit(uint64_t bits, int from)
{
    if (from < 0)
        return -1;
    bits &= UINT64_MAX >> (63 - from);
    return bits ? 63 - __builtin_clzll(bits) : -1;
}

static int last_bit(uint64_t bits)
{
    return 63 - __builtin_clzll(bits);
}

/* The last matching second of a day that is <= from, or -1. */
static int previous_time(const jm_cron *cron, int from)
{
    int hour = from / 3600, minute = from / 60 % 60, second = from % 60;
    int h = previous_bit(cron->hours, hour);
    if (h < 0)
        return -1;
    if (h == hour) {
        int m = previous_bit(cron->minutes, minute);
        int s = m == minute ? previous_bit(cron->seconds, second) : last_bit(cron->seconds);
        if (m == minute && s < 0) {
            m = previous_bit(cron->minutes, minute - 1);
            s = last_bit(cron->seconds);
        }
        if (m >= 0)
            return h * 3600 + m * 60 + s;
        h = previous_bit(cron->hours, hour - 1);
        if (h < 0)
            return -1;
    }
    return h * 3600 + last_bit(cron->minutes) * 60 + last_bit(cron->seconds);
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

bool jm_cron_previous(const jm_cron *cron, int64_t from_s, int64_t to_s, int64_t *out_s)
{
    if (from_s >= to_s)
        return false;
    int64_t from_day = day_of(from_s), today = day_of(to_s - 1), day;
    if (!previous_day(cron, from_day, today + 1, &day))
        return false;
    int time = previous_time(cron, day == today ? (int)(to_s - 1 - today * DAY_S) : DAY_S - 1);
    if (time < 0) { /* nothing in today's beginning */
        if (!previous_day(cron, from_day, today, &day))
            return false;
        time = previous_time(cron, DAY_S - 1);
    }
    *out_s = day * DAY_S + time;
    return *out_s >= from_s;
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
    int64_t n = 0;
    if (from >= to)
        return 0;
    month m = month_of(from);
    uint64_t left = UINT64_MAX << (from - m.first + 1);
    for (; m.first < to; go_forward(&m), left = UINT64_MAX) {
        if (!(cron->months >> m.month & 1))
            continue;
        if (to - m.first < 31)
            left &= ((uint64_t)2 << (to - m.first)) - 1;
        n += __builtin_popcountll(matching_days(cron, &m) & left);
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

/* at: where each field begins, from 1. */
static int check_possible(const jm_cron *cron, const int at[FIELDS], jm_err *err)
{
    int64_t day;
    jm_cron any_weekday = *cron;
    /* Dates repeat after 400 years, weekdays too. */
    if (next_day(cron, 0, 146097, &day))
        return 0;
    any_weekday.weekdays = 0x7f;
    any_weekday.either_day = false;
    if (next_day(&any_weekday, 0, 146097, &day))
        return jm_err_field(err, "cron_expression",
                            "character %d (%s): no such day is one of the days of month",
                            at[WEEKDAY], fields[WEEKDAY].name);
    return jm_err_field(err, "cron_expression",
                        "character %d (%s): no such day exists in any of the months", at[DAY],
                        fields[DAY].name);
}

int jm_cron_parse(jm_cron *out, const char *text, jm_err *err)
{
    if (strlen(text) > JM_CRON_TEXT_MAX)
        return jm_err_field(err, "cron_expression", "longer than %d characters", JM_CRON_TEXT_MAX);
    int code = expand_macro(&text, err);
    if (code)
        return code;
    int n;
    code = check_fields(text, &n, err);
    if (code)
        return code;
    uint64_t sets[FIELDS] = {[SECOND] = 1};
    bool star[FIELDS] = {false};
    int at[FIELDS] = {0};
    *out = (jm_cron){0};
    cursor c = {.text = text, .p = text, .cron = out, .err = err};
    for (int i = n == 6 ? SECOND : MINUTE; i < FIELDS; i++) {
        c.field = &fields[i];
        c.p += strspn(c.p, " \t");
        at[i] = here(&c, c.p);
        star[i] = *c.p == '*' || *c.p == '?';
        code = read_field(&c, &sets[i]);
        if (code)
            return code;
    }
    out->seconds = sets[SECOND];
    out->minutes = sets[MINUTE];
    out->hours = (uint32_t)sets[HOUR];
    out->days = (uint32_t)sets[DAY];
    out->months = (uint16_t)sets[MONTH];
    out->weekdays = (uint8_t)((sets[WEEKDAY] | sets[WEEKDAY] >> 7) & 0x7f);
    out->either_day = !star[DAY] && !star[WEEKDAY];
    out->fixed = !star[MINUTE] && !star[HOUR];
    return check_possible(out, at, err);
}
