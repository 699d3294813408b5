/* RFC 3339, durations, dates, and the database's clock. The corpus of messages has more bad times.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

START_TEST(rfc3339_both_ways)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {{"1970-01-01T00:00:00Z", 0},
                 {"1969-12-31T23:59:59.999999Z", -1},
                 {"2026-11-22T14:30:00Z", 1795357800000000},
                 {"2026-11-22T14:30:00.000001Z", 1795357800000001},
                 {"2000-02-29T23:59:59Z", 951868799000000},
                 {"0001-01-01T00:00:00Z", -62135596800000000},
                 {"9999-12-31T23:59:59.999999Z", 253402300799999999}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[JM_RFC3339_TEXT];
        int64_t us;
        jm_rfc3339_format(cases[i].us, text);
        ck_assert_str_eq(text, cases[i].text);
        ck_assert_int_eq(jm_rfc3339_parse(text, strlen(text), &us, NULL), JM_OK);
        ck_assert_int_eq(us, cases[i].us);
    }
}
END_TEST

START_TEST(rfc3339_reads)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {{"2026-11-22T16:30:00+02:00", 1795357800000000},
                 {"2026-11-22 14:30:00z", 1795357800000000},
                 {"2026-11-22t14:30:00.25-00:00", 1795357800250000},
                 {"2026-11-22T14:30:00.1234569Z", 1795357800123456},
                 {"2016-12-31T23:59:60Z", 1483228800000000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t us;
        ck_assert_int_eq(jm_rfc3339_parse(cases[i].text, strlen(cases[i].text), &us, NULL), JM_OK);
        ck_assert_int_eq(us, cases[i].us);
    }
}
END_TEST

START_TEST(rfc3339_refuses)
{
    static const char *const bad[] = {"",
                                      "2026-11-22",
                                      "2026-11-22T14:30:00",
                                      "2026-11-22T14:30Z",
                                      "2026-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2026-04-31T00:00:00Z",
                                      "2026-11-22T24:00:00Z",
                                      "2026-11-22T14:30:61Z",
                                      "2026-11-22T14:30:00.Z",
                                      "2026-11-22T14:30:00Zx",
                                      "2026-11-22T14:30:00+2:00",
                                      "0000-01-01T00:00:00Z",
                                      "0001-01-01T00:00:00+00:01",
                                      "9999-12-31T23:59:59-00:01",
                                      "9999-12-31T23:59:60Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us;
        jm_err err = {0};
        ck_assert_msg(jm_rfc3339_parse(bad[i], strlen(bad[i]), &us, &err) == JM_ERR_INVALID, "%s",
                      bad[i]);
        ck_assert(err.msg[0]);
    }
    int64_t us;
    ck_assert_int_eq(jm_rfc3339_parse("2026-11-22T14:30:00Z", 19, &us, NULL), JM_ERR_INVALID);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"90s", 90000000},     {"5m", 300000000}, {"1h30m", 5400000000},    {"30d", 2592000000000},
        {"2w", 1209600000000}, {"250ms", 250000}, {"1m30s500ms", 90500000}, {"0s", 0}};
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5 m",
                                      "-5m",
                                      "1.5h",
                                      "5x",
                                      "5mm",
                                      "h1m",
                                      "5m3",
                                      "5M",
                                      "9999999999999s",
                                      "999999999999w"};
    int64_t us;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(jm_duration_parse(good[i].text, &us, NULL) == JM_OK, "%s", good[i].text);
        ck_assert_int_eq(us, good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(jm_duration_parse(bad[i], &us, NULL) == JM_ERR_INVALID, "%s", bad[i]);
}
END_TEST

/* Every day of 800 years, against the C library's own calendar. */
START_TEST(civil_days)
{
    for (int64_t day = -146097; day <= 146097; day++) {
        int64_t year;
        int month, mday;
        struct tm tm;
        time_t t = (time_t)day * 86400;
        ck_assert_ptr_nonnull(gmtime_r(&t, &tm));
        jm_civil_from_days(day, &year, &month, &mday);
        if (year != tm.tm_year + 1900 || month != tm.tm_mon + 1 || mday != tm.tm_mday ||
            jm_days_from_civil(year, month, mday) != day)
            ck_abort_msg("day %lld", (long long)day);
    }
}
END_TEST

START_TEST(database_clock)
{
    jm_db_clock clock = {0};
    ck_assert_int_le(llabs(jm_db_clock_us(&clock) - jm_utc_us()), 5000000);
    jm_db_clock_set(&clock, 5000000, 1000, 3000); /* read at 2000 */
    ck_assert_int_eq(jm_db_clock_at(&clock, 2000), 5000000);
    ck_assert_int_eq(jm_db_clock_at(&clock, 2500), 5000500);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    TCase *tc = tcase_create("clock");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, rfc3339_both_ways);
    tcase_add_test(tc, rfc3339_reads);
    tcase_add_test(tc, rfc3339_refuses);
    tcase_add_test(tc, durations);
    tcase_add_test(tc, civil_days);
    tcase_add_test(tc, database_clock);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
