/* Cases that people have reported against other schedulers, one a row with where it is told. What
 * is expected is what our rules say (docs/scheduling.md), which is not always what was wished for
 * there; each is looked for in both directions. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "producer/recurrence.h"

#define GAP     JM_RECURRENCE_GAP
#define FOLD    JM_RECURRENCE_FOLD
#define SKIP    JM_DST_GAP_SKIP
#define BY_CRON JM_DST_GAP_CRON

typedef struct hard_case {
    const char *source, *text, *zone;
    jm_dst_gap gap;
    const char *after;
    struct {
        const char *at;
        unsigned notes;
    } expect[4]; /* what follows, in order */
} hard_case;

/* clang-format off */
static const hard_case cases[] = {
    /* L, W and # */
    {"quartz-scheduler/quartz#1298", "0 0 11 L * ?", "UTC", BY_CRON, "2017-02-28T05:00:00Z",
     {{"2017-02-28T11:00:00Z", 0}, {"2017-03-31T11:00:00Z", 0}, {"2017-04-30T11:00:00Z", 0}}},
    {"quartz-scheduler/quartz#1322", "0 30 15 1W * ?", "UTC", BY_CRON, "2025-05-20T00:00:00Z",
     {{"2025-06-02T15:30:00Z", 0}, {"2025-07-01T15:30:00Z", 0}, {"2025-08-01T15:30:00Z", 0}, {"2025-09-01T15:30:00Z", 0}}},
    {"quartz-scheduler/quartz#1322", "0 0 5 4W * ?", "UTC", BY_CRON, "2025-04-17T00:00:00Z",
     {{"2025-05-05T05:00:00Z", 0}, {"2025-06-04T05:00:00Z", 0}}},
    {"quartz-scheduler/quartz#1322", "0 0 0 LW * ?", "UTC", BY_CRON, "2025-04-29T00:00:00Z",
     {{"2025-04-30T00:00:00Z", 0}, {"2025-05-30T00:00:00Z", 0}}},
    {"quartz-scheduler/quartz#492", "0 0 0 1,14,L * ?", "UTC", BY_CRON, "2019-09-17T00:00:00Z",
     {{"2019-09-30T00:00:00Z", 0}, {"2019-10-01T00:00:00Z", 0}, {"2019-10-14T00:00:00Z", 0}}},
    {"quartznet/quartznet#2331", "0 0 12 15W * ?", "UTC", BY_CRON, "2024-05-15T12:00:00Z",
     {{"2024-06-14T12:00:00Z", 0}, {"2024-07-15T12:00:00Z", 0}}},
    {"spring-projects/spring-framework#26390", "0 0 * L * *", "UTC", BY_CRON, "2021-01-30T00:00:00Z",
     {{"2021-01-31T00:00:00Z", 0}, {"2021-01-31T01:00:00Z", 0}}},
    {"spring-projects/spring-framework#27966", "0 0 0 1W * ?", "UTC", BY_CRON, "2021-07-31T12:00:00Z",
     {{"2021-08-02T00:00:00Z", 0}, {"2021-09-01T00:00:00Z", 0}}},
    {"spring-projects/spring-framework#27966", "0 0 0 1W * ?", "UTC", BY_CRON, "2021-12-31T12:00:00Z",
     {{"2022-01-03T00:00:00Z", 0}, {"2022-02-01T00:00:00Z", 0}}},
    {"spring-projects/spring-framework#34360", "0 0 8 ? * MON#2,MON#3,MON#4,MON#5", "UTC", BY_CRON, "2025-01-28T00:00:00Z",
     {{"2025-02-10T08:00:00Z", 0}, {"2025-02-17T08:00:00Z", 0}, {"2025-02-24T08:00:00Z", 0}, {"2025-03-10T08:00:00Z", 0}}},
    {"Hexagon/croner#253", "0 * * * FriL", "UTC", BY_CRON, "2024-07-11T08:00:00Z",
     {{"2024-07-26T00:00:00Z", 0}, {"2024-07-26T01:00:00Z", 0}}},
    {"Hexagon/croner#254", "0 0 0 * * 6#4", "UTC", BY_CRON, "2024-08-02T00:00:00Z",
     {{"2024-08-24T00:00:00Z", 0}, {"2024-09-28T00:00:00Z", 0}, {"2024-10-26T00:00:00Z", 0}, {"2024-11-23T00:00:00Z", 0}}},
    {"Hexagon/croner-rust#25", "0 0 1W * *", "UTC", BY_CRON, "2025-01-30T00:00:00Z",
     {{"2025-02-03T00:00:00Z", 0}, {"2025-03-03T00:00:00Z", 0}}},
    {"jmrozanec/cron-utils#244", "0 9 * * 1L", "UTC", BY_CRON, "2017-10-02T00:00:00Z",
     {{"2017-10-30T09:00:00Z", 0}, {"2017-11-27T09:00:00Z", 0}}},
    {"jmrozanec/cron-utils#716", "0 0 0 ? * L", "UTC", BY_CRON, "2025-06-01T00:00:00Z",
     {{"2025-06-07T00:00:00Z", 0}, {"2025-06-14T00:00:00Z", 0}, {"2025-06-21T00:00:00Z", 0}}},
    {"dragonmantank/cron-expression#189", "0 23 L,15 * *", "UTC", BY_CRON, "2024-02-10T00:00:00Z",
     {{"2024-02-15T23:00:00Z", 0}, {"2024-02-29T23:00:00Z", 0}, {"2024-03-15T23:00:00Z", 0}}},
    {"dragonmantank/cron-expression#168", "0 5 LW * *", "UTC", BY_CRON, "2023-10-01T00:00:00Z",
     {{"2023-10-31T05:00:00Z", 0}, {"2023-11-30T05:00:00Z", 0}, {"2023-12-29T05:00:00Z", 0}}},
    {"robfig/cron#320", "1 1 * 6 4#3", "UTC", BY_CRON, "2020-06-01T01:00:00Z",
     {{"2020-06-18T01:01:00Z", 0}, {"2021-06-17T01:01:00Z", 0}}},
    {"LisiLisenok/Chime#27", "0 0 * * thu#1", "UTC", BY_CRON, "2017-09-01T00:00:00Z",
     {{"2017-09-07T00:00:00Z", 0}, {"2017-10-05T00:00:00Z", 0}}},
    /* days of the month and of the week */
    {"robfig/cron#70", "0 0 */10 * 1", "UTC", BY_CRON, "2016-08-01T12:00:00Z",
     {{"2016-10-31T00:00:00Z", 0}, {"2016-11-21T00:00:00Z", 0}}},
    {"robfig/cron#70", "0 0 1-31/10 * 1", "UTC", BY_CRON, "2016-08-01T12:00:00Z",
     {{"2016-08-08T00:00:00Z", 0}, {"2016-08-11T00:00:00Z", 0}, {"2016-08-15T00:00:00Z", 0}}},
    {"robfig/cron#118", "0 0 30,31 10 1-5", "UTC", BY_CRON, "2017-10-17T12:00:00Z",
     {{"2017-10-18T00:00:00Z", 0}, {"2017-10-19T00:00:00Z", 0}}},
    {"QwenLM/qwen-code#7452", "0 0 */2 * 1", "UTC", BY_CRON, "2024-12-31T00:00:00Z",
     {{"2025-01-13T00:00:00Z", 0}, {"2025-01-27T00:00:00Z", 0}}},
    {"mtdowling/cron-expression#131", "0 16 4 * fri", "UTC", BY_CRON, "2016-11-04T16:00:00Z",
     {{"2016-11-11T16:00:00Z", 0}, {"2016-11-18T16:00:00Z", 0}, {"2016-11-25T16:00:00Z", 0}, {"2016-12-02T16:00:00Z", 0}}},
    {"harrisiirak/cron-parser#173", "0 4 1 * 1-5", "UTC", BY_CRON, "2019-10-02T05:00:00Z",
     {{"2019-10-03T04:00:00Z", 0}, {"2019-10-04T04:00:00Z", 0}, {"2019-10-07T04:00:00Z", 0}}},
    {"jmrozanec/cron-utils#388", "0 0 8 1-7 * SAT", "UTC", BY_CRON, "2019-07-15T12:00:00Z",
     {{"2019-07-20T08:00:00Z", 0}, {"2019-07-27T08:00:00Z", 0}, {"2019-08-01T08:00:00Z", 0}}},
    {"jmrozanec/cron-utils#57", "30 3 * * MON-FRI", "UTC", BY_CRON, "1969-12-31T12:00:00Z",
     {{"1970-01-01T03:30:00Z", 0}, {"1970-01-02T03:30:00Z", 0}, {"1970-01-05T03:30:00Z", 0}}},
    {"jmrozanec/cron-utils#117", "0 * * ? * *", "UTC", BY_CRON, "2016-08-30T23:59:00Z",
     {{"2016-08-31T00:00:00Z", 0}, {"2016-08-31T00:01:00Z", 0}}},
    {"jmrozanec/cron-utils#336", "0 0 * * */3", "UTC", BY_CRON, "2018-02-08T00:00:00Z",
     {{"2018-02-10T00:00:00Z", 0}, {"2018-02-11T00:00:00Z", 0}, {"2018-02-14T00:00:00Z", 0}}},
    {"adhocore/gronx#72", "0 0 * * 4-7/3", "UTC", BY_CRON, "2026-08-17T00:00:00Z",
     {{"2026-08-20T00:00:00Z", 0}, {"2026-08-23T00:00:00Z", 0}}},
    {"harrisiirak/cron-parser#438", "0 9 * * 2/2", "UTC", BY_CRON, "2026-08-02T00:00:00Z",
     {{"2026-08-04T09:00:00Z", 0}, {"2026-08-06T09:00:00Z", 0}, {"2026-08-08T09:00:00Z", 0}, {"2026-08-11T09:00:00Z", 0}}},
    {"dbos-inc/dbos-transact-ts#1317", "0 0 * * 1-7/2", "UTC", BY_CRON, "2026-07-26T12:00:00Z",
     {{"2026-07-27T00:00:00Z", 0}, {"2026-07-29T00:00:00Z", 0}, {"2026-07-31T00:00:00Z", 0}, {"2026-08-02T00:00:00Z", 0}}},
    {"agronholm/apscheduler#512", "0 18 * * 2", "UTC", BY_CRON, "2021-05-10T15:48:00Z",
     {{"2021-05-11T18:00:00Z", 0}, {"2021-05-18T18:00:00Z", 0}}},
    {"taichino/croniter#131", "0 0 29 2 *", "UTC", BY_CRON, "2020-02-29T12:00:00Z",
     {{"2024-02-29T00:00:00Z", 0}, {"2028-02-29T00:00:00Z", 0}}},
    {"staticlibs/ccronexpr#32", "59 59 23 29 2 *", "UTC", BY_CRON, "2020-02-28T00:00:00Z",
     {{"2020-02-29T23:59:59Z", 0}, {"2024-02-29T23:59:59Z", 0}}},
    {"jaclarke/cronosjs#37", "0 0 31 4,5 *", "UTC", BY_CRON, "2029-03-26T09:22:30Z",
     {{"2029-05-31T00:00:00Z", 0}, {"2030-05-31T00:00:00Z", 0}}},
    /* clocks that go forward */
    {"robfig/cron#12", "0 0 2 * * *", "America/Los_Angeles", BY_CRON, "2014-03-09T09:00:00Z",
     {{"2014-03-09T10:00:00Z", GAP}, {"2014-03-10T09:00:00Z", 0}}},
    {"kelektiv/node-cron#638", "30 2 * * *", "Europe/Amsterdam", BY_CRON, "2023-03-25T12:00:00Z",
     {{"2023-03-26T01:00:00Z", GAP}, {"2023-03-27T00:30:00Z", 0}}},
    {"kelektiv/node-cron#118", "0 0 12 11,26 * *", "America/Sao_Paulo", BY_CRON, "2014-10-12T00:00:00Z",
     {{"2014-10-26T14:00:00Z", 0}, {"2014-11-11T14:00:00Z", 0}}},
    {"vatesfr/xen-orchestra#4024", "0 2 * * *", "America/New_York", BY_CRON, "2019-03-10T00:00:00Z",
     {{"2019-03-10T07:00:00Z", GAP}, {"2019-03-11T06:00:00Z", 0}}},
    {"spring-projects/spring-framework#26830", "0 10 2 * * *", "Europe/Berlin", BY_CRON, "2021-03-28T00:09:00Z",
     {{"2021-03-28T01:00:00Z", GAP}, {"2021-03-29T00:10:00Z", 0}}},
    {"jmrozanec/cron-utils#61", "0 17 * * *", "America/New_York", BY_CRON, "2016-03-12T22:00:00Z",
     {{"2016-03-13T21:00:00Z", 0}, {"2016-03-14T21:00:00Z", 0}}},
    {"agronholm/apscheduler#115", "0 8 * * *", "Europe/Berlin", BY_CRON, "2016-03-26T20:00:00Z",
     {{"2016-03-27T06:00:00Z", 0}, {"2016-03-28T06:00:00Z", 0}}},
    {"agronholm/apscheduler#370", "0 1 * * *", "Europe/Dublin", SKIP, "2019-03-30T12:00:00Z",
     {{"2019-04-01T00:00:00Z", 0}}},
    {"agronholm/apscheduler#529", "0 0 * * 1-5", "US/Central", BY_CRON, "2021-03-12T06:00:00Z",
     {{"2021-03-15T05:00:00Z", 0}, {"2021-03-16T05:00:00Z", 0}}},
    {"agronholm/apscheduler#1059", "0 2 * * *", "US/Eastern", SKIP, "2013-03-10T06:00:00Z",
     {{"2013-03-11T06:00:00Z", 0}}},
    {"pallets-eco/croniter#91", "0 6 * * *", "America/New_York", BY_CRON, "2024-03-08T08:00:00Z",
     {{"2024-03-08T11:00:00Z", 0}, {"2024-03-09T11:00:00Z", 0}, {"2024-03-10T10:00:00Z", 0}, {"2024-03-11T10:00:00Z", 0}}},
    {"pallets-eco/croniter#258", "0 * * * *", "Australia/Lord_Howe", BY_CRON, "2019-10-05T14:00:00Z",
     {{"2019-10-05T14:30:00Z", 0}, {"2019-10-05T16:00:00Z", 0}}},
    {"HangfireIO/Cronos#92", "30 2 * * *", "Europe/Amsterdam", BY_CRON, "2024-03-29T02:35:00Z",
     {{"2024-03-30T01:30:00Z", 0}, {"2024-03-31T01:00:00Z", GAP}, {"2024-04-01T00:30:00Z", 0}}},
    /* midnights that do not exist */
    {"nats-io/nats-server#8543", "0 0 1 4 11 *", "America/Sao_Paulo", BY_CRON, "2018-11-04T02:00:00Z",
     {{"2018-11-04T03:00:00Z", 0}, {"2019-11-04T04:00:00Z", 0}}},
    {"PrefectHQ/prefect#5957", "0 0 * * 0", "America/Santiago", BY_CRON, "2022-09-05T00:00:00Z",
     {{"2022-09-11T04:00:00Z", GAP}, {"2022-09-18T03:00:00Z", 0}, {"2022-09-25T03:00:00Z", 0}}},
    {"temporalio/documentation#952", "0 0 * * *", "Asia/Tehran", BY_CRON, "2022-03-21T12:00:00Z",
     {{"2022-03-21T20:30:00Z", GAP}, {"2022-03-22T19:30:00Z", 0}}},
    /* clocks that go back */
    {"robfig/cron#12", "0 0 1 * * *", "America/Los_Angeles", BY_CRON, "2014-11-02T07:00:00Z",
     {{"2014-11-02T08:00:00Z", FOLD}, {"2014-11-03T09:00:00Z", 0}}},
    {"quartz-scheduler/quartz#81", "* * * * *", "Europe/Berlin", BY_CRON, "2016-10-30T00:58:00Z",
     {{"2016-10-30T00:59:00Z", FOLD}, {"2016-10-30T01:00:00Z", FOLD}, {"2016-10-30T01:01:00Z", FOLD}}},
    {"kelektiv/node-cron#881", "*/30 * * * *", "Australia/Melbourne", BY_CRON, "2024-04-06T15:00:00Z",
     {{"2024-04-06T15:30:00Z", FOLD}, {"2024-04-06T16:00:00Z", FOLD}, {"2024-04-06T16:30:00Z", FOLD}, {"2024-04-06T17:00:00Z", 0}}},
    {"kelektiv/node-cron#563", "30 1 * * *", "America/New_York", BY_CRON, "2021-11-06T12:00:00Z",
     {{"2021-11-07T05:30:00Z", FOLD}, {"2021-11-08T06:30:00Z", 0}}},
    {"celery/celery#10107", "0 * * * *", "US/Pacific", BY_CRON, "2026-11-01T07:00:00Z",
     {{"2026-11-01T08:00:00Z", FOLD}, {"2026-11-01T09:00:00Z", FOLD}, {"2026-11-01T10:00:00Z", 0}}},
    {"agronholm/apscheduler#1021", "30 * * * *", "Europe/Helsinki", BY_CRON, "2017-10-29T00:00:00Z",
     {{"2017-10-29T00:30:00Z", FOLD}, {"2017-10-29T01:30:00Z", FOLD}, {"2017-10-29T02:30:00Z", 0}}},
    {"taichino/croniter#48", "0 8 * * 1", "Europe/Amsterdam", BY_CRON, "2017-10-23T06:00:00Z",
     {{"2017-10-30T07:00:00Z", 0}, {"2017-11-06T07:00:00Z", 0}}},
    {"taichino/croniter#116", "0 8 * * 1,2,3,4,5", "America/New_York", BY_CRON, "2018-10-31T20:00:00Z",
     {{"2018-11-01T12:00:00Z", 0}, {"2018-11-02T12:00:00Z", 0}, {"2018-11-05T13:00:00Z", 0}}},
    {"pallets-eco/croniter#25", "00 20 * * *", "Europe/Paris", BY_CRON, "2022-10-29T22:00:00Z",
     {{"2022-10-30T19:00:00Z", 0}, {"2022-10-31T19:00:00Z", 0}, {"2022-11-01T19:00:00Z", 0}}},
    {"pallets-eco/croniter#191", "10 3 * * 0", "Europe/Prague", BY_CRON, "2025-10-18T10:00:00Z",
     {{"2025-10-19T01:10:00Z", 0}, {"2025-10-26T02:10:00Z", 0}, {"2025-11-02T02:10:00Z", 0}}},
    {"cronie-crond/cronie#124", "30 01 * * *", "UTC", BY_CRON, "2022-10-29T12:00:00Z",
     {{"2022-10-30T01:30:00Z", 0}, {"2022-10-31T01:30:00Z", 0}}},
    {"elizaOS/eliza#11100", "45 1 * * *", "Australia/Lord_Howe", BY_CRON, "2026-04-04T00:00:00Z",
     {{"2026-04-04T14:45:00Z", FOLD}, {"2026-04-05T15:15:00Z", 0}}},
};

