/* Named calendars: which days are open. A month is looked at as a whole: each rule gives the bits
 * of the days that it names. */
#include "producer/calendar.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/mem.h"
#include "common/nearest.h"
#include "producer/calendar_rule.h"

#define GREGORIAN_CYCLE 146097 /* days of 400 years, after which dates and weekdays repeat */
#define MON_FRI         0x3eU

enum { RULE_TEXT_MAX = 40 };

typedef struct day_range {
    int64_t first, last;
} day_range;

/* What the rules of one list name. Bits of mdays: bit 0 is the 1st; of weekdays: bit 0 is Sunday;
 * of n: bit n. */
typedef struct rule_set {
    day_range *ranges; /* sorted, at least a day between two */
    size_t n_ranges;
    uint32_t yearly[12];
    uint32_t weekdays;
    uint32_t nth[7], nth_last[7];
    uint32_t business, business_last;
} rule_set;

struct jm_calendar {
    rule_set exclude, include;
    bool has_include;
    int64_t last_date; /* no range ends after it */
};

/* ---- a month ---- */

typedef struct calendar_month {
    int64_t first; /* its first day */
    int64_t year;
    int number; /* 1..12 */
    int days;
    int weekday; /* of its first day, 0 is Sunday */
} calendar_month;

static calendar_month month_of(int64_t day, int *mday)
{
    calendar_month m;
    jm_civil_from_days(day, &m.year, &m.number, mday);
    m.first = day - (*mday - 1);
    m.days = jm_calendar_month_days(m.year, m.number);
    m.weekday = (int)(((m.first + 4) % 7 + 7) % 7);
    return m;
}

static void step(calendar_month *m)
{
    m->first += m->days;
    m->weekday = (m->weekday + m->days) % 7;
    m->number = m->number % 12 + 1;
    m->year += m->number == 1;
    m->days = jm_calendar_month_days(m->year, m->number);
}

static uint32_t all_bits(const calendar_month *m)
{
    return UINT32_MAX >> (32 - m->days);
}

/* The days of the month that have this weekday. */
static uint32_t weekday_bits(const calendar_month *m, int weekday)
{
    const uint32_t every_seventh = 0x10204081;
    return every_seventh << ((weekday - m->weekday + 7) % 7) & all_bits(m);
}

/* Of bits, those whose place counted from the lowest is in first, or from the highest in last. */
static uint32_t nth_bits(uint32_t bits, uint32_t first, uint32_t last)
{
    uint32_t out = 0, rest = bits;
    for (int n = 1; rest && first >> n; n++) {
        out |= first >> n & 1 ? rest & -rest : 0;
        rest &= rest - 1;
    }
    rest = bits;
    for (int n = 1; rest && last >> n; n++) {
        uint32_t highest = UINT32_C(1) << (31 - __builtin_clz(rest));
        out |= last >> n & 1 ? highest : 0;
        rest ^= highest;
    }
    return out;
}

/* The first range that does not end before the day. */
static size_t range_from(const rule_set *set, int64_t day)
{
    size_t low = 0, high = set->n_ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < day)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What dates, ranges and yearly rules name. */
static uint32_t date_bits(const rule_set *set, const calendar_month *m)
{
    uint32_t bits = set->yearly[m->number - 1];
    int64_t end = m->first + m->days - 1;
    for (size_t i = range_from(set, m->first); i < set->n_ranges; i++) {
        const day_range *range = &set->ranges[i];
        if (range->first > end)
            break;
        int from = range->first > m->first ? (int)(range->first - m->first) : 0;
        int to = range->last < end ? (int)(range->last - m->first) : m->days - 1;
        bits |= UINT32_MAX >> (31 - to) & UINT32_MAX << from;
    }
    return bits & all_bits(m);
}

/* holidays: what takes a Monday to Friday out of the business days. */
static uint32_t set_bits(const rule_set *set, const calendar_month *m, uint32_t holidays)
{
    uint32_t bits = date_bits(set, m), business = 0;
    bool any_business = set->business || set->business_last;
    for (int weekday = 0; weekday < 7; weekday++) {
        uint32_t days = weekday_bits(m, weekday);
        if (set->weekdays >> weekday & 1)
            bits |= days;
        if (set->nth[weekday] || set->nth_last[weekday])
            bits |= nth_bits(days, set->nth[weekday], set->nth_last[weekday]);
        if (MON_FRI >> weekday & 1)
            business |= days;
    }
    if (any_business)
        bits |= nth_bits(business & ~holidays, set->business, set->business_last);
    return bits;
}

