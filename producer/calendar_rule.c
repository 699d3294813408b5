/* One rule of a calendar, from its text. */
#include "producer/calendar_rule.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"

#define BUSINESS_DAY "business-day"

static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

int jm_calendar_month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* ---- dates ---- */

typedef struct date {
    int year, month, mday; /* year 0: every year */
} date;

/* Reads n digits, or nothing. */
static bool digits(const char **p, int n, int *out)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*p)[i]))
            return false;
        value = value * 10 + ((*p)[i] - '0');
    }
    *p += n;
    *out = value;
    return true;
}

/* "YYYY-MM-DD" or "MM-DD", not looked at yet. */
static bool read_date(const char **p, date *out)
{
    const char *q = *p;
    *out = (date){0};
    bool has_year = digits(&q, 4, &out->year);
    if (has_year && *q++ != '-')
        return false;
    if (!digits(&q, 2, &out->month) || *q++ != '-' || !digits(&q, 2, &out->mday))
        return false;
    if (has_year && !out->year)
        out->year = -1; /* there is no year 0: for check_date */
    *p = q;
    return true;
}

static int check_date(const date *d, jm_err *err)
{
    static const char *const names[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
    if (d->year < 0)
        return jm_err_set(err, JM_ERR_INVALID, "there is no year 0000");
    if (d->month < 1 || d->month > 12)
        return jm_err_set(err, JM_ERR_INVALID, "there is no month %02d", d->month);
    int days = jm_calendar_month_days(d->year, d->month);
    if (d->mday >= 1 && d->mday <= days)
        return JM_OK;
    if (d->year && d->month == 2)
        return jm_err_set(err, JM_ERR_INVALID, "there is no such day: February %d has %d days",
                          d->year, days);
    return jm_err_set(err, JM_ERR_INVALID, "there is no such day: %s has %s%d days",
                      names[d->month - 1], d->month == 2 ? "at most " : "", days);
}

static int parse_dates(jm_calendar_rule *out, const char *text, jm_err *err)
{
    date first, last;
    const char *p = text;
    bool ok = read_date(&p, &first);
    last = first;
    if (ok && !strncmp(p, "..", 2)) {
        p += 2;
        ok = read_date(&p, &last);
    }
    if (!ok || *p)
        return jm_err_set(err, JM_ERR_INVALID,
                          "a date expected, such as 2026-12-25, or 12-25 for every year, or two of "
                          "them as first..last");
    if (check_date(&first, err) || check_date(&last, err))
        return JM_ERR_INVALID;
    if (!first.year != !last.year)
        return jm_err_set(err, JM_ERR_INVALID, "both dates must have a year, or none");
    if (!first.year) {
        *out = (jm_calendar_rule){.kind = JM_CALENDAR_YEARLY,
                                  .first_month = first.month,
                                  .first_mday = first.mday,
                                  .last_month = last.month,
                                  .last_mday = last.mday};
        return JM_OK;
    }
    *out = (jm_calendar_rule){.kind = JM_CALENDAR_DATES,
                              .first = jm_days_from_civil(first.year, first.month, first.mday),
                              .last = jm_days_from_civil(last.year, last.month, last.mday)};
    if (out->first > out->last)
        return jm_err_set(err, JM_ERR_INVALID, "the range runs backwards");
    return JM_OK;
}

/* ---- weekdays and business days ---- */

/* 0 is Sunday; -1: no weekday stands there. */
static int read_weekday(const char **p)
{
    for (int i = 0; i < 7; i++) {
        if (!strncasecmp(*p, weekday_names[i], 3)) {
            *p += 3;
            return i;
        }
    }
    return -1;
}

/* 1 to max or -1 to -max, and nothing behind it. */
static bool read_nth(const char *p, int max, int *out)
{
    bool from_end = *p == '-';
    p += from_end;
    if (!isdigit((unsigned char)p[0]) || (p[1] && (!isdigit((unsigned char)p[1]) || p[2])))
        return false;
    int n = p[0] - '0';
    if (p[1])
        n = n * 10 + (p[1] - '0');
    *out = from_end ? -n : n;
    return p[0] != '0' && n <= max;
}

static int parse_weekdays(jm_calendar_rule *out, const char *text, jm_err *err)
{
    const char *p = text;
    int first = read_weekday(&p), last = first;
    *out = (jm_calendar_rule){.kind = JM_CALENDAR_WEEKDAYS};
    if (first >= 0 && *p == '#') {
        out->kind = JM_CALENDAR_NTH_WEEKDAY;
        out->weekdays = 1U << first;
        if (!read_nth(p + 1, JM_CALENDAR_NTH_MAX, &out->n))
            return jm_err_set(err, JM_ERR_INVALID,
                              "1 to %d (from the start of the month) or -1 to -%d (from its end) "
                              "expected behind #",
                              JM_CALENDAR_NTH_MAX, JM_CALENDAR_NTH_MAX);
        return JM_OK;
    }
    if (first >= 0 && *p == '-') {
        p++;
        last = read_weekday(&p);
    }
    if (first < 0 || last < 0 || *p)
        return jm_err_set(err, JM_ERR_INVALID,
                          "a date (2026-12-25), a yearly date (12-25), a range of dates "
                          "(first..last), weekdays (sat, mon-fri), one of the month (fri#2, "
                          "fri#-1) or \"business-day N\" expected");
    for (int i = first;; i = (i + 1) % 7) {
        out->weekdays |= 1U << i;
        if (i == last)
            return JM_OK;
    }
}

static int parse_business_day(jm_calendar_rule *out, const char *text, jm_err *err)
{
    const char *p = text + strlen(BUSINESS_DAY);
    *out = (jm_calendar_rule){.kind = JM_CALENDAR_BUSINESS_DAY};
    if (*p != ' ' || !read_nth(p + 1, JM_CALENDAR_BUSINESS_MAX, &out->n))
        return jm_err_set(err, JM_ERR_INVALID,
                          "\"" BUSINESS_DAY " N\" expected, N from 1 to %d (from the start of the "
                          "month) or from -1 to -%d (from its end)",
                          JM_CALENDAR_BUSINESS_MAX, JM_CALENDAR_BUSINESS_MAX);
    return JM_OK;
}

int jm_calendar_rule_parse(jm_calendar_rule *out, const char *text, jm_err *err)
{
    if (isdigit((unsigned char)*text))
        return parse_dates(out, text, err);
    if (!strncasecmp(text, BUSINESS_DAY, strlen(BUSINESS_DAY)))
        return parse_business_day(out, text, err);
    return parse_weekdays(out, text, err);
}