/* Refused, where others looked for ever or for something else. */
static const struct {
    const char *source, *text, *part; /* of the message */
} refused[] = {
    {"jmrozanec/cron-utils#310", "0 0 31 2 *", "no such day"},
    {"Steve-Mcl/node-red-contrib-cron-plus#110", "0 0 30 02 *", "no such day"},
    {"harrisiirak/cron-parser#115", "* * * 31 4 *", "no such day"},
    {"floraison/fugit#20", "* * 31 11 *", "no such day"},
    {"jaclarke/cronosjs#37", "0 0 31 2,4,6 *", "no such day"},
    {"cuu508/cronsim#3", "* * * * FRI-MON", "backwards"},
    {"bunkat/later#173", "* * W * *", "a day in front of W"},
    {"alpinweis/cronex#19", "* * 25-L * *", "1 to 31 expected"},
    {"node-cron/node-cron#559", "0 0 12 * * 2#6", "1 to 5 expected"},
    {"node-cron/node-cron#559", "0 0 12 * * #3", "0 to 7"},
};
/* clang-format on */

static jm_zone_cache *zones;

static void setup(void)
{
    zones = jm_zone_cache_new(NULL);
}

static void teardown(void)
{
    jm_zone_cache_free(zones);
}

static int64_t utc(const char *text)
{
    int64_t us;
    ck_assert_int_eq(jm_rfc3339_parse(text, strlen(text), &us, NULL), 0);
    return us;
}