static uint32_t open_bits(const jm_calendar *calendar, const calendar_month *m)
{
    uint32_t holidays = date_bits(&calendar->exclude, m);
    uint32_t open = calendar->has_include ? set_bits(&calendar->include, m, holidays) : UINT32_MAX;
    return open & ~set_bits(&calendar->exclude, m, holidays) & all_bits(m);
}

/* ---- asking ---- */

static bool in_years(int64_t day)
{
    return day >= JM_CALENDAR_DAY_MIN && day <= JM_CALENDAR_DAY_MAX;
}

bool jm_calendar_is_open(const jm_calendar *calendar, int64_t day)
{
    int mday;
    if (!in_years(day))
        return false;
    calendar_month m = month_of(day, &mday);
    return open_bits(calendar, &m) >> (mday - 1) & 1;
}

/* Where a search from that day may end. */
static int64_t search_end(const jm_calendar *calendar, int64_t day)
{
    int64_t end = (day > calendar->last_date ? day : calendar->last_date) + GREGORIAN_CYCLE;
    return end < JM_CALENDAR_DAY_MAX ? end : JM_CALENDAR_DAY_MAX;
}

/* The first day from from_day on that is open, or is not. */
static int64_t find(const jm_calendar *calendar, int64_t from_day, bool open)
{
    int mday;
    if (from_day < JM_CALENDAR_DAY_MIN)
        from_day = JM_CALENDAR_DAY_MIN;
    if (from_day > JM_CALENDAR_DAY_MAX)
        return INT64_MAX;
    int64_t end = search_end(calendar, from_day);
    calendar_month m = month_of(from_day, &mday);
    uint32_t wanted = UINT32_MAX << (mday - 1);
    for (; m.first <= end; step(&m)) {
        uint32_t bits = open_bits(calendar, &m);
        uint32_t found = (open ? bits : ~bits & all_bits(&m)) & wanted;
        if (found)
            return m.first + __builtin_ctz(found);
        wanted = UINT32_MAX;
    }
    return INT64_MAX;
}

int64_t jm_calendar_same_until(const jm_calendar *calendar, int64_t day)
{
    if (day >= JM_CALENDAR_DAY_MAX)
        return INT64_MAX;
    return find(calendar, day + 1, !jm_calendar_is_open(calendar, day));
}

bool jm_calendar_is_ever_open(const jm_calendar *calendar, int64_t from_day)
{
    return find(calendar, from_day, true) != INT64_MAX;
}

/* ---- reading ---- */

static void add_yearly(rule_set *set, const jm_calendar_rule *rule)
{
    int month = rule->first_month, mday = rule->first_mday;
    for (;;) {
        set->yearly[month - 1] |= UINT32_C(1) << (mday - 1);
        if (month == rule->last_month && mday == rule->last_mday)
            return;
        if (++mday > jm_calendar_month_days(0, month)) {
            mday = 1;
            month = month % 12 + 1;
        }
    }
}

static void add_nth(uint32_t *first, uint32_t *last, int n)
{
    if (n > 0)
        *first |= UINT32_C(1) << n;
    else
        *last |= UINT32_C(1) << -n;
}

/* set->ranges has room for one a rule. */
static void add_rule(rule_set *set, const jm_calendar_rule *rule)
{
    switch (rule->kind) {
    case JM_CALENDAR_DATES:
        set->ranges[set->n_ranges++] = (day_range){rule->first, rule->last};
        break;
    case JM_CALENDAR_YEARLY:
        add_yearly(set, rule);
        break;
    case JM_CALENDAR_WEEKDAYS:
        set->weekdays |= rule->weekdays;
        break;
    case JM_CALENDAR_NTH_WEEKDAY: {
        int weekday = __builtin_ctz(rule->weekdays);
        add_nth(&set->nth[weekday], &set->nth_last[weekday], rule->n);
        break;
    }
    case JM_CALENDAR_BUSINESS_DAY:
        add_nth(&set->business, &set->business_last, rule->n);
        break;
    }
}

