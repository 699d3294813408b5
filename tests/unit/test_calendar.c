/* Tests of calendars: every form of a rule, what is refused and how, searches, and their speed. */
#include "producer/calendar.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "producer/calendar_rule.h"

static int64_t day_of(const char *text)
{
    int year, month, mday;
    ck_assert_int_eq(sscanf(text, "%d-%d-%d", &year, &month, &mday), 3);
    return jm_days_from_civil(year, month, mday);
}

static jm_calendar *parse(const char *json)
{
    jm_calendar *calendar;
    jm_err err = {0};
    ck_assert_msg(jm_calendar_parse(&calendar, json, strlen(json), &err) == 0, "%s: %s", json,
                  err.msg);
    return calendar;
}

/* The days of a month that a definition leaves open, or of which a lone rule is in the list, as a
 * list of numbers. */
static const struct {
    const char *list, *rule;
    int year, month;
    const char *days;
} rules[] = {
    {"include", "2026-12-25", 2026, 12, "25"},
    {"include", "2026-12-25", 2027, 12, ""},
    {"include", "2026-12-30..2027-01-02", 2026, 12, "30 31"},
    {"include", "2026-12-30..2027-01-02", 2027, 1, "1 2"},
    {"include", "12-25", 2031, 12, "25"},
    {"include", "12-30..01-02", 2026, 12, "30 31"},
    {"include", "12-30..01-02", 2026, 1, "1 2"},
    {"include", "02-29", 2028, 2, "29"},
    {"include", "02-29", 2026, 2, ""},
    {"include", "02-27..03-01", 2026, 2, "27 28"},
    {"include", "02-27..03-01", 2028, 2, "27 28 29"},
    {"include", "sat", 2026, 8, "1 8 15 22 29"},
    {"include", "SAT-Sun", 2026, 8, "1 2 8 9 15 16 22 23 29 30"},
    {"include", "fri-mon", 2026, 2, "1 2 6 7 8 9 13 14 15 16 20 21 22 23 27 28"},
    {"include", "wed-tue", 2026, 2,
     "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28"},
    {"include", "fri#2", 2026, 5, "8"},
    {"include", "fri#5", 2026, 5, "29"},
    {"include", "sat#5", 2026, 2, ""},
    {"include", "fri#-1", 2026, 7, "31"},
    {"include", "fri#-5", 2026, 7, "3"},
    {"include", "fri#-5", 2026, 6, ""},
    {"include", "business-day 1", 2026, 8, "3"},
    {"include", "Business-Day -1", 2026, 5, "29"},
    {"include", "business-day 23", 2026, 7, "31"},
    {"include", "business-day 23", 2026, 8, ""},
    {"include", "business-day -21", 2026, 8, "3"},
    {"exclude", "2026-02-02..2026-02-26", 2026, 2, "1 27 28"},
    {"exclude", "business-day 1\",\"sat-sun\",\"2026-02-03..2026-02-27", 2026, 2, ""},
};

START_TEST(rule)
{
    char json[200], got[120] = "";
    snprintf(json, sizeof json, "{\"%s\": [\"%s\"]}", rules[_i].list, rules[_i].rule);
    jm_calendar *calendar = parse(json);
    int64_t first = jm_days_from_civil(rules[_i].year, rules[_i].month, 1);
    for (int i = 0; i < jm_calendar_month_days(rules[_i].year, rules[_i].month); i++) {
        size_t n = strlen(got);
        if (jm_calendar_is_open(calendar, first + i))
            snprintf(got + n, sizeof got - n, "%s%d", n ? " " : "", i + 1);
    }
    ck_assert_msg(!strcmp(got, rules[_i].days), "%s: %s", json, got);
    jm_calendar_free(calendar);
}
END_TEST

/* Business days are what dates, ranges and yearly rules of exclude leave of Monday to Friday;
 * weekdays of exclude take none away, and neither do business days. */
START_TEST(business_days)
{
    jm_calendar *calendar = parse("{\"include\": [\"business-day 1\", \"business-day -1\"], "
                                  "\"exclude\": [\"mon\", \"01-01\", \"2027-01-28..2027-01-31\"]}");
    for (int mday = 1; mday <= 31; mday++) /* Friday 1st; Monday 4th is the first, but left out */
        ck_assert_int_eq(jm_calendar_is_open(calendar, jm_days_from_civil(2027, 1, mday)),
                         mday == 27);
    jm_calendar_free(calendar);
}
END_TEST