static jm_recurrence make(const hard_case *c)
{
    jm_recurrence r;
    jm_err err = {0};
    jm_recurrence_spec spec = {.cron_expression = c->text, .timezone = c->zone, .dst_gap = c->gap};
    ck_assert_msg(!jm_recurrence_init(&r, &spec, zones, &err), "%s: %s", c->source, err.msg);
    return r;
}

static void check_instant(const hard_case *c, int i, int64_t got, unsigned notes)
{
    char text[JM_RFC3339_TEXT];
    jm_rfc3339_format(got, text);
    ck_assert_msg(got == utc(c->expect[i].at) && notes == c->expect[i].notes,
                  "%s, %s: %s with notes %u, not %s", c->source, c->text, text, notes,
                  c->expect[i].at);
}

START_TEST(forward_and_back)
{
    const hard_case *c = &cases[_i];
    jm_recurrence r = make(c);
    int64_t at = utc(c->after);
    unsigned notes;
    int n = 0;
    for (; n < 4 && c->expect[n].at; n++) {
        ck_assert(jm_recurrence_next(&r, at, &at, &notes));
        check_instant(c, n, at, notes);
    }
    ck_assert_int_eq(jm_recurrence_count(&r, utc(c->after), at), n);
    at++;
    while (n-- > 0) {
        ck_assert(jm_recurrence_previous(&r, at, &at, &notes));
        check_instant(c, n, at, notes);
    }
    ck_assert(!jm_recurrence_previous(&r, at, &at, NULL) || at <= utc(c->after));
}
END_TEST

START_TEST(refusal)
{
    jm_cron cron;
    jm_err err = {0};
    ck_assert_int_eq(jm_cron_parse(&cron, refused[_i].text, &err), JM_ERR_INVALID);
    ck_assert_msg(strstr(err.msg, refused[_i].part) != NULL, "%s: %s", refused[_i].source, err.msg);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("hard_cases");
    TCase *tc = tcase_create("hard_cases");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, forward_and_back, 0, N(cases));
    tcase_add_loop_test(tc, refusal, 0, N(refused));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