static int by_first(const void *a, const void *b)
{
    const day_range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Sorts the ranges and joins those that touch. */
static void merge(rule_set *set)
{
    size_t n = 0;
    if (!set->n_ranges)
        return;
    qsort(set->ranges, set->n_ranges, sizeof *set->ranges, by_first);
    for (size_t i = 1; i < set->n_ranges; i++) {
        const day_range *range = &set->ranges[i];
        if (range->first > set->ranges[n].last + 1)
            set->ranges[++n] = *range;
        else if (range->last > set->ranges[n].last)
            set->ranges[n].last = range->last;
    }
    set->n_ranges = n + 1;
}

static int read_rule(const jm_json_value *value, const char *list, size_t i, jm_calendar_rule *rule,
                     jm_err *err)
{
    char text[RULE_TEXT_MAX * 6 + 1] = ""; /* each character may be written as \uXXXX */
    jm_err wrong = {0};
    if (value->kind != JM_JSON_STRING)
        return jm_err_field(err, "definition", "%s[%zu]: a string expected, not %s", list, i,
                            jm_json_kind_text(value->kind));
    if (value->len < sizeof text)
        jm_json_unescape(value, text);
    if (value->len >= sizeof text || strlen(text) > RULE_TEXT_MAX) {
        jm_json_show(value, text, RULE_TEXT_MAX);
        return jm_err_field(err, "definition", "%s[%zu] \"%s...\": no rule is that long", list, i,
                            text);
    }
    if (!jm_calendar_rule_parse(rule, text, &wrong))
        return JM_OK;
    jm_json_show(value, text, sizeof text);
    return jm_err_field(err, "definition", "%s[%zu] \"%s\": %s", list, i, text, wrong.msg);
}

static int read_list(rule_set *set, const char *list, const jm_json_value *value, size_t *n_rules,
                     jm_err *err)
{
    jm_json_iter iter;
    jm_json_value item;
    jm_calendar_rule rule;
    size_t n = 0;
    if (value->kind != JM_JSON_ARRAY)
        return jm_err_field(err, "definition", "%s: an array of rules expected, not %s", list,
                            jm_json_kind_text(value->kind));
    jm_json_iter_init(&iter, value);
    while (jm_json_iter_next(&iter, NULL, &item))
        n++;
    if (n > JM_CALENDAR_RULES_MAX)
        return jm_err_field(err, "definition", "%s: %zu rules; at most %d expected", list, n,
                            JM_CALENDAR_RULES_MAX);
    set->ranges = jm_calloc(n + 1, sizeof *set->ranges);
    jm_json_iter_init(&iter, value);
    for (size_t i = 0; jm_json_iter_next(&iter, NULL, &item); i++) {
        if (read_rule(&item, list, i, &rule, err))
            return err->code;
        add_rule(set, &rule);
    }
    merge(set);
    *n_rules = n;
    return JM_OK;
}

static int read_member(jm_calendar *calendar, const jm_json_member *member, jm_err *err)
{
    static const char *const known[] = {"exclude", "include"};
    size_t n = 0;
    if (jm_json_equals(&member->name, "exclude", 7))
        return read_list(&calendar->exclude, "exclude", &member->value, &n, err);
    if (jm_json_equals(&member->name, "include", 7)) {
        int rc = read_list(&calendar->include, "include", &member->value, &n, err);
        calendar->has_include = !rc && n > 0;
        return rc;
    }
    char name[64];
    jm_json_show(&member->name, name, sizeof name);
    const char *near = jm_nearest(name, known, 2);
    if (near)
        return jm_err_field(err, "definition", "there is no member \"%s\"; did you mean \"%s\"?",
                            name, near);
    return jm_err_field(err, "definition",
                        "there is no member \"%s\": exclude and include are expected", name);
}

static int64_t last_of(const rule_set *set)
{
    return set->n_ranges ? set->ranges[set->n_ranges - 1].last : JM_CALENDAR_DAY_MIN;
}

static int read_definition(jm_calendar *calendar, const char *text, size_t len, jm_err *err)
{
    jm_json json;
    jm_err wrong;
    int rc = jm_json_scan(&json, text, len, JM_JSON_DEPTH_MAX, &wrong);
    if (rc)
        jm_err_field(err, "definition", "%s", wrong.msg);
    else if (json.root.kind != JM_JSON_OBJECT)
        rc = jm_err_field(err, "definition", "a JSON object expected, not %s",
                          jm_json_kind_text(json.root.kind));
    for (size_t i = 0; !rc && i < json.n_members; i++)
        rc = read_member(calendar, &json.members[i], err);
    jm_json_fini(&json);
    int64_t exclude = last_of(&calendar->exclude), include = last_of(&calendar->include);
    calendar->last_date = exclude > include ? exclude : include;
    return rc;
}

int jm_calendar_parse(jm_calendar **out, const char *json, size_t len, jm_err *err)
{
    jm_calendar *calendar = jm_calloc(1, sizeof *calendar);
    jm_err local;
    int rc = read_definition(calendar, json, len, err ? err : &local);
    if (rc) {
        jm_calendar_free(calendar);
        calendar = NULL;
    }
    *out = calendar;
    return rc;
}

void jm_calendar_free(jm_calendar *calendar)
{
    if (!calendar)
        return;
    free(calendar->exclude.ranges);
    free(calendar->include.ranges);
    free(calendar);
}