static const struct {
    const char *json, *message;
} refused[] = {
    {"", "position"},
    {"[]", "a JSON object expected, not an array"},
    {"{\"exclude\": \"sat\"}", "exclude: an array of rules expected, not a string"},
    {"{\"exclude\": [1]}", "exclude[0]: a string expected, not a number"},
    {"{\"exclude\": [], \"exclude\": []}", "exclude"},
    {"{\"exlude\": []}", "there is no member \"exlude\"; did you mean \"exclude\"?"},
    {"{\"days\": []}", "exclude and include are expected"},
    {"{\"include\": [\"sat\", \"2026-02-31\"]}",
     "include[1] \"2026-02-31\": there is no such day: February 2026 has 28 days"},
    {"{\"exclude\": [\"02-30\"]}", "February has at most 29 days"},
    {"{\"exclude\": [\"04-31\"]}", "April has 30 days"},
    {"{\"exclude\": [\"2026-04-00\"]}", "April has 30 days"},
    {"{\"exclude\": [\"2026-13-01\"]}", "there is no month 13"},
    {"{\"exclude\": [\"0000-01-01\"]}", "there is no year 0000"},
    {"{\"exclude\": [\"2026-12-25..2026-12-24\"]}", "the range runs backwards"},
    {"{\"exclude\": [\"2026-12-25..01-02\"]}", "both dates must have a year, or none"},
    {"{\"exclude\": [\"12-25..2026-01-02\"]}", "both dates must have a year, or none"},
    {"{\"exclude\": [\"2026-1-1\"]}", "a date expected"},
    {"{\"exclude\": [\"2026-01-01 \"]}", "a date expected"},
    {"{\"exclude\": [\"12-24...12-25\"]}", "a date expected"},
    {"{\"exclude\": [\"12-24..\"]}", "a date expected"},
    {"{\"exclude\": [\"saturday\"]}", "weekdays (sat, mon-fri)"},
    {"{\"exclude\": [\"sat-\"]}", "weekdays (sat, mon-fri)"},
    {"{\"exclude\": [\"\"]}", "weekdays (sat, mon-fri)"},
    {"{\"exclude\": [\"fri#0\"]}", "1 to 5 (from the start of the month) or -1 to -5"},
    {"{\"exclude\": [\"fri#6\"]}", "1 to 5"},
    {"{\"exclude\": [\"fri#+1\"]}", "1 to 5"},
    {"{\"exclude\": [\"fri#\"]}", "1 to 5"},
    {"{\"exclude\": [\"mon-fri#1\"]}", "weekdays"},
    {"{\"exclude\": [\"business-day\"]}", "N from 1 to 23"},
    {"{\"exclude\": [\"business-day 0\"]}", "N from 1 to 23"},
    {"{\"exclude\": [\"business-day 24\"]}", "N from 1 to 23"},
    {"{\"exclude\": [\"business-day -24\"]}", "N from 1 to 23"},
    {"{\"exclude\": [\"business-day 1 \"]}", "N from 1 to 23"},
    {"{\"exclude\": [\"business-day 001\"]}", "N from 1 to 23"},
    {"{\"exclude\": [\"a rule that goes on and on, and never comes to its end\"]}",
     "exclude[0] \"a rule that goes on and on, and never c...\": no rule is that long"},
    {"{\"exclude\": [\"f\\u00fcr\"]}", "exclude[0] \"f\xc3\xbcr\""},
};

START_TEST(refusal)
{
    jm_calendar *calendar = (void *)-1;
    jm_err err = {0};
    int rc = jm_calendar_parse(&calendar, refused[_i].json, strlen(refused[_i].json), &err);
    ck_assert_int_eq(rc, JM_ERR_INVALID);
    ck_assert_ptr_null(calendar);
    ck_assert_str_eq(err.field, "definition");
    ck_assert_msg(strstr(err.msg, refused[_i].message) || !strcmp(refused[_i].message, "position"),
                  "%s: %s", refused[_i].json, err.msg);
}
END_TEST

START_TEST(too_many_rules)
{
    jm_buf json = {0};
    jm_calendar *calendar;
    jm_err err;
    jm_buf_adds(&json, "{\"exclude\": [\"sat\"");
    for (int i = 0; i < JM_CALENDAR_RULES_MAX; i++)
        jm_buf_adds(&json, ",\"sat\"");
    jm_buf_adds(&json, "]}");
    ck_assert_int_eq(jm_calendar_parse(&calendar, json.data, json.len, &err), JM_ERR_INVALID);
    ck_assert_str_eq(err.msg, "exclude: 20001 rules; at most 20000 expected");
    jm_buf_fini(&json);
}
END_TEST

static const struct {
    const char *json, *from, *until; /* NULL: never */
} searches[] = {
    {"{}", "2026-01-01", NULL},
    {"{\"exclude\": [], \"include\": []}", "2026-01-01", NULL},
    {"{\"exclude\": [\"mon-sun\"]}", "2026-01-01", NULL},
    {"{\"exclude\": [\"sat-sun\"]}", "2026-08-03", "2026-08-08"},
    {"{\"exclude\": [\"sat-sun\"]}", "2026-08-07", "2026-08-08"},
    {"{\"exclude\": [\"sat-sun\"]}", "2026-08-08", "2026-08-10"},
    {"{\"exclude\": [\"12-25\"]}", "2026-12-26", "2027-12-25"},
    {"{\"exclude\": [\"02-29\"]}", "2096-03-01", "2104-02-29"},
    {"{\"exclude\": [\"2026-01-01..9999-12-31\"]}", "2026-06-01", NULL},
    {"{\"exclude\": [\"2026-01-01..2600-12-31\"]}", "2026-06-01", "2601-01-01"},
    {"{\"exclude\": [\"9999-12-31\"]}", "0001-01-01", "9999-12-31"},
    {"{\"include\": [\"2999-01-01\"]}", "2026-06-01", "2999-01-01"},
    {"{\"include\": [\"2999-01-01\"]}", "2999-01-01", "2999-01-02"},
    {"{\"include\": [\"2999-01-01\"]}", "2999-01-02", NULL},
    {"{\"exclude\": [\"2026-01-05\", \"2026-01-01..2026-01-04\", \"2026-01-06\"]}", "2026-01-01",
     "2026-01-07"},
};

