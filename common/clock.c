/* Three clocks, and RFC 3339. */
#include "clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t jm_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t jm_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t jm_mono_ms(void)
{
    return jm_mono_us() / 1000;
}

void jm_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bool jm_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us)
{
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    return pthread_cond_timedwait(cond, lock, &until) == 0;
}

int64_t jm_utc_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t jm_utc_ms(void)
{
    return jm_utc_us() / 1000;
}

void jm_db_clock_set(jm_db_clock *clock, int64_t db_us, int64_t asked_us, int64_t got_us)
{
    atomic_store_explicit(&clock->offset_us, db_us - (asked_us + got_us) / 2, memory_order_relaxed);
}

int64_t jm_db_clock_us(const jm_db_clock *clock)
{
    return jm_db_clock_at(clock, jm_mono_us());
}

int64_t jm_db_clock_at(const jm_db_clock *clock, int64_t mono_us)
{
    int64_t offset = atomic_load_explicit(&clock->offset_us, memory_order_relaxed);
    if (!offset)
        offset = jm_utc_us() - jm_mono_us();
    return mono_us + offset;
}

/* Days and dates by 400-year eras that begin on 1 March, where the leap day comes last. */
int64_t jm_days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

void jm_civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

void jm_rfc3339_format(int64_t us, char text[JM_RFC3339_TEXT])
{
    int64_t days = us / 86400000000, rest = us % 86400000000;
    if (rest < 0) {
        rest += 86400000000;
        days--;
    }
    int64_t year;
    int month, day;
    jm_civil_from_days(days, &year, &month, &day);
    int s = (int)(rest / 1000000), frac = (int)(rest % 1000000);
    int n = snprintf(text, JM_RFC3339_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", (int)year % 10000,
                     month, day, s / 3600, s / 60 % 60, s % 60);
    if (frac)
        n += snprintf(text + n, JM_RFC3339_TEXT - (size_t)n, ".%06d", frac);
    snprintf(text + n, JM_RFC3339_TEXT - (size_t)n, "Z");
}

/* Reads exactly n digits. */
static bool digits(const char **p, const char *end, int n, int *out)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (*p >= end || !isdigit((unsigned char)**p))
            return false;
        v = v * 10 + (*(*p)++ - '0');
    }
    *out = v;
    return true;
}

static bool one_of(const char **p, const char *end, const char *set)
{
    if (*p >= end || !**p || !strchr(set, **p))
        return false;
    (*p)++;
    return true;
}

static bool parse_offset(const char **p, const char *end, int *seconds)
{
    *seconds = 0;
    if (one_of(p, end, "Zz"))
        return true;
    if (*p >= end || (**p != '+' && **p != '-'))
        return false;
    int sign = *(*p)++ == '-' ? -1 : 1, h, m;
    if (!digits(p, end, 2, &h) || !one_of(p, end, ":") || !digits(p, end, 2, &m) || h > 23 ||
        m > 59)
        return false;
    *seconds = sign * (h * 3600 + m * 60);
    return true;
}

/* What a text of four digits a year can say in UTC. */
static bool is_said(int64_t us)
{
    return us >= JM_RFC3339_MIN_US && us <= JM_RFC3339_MAX_US;
}

int jm_rfc3339_parse(const char *text, size_t len, int64_t *out_us, jm_err *err)
{
    static const char *expected = "is not an RFC 3339 time such as 2026-11-22T14:30:00Z";
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *p = text, *end = text + len;
    int y, mo, d, h, mi, s, offset, frac = 0;
    if (!digits(&p, end, 4, &y) || !one_of(&p, end, "-") || !digits(&p, end, 2, &mo) ||
        !one_of(&p, end, "-") || !digits(&p, end, 2, &d) || !one_of(&p, end, "Tt ") ||
        !digits(&p, end, 2, &h) || !one_of(&p, end, ":") || !digits(&p, end, 2, &mi) ||
        !one_of(&p, end, ":") || !digits(&p, end, 2, &s))
        return jm_err_set(err, JM_ERR_INVALID, "%s", expected);
    if (one_of(&p, end, ".")) {
        int n = 0;
        for (; p < end && isdigit((unsigned char)*p); p++, n++)
            if (n < 6)
                frac = frac * 10 + (*p - '0');
        if (!n)
            return jm_err_set(err, JM_ERR_INVALID, "%s", expected);
        for (; n < 6; n++)
            frac *= 10;
    }
    if (!parse_offset(&p, end, &offset) || p != end)
        return jm_err_set(err, JM_ERR_INVALID, "%s", expected);
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < 1 || mo < 1 || mo > 12 || d < 1 || d > month_days[mo - 1] ||
        (mo == 2 && d == 29 && !leap) || h > 23 || mi > 59 || s > 60)
        return jm_err_set(err, JM_ERR_INVALID, "is no date and time that exists");
    int64_t secs = jm_days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - offset;
    *out_us = secs * 1000000 + frac;
    if (!is_said(*out_us)) /* by its offset */
        return jm_err_set(err, JM_ERR_INVALID,
                          "is another year in UTC: years 1 to 9999 expected, there too");
    return JM_OK;
}

int jm_duration_parse(const char *text, int64_t *out_us, jm_err *err)
{
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {{"ms", 1000},        {"s", 1000000},       {"m", 60000000},
                 {"h", 3600000000LL}, {"d", 86400000000LL}, {"w", 604800000000LL}};
    int64_t total = 0;
    const char *p = text;
    while (*p) {
        int64_t v = 0;
        int n = 0;
        for (; isdigit((unsigned char)*p) && n < 12; p++, n++)
            v = v * 10 + (*p - '0');
        size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        int64_t us = 0;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strlen(units[i].unit) == len && !strncmp(units[i].unit, p, len))
                us = units[i].us;
        int64_t part;
        if (!n || !us || __builtin_mul_overflow(v, us, &part) ||
            __builtin_add_overflow(total, part, &total))
            return jm_err_set(err, JM_ERR_INVALID,
                              "\"%s\" is not a duration such as 90s, 5m, 1h30m or 30d", text);
        p += len;
    }
    if (p == text)
        return jm_err_set(err, JM_ERR_INVALID,
                          "a duration such as 90s, 5m, 1h30m or 30d is missing");
    *out_us = total;
    return JM_OK;
}