START_TEST(search)
{
    jm_calendar *calendar = parse(searches[_i].json);
    int64_t from = day_of(searches[_i].from);
    int64_t want = searches[_i].until ? day_of(searches[_i].until) : INT64_MAX;
    ck_assert_int_eq(jm_calendar_same_until(calendar, from), want);
    jm_calendar_free(calendar);
}
END_TEST

START_TEST(ever_open)
{
    jm_calendar *calendar = parse("{\"include\": [\"2026-05-01\", \"sat\"], \"exclude\": "
                                  "[\"sat-sun\"]}");
    ck_assert(jm_calendar_is_ever_open(calendar, day_of("2020-01-01")));
    ck_assert(jm_calendar_is_ever_open(calendar, day_of("2026-05-01")));
    ck_assert(!jm_calendar_is_ever_open(calendar, day_of("2026-05-02")));
    jm_calendar_free(calendar);
}
END_TEST

START_TEST(outside_the_years)
{
    static const int64_t far[] = {INT64_MIN, JM_CALENDAR_DAY_MIN - 1, JM_CALENDAR_DAY_MAX + 1,
                                  INT64_MAX};
    jm_calendar *calendar = parse("{}");
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        ck_assert(!jm_calendar_is_open(calendar, far[i]));
        ck_assert_int_eq(jm_calendar_same_until(calendar, far[i]),
                         far[i] < 0 ? JM_CALENDAR_DAY_MIN : INT64_MAX);
        ck_assert_int_eq(jm_calendar_is_ever_open(calendar, far[i]), far[i] < 0);
    }
    ck_assert_int_eq(jm_calendar_same_until(calendar, JM_CALENDAR_DAY_MAX), INT64_MAX);
    jm_calendar_free(calendar);
    jm_calendar_free(NULL);
}
END_TEST

/* Every stretch of two centuries agrees with its days. */
static const char *const walked[] = {
    "{\"exclude\": [\"sat-sun\", \"12-24..01-01\", \"2026-05-01\", \"fri#2\", \"business-day "
    "-1\"]}",
    "{\"include\": [\"business-day 1\", \"mon#-1\", \"2030-01-01..2031-12-31\", \"02-29\"], "
    "\"exclude\": [\"2031-03-05..2031-04-20\", \"06-01..06-20\"]}",
};

START_TEST(stretches)
{
    jm_calendar *calendar = parse(walked[_i]);
    int64_t day = day_of("1950-01-01"), end = day_of("2150-01-01");
    int64_t start_us = jm_mono_us(), first = day;
    while (day < end) {
        int64_t next = jm_calendar_same_until(calendar, day);
        bool open = jm_calendar_is_open(calendar, day);
        while (++day < next)
            ck_assert(jm_calendar_is_open(calendar, day) == open);
        ck_assert(jm_calendar_is_open(calendar, day) != open);
    }
    double us = (double)(jm_mono_us() - start_us);
    ck_assert_msg(us < 3e6, "%.0f ns a day", us * 1000 / (double)(end - first));
    jm_calendar_free(calendar);
}
END_TEST

/* Thousands of dates are as quick as a few, and a search that finds nothing ends. */
START_TEST(thousands_of_dates)
{
    jm_buf json = {0};
    jm_buf_adds(&json, "{\"exclude\": [\"mon-sun\"");
    for (int i = 0; i < JM_CALENDAR_RULES_MAX - 1; i++) {
        int64_t year;
        int month, mday;
        jm_civil_from_days(20000 + (int64_t)(i * 7919L % 20011) * 2, &year, &month, &mday);
        jm_buf_addf(&json, ",\"%04d-%02d-%02d\"", (int)year, month, mday);
    }
    jm_buf_adds(&json, "]}");
    jm_calendar *calendar = parse(json.data);
    int64_t start_us = jm_mono_us();
    ck_assert_int_eq(jm_calendar_same_until(calendar, 20000), INT64_MAX);
    ck_assert(jm_mono_us() - start_us < 1000000);
    jm_calendar_free(calendar);
    jm_buf_fini(&json);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("calendar");
    TCase *tc = tcase_create("calendar");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, rule, 0, N(rules));
    tcase_add_test(tc, business_days);
    tcase_add_loop_test(tc, refusal, 0, N(refused));
    tcase_add_test(tc, too_many_rules);
    tcase_add_loop_test(tc, search, 0, N(searches));
    tcase_add_test(tc, ever_open);
    tcase_add_test(tc, outside_the_years);
    tcase_add_loop_test(tc, stretches, 0, N(walked));
    tcase_add_test(tc, thousands_of_dates);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
