/* Tests of recurrence: DST gaps and folds in known zones, intervals, one-shots, bounds, counting.
 */
#include "producer/recurrence.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define GAP  JM_RECURRENCE_GAP
#define FOLD JM_RECURRENCE_FOLD

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
    jm_err err = {0};
    ck_assert_msg(!jm_rfc3339_parse(text, strlen(text), &us, &err), "%s: %s", text, err.msg);
    return us;
}

static jm_recurrence make(const jm_recurrence_spec *spec)
{
    jm_recurrence r;
    jm_err err = {0};
    ck_assert_msg(jm_recurrence_init(&r, spec, zones, &err) == 0, "%s", err.msg);
    return r;
}

static jm_recurrence cron(const char *text, const char *zone, jm_dst_gap gap, jm_dst_fold fold)
{
    return make(&(jm_recurrence_spec){.kind = JM_RECURRENCE_CRON,
                                      .cron_expression = text,
                                      .timezone = zone,
                                      .dst_gap = gap,
                                      .dst_fold = fold});
}

typedef struct instant {
    const char *at;
    unsigned notes;
} instant;

typedef struct dst_case {
    const char *zone, *text;
    jm_dst_gap gap;
    jm_dst_fold fold;
    const char *after;
    instant expect[6]; /* what follows, in order */
} dst_case;

static const dst_case dst_cases[] = {
    /* New York 2026-03-08: 02:00 to 03:00 does not exist, from 07:00Z on it is UTC-4. */
    {"America/New_York",
     "30 2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-07T00:00:00Z",
     {{"2026-03-07T07:30:00Z", 0}, {"2026-03-08T07:00:00Z", GAP}, {"2026-03-09T06:30:00Z", 0}}},
    {"America/New_York",
     "30 2 * * *",
     JM_DST_GAP_SKIP,
     JM_DST_FOLD_CRON,
     "2026-03-07T00:00:00Z",
     {{"2026-03-07T07:30:00Z", 0}, {"2026-03-09T06:30:00Z", 0}}},
    /* two fixed times in one gap, and one at its end, are one tick */
    {"America/New_York",
     "5,30 2,3 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-08T06:00:00Z",
     {{"2026-03-08T07:00:00Z", GAP}, {"2026-03-08T07:05:00Z", 0}, {"2026-03-08T07:30:00Z", 0}}},
    {"America/New_York",
     "0 2,3 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-08T06:00:00Z",
     {{"2026-03-08T07:00:00Z", GAP}, {"2026-03-09T06:00:00Z", 0}}},
    /* a star in the hour: every instant that matches, nothing for the gap */
    {"America/New_York",
     "30 * * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-08T06:00:00Z",
     {{"2026-03-08T06:30:00Z", 0}, {"2026-03-08T07:30:00Z", 0}, {"2026-03-08T08:30:00Z", 0}}},
    {"America/New_York",
     "30 * * * *",
     JM_DST_GAP_AFTER,
     JM_DST_FOLD_CRON,
     "2026-03-08T06:00:00Z",
     {{"2026-03-08T06:30:00Z", 0}, {"2026-03-08T07:00:00Z", GAP}, {"2026-03-08T07:30:00Z", 0}}},
    {"America/New_York",
     "*/20 2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-08T00:00:00Z",
     {{"2026-03-09T06:00:00Z", 0}}},
    /* asked in the microsecond before the end of the gap */
    {"America/New_York",
     "30 2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-08T06:59:59.999999Z",
     {{"2026-03-08T07:00:00Z", GAP}, {"2026-03-09T06:30:00Z", 0}}},
    {"America/New_York",
     "30 2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-08T07:00:00Z",
     {{"2026-03-09T06:30:00Z", 0}}},
    /* New York 2026-11-01: 01:00 to 02:00 comes twice, from 05:00Z and from 06:00Z. */
    {"America/New_York",
     "30 1 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-10-31T12:00:00Z",
     {{"2026-11-01T05:30:00Z", FOLD}, {"2026-11-02T06:30:00Z", 0}}},
    {"America/New_York",
     "30 1 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_SECOND,
     "2026-10-31T12:00:00Z",
     {{"2026-11-01T06:30:00Z", FOLD}, {"2026-11-02T06:30:00Z", 0}}},
    {"America/New_York",
     "30 1 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_BOTH,
     "2026-10-31T12:00:00Z",
     {{"2026-11-01T05:30:00Z", FOLD}, {"2026-11-01T06:30:00Z", FOLD}, {"2026-11-02T06:30:00Z", 0}}},
    {"America/New_York",
     "30 * * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-11-01T04:00:00Z",
     {{"2026-11-01T04:30:00Z", 0},
      {"2026-11-01T05:30:00Z", FOLD},
      {"2026-11-01T06:30:00Z", FOLD},
      {"2026-11-01T07:30:00Z", 0}}},
    {"America/New_York",
     "30 * * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_FIRST,
     "2026-11-01T04:00:00Z",
     {{"2026-11-01T04:30:00Z", 0}, {"2026-11-01T05:30:00Z", FOLD}, {"2026-11-01T07:30:00Z", 0}}},
    {"America/New_York",
     "30 * * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_SECOND,
     "2026-11-01T04:00:00Z",
     {{"2026-11-01T04:30:00Z", 0}, {"2026-11-01T06:30:00Z", FOLD}, {"2026-11-01T07:30:00Z", 0}}},
    /* asked in between: the second occurrence of a fixed time is nothing any more */
    {"America/New_York",
     "30 1 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-11-01T05:45:00Z",
     {{"2026-11-02T06:30:00Z", 0}}},
    /* 02:00 itself is after the fold */
    {"America/New_York",
     "0 1,2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-11-01T04:00:00Z",
     {{"2026-11-01T05:00:00Z", FOLD}, {"2026-11-01T07:00:00Z", 0}}},
    /* Paris: gap 2026-03-29 02:00, fold 2026-10-25 02:00 to 03:00 */
    {"Europe/Paris",
     "15 2 * * 0",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-22T12:00:00Z",
     {{"2026-03-29T01:00:00Z", GAP}, {"2026-04-05T00:15:00Z", 0}}},
    {"Europe/Paris",
     "0 2,3 25 10 *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-10-01T00:00:00Z",
     {{"2026-10-25T00:00:00Z", FOLD}, {"2026-10-25T02:00:00Z", 0}, {"2027-10-25T00:00:00Z", 0}}},
    /* Lord Howe moves by half an hour: gap 2026-10-04 02:00-02:30, fold 2026-04-05 01:30-02:00 */
    {"Australia/Lord_Howe",
     "15 2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-10-03T00:00:00Z",
     {{"2026-10-03T15:30:00Z", GAP}, {"2026-10-04T15:15:00Z", 0}}},
    {"Australia/Lord_Howe",
     "*/15 * * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-04-04T14:15:00Z",
     {{"2026-04-04T14:30:00Z", FOLD},
      {"2026-04-04T14:45:00Z", FOLD},
      {"2026-04-04T15:00:00Z", FOLD},
      {"2026-04-04T15:15:00Z", FOLD},
      {"2026-04-04T15:30:00Z", 0}}},
    /* Apia left out 2011-12-30 */
    {"Pacific/Apia",
     "0 9 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2011-12-29T12:00:00Z",
     {{"2011-12-29T19:00:00Z", 0},
      {"2011-12-30T10:00:00Z", GAP},
      {"2011-12-30T19:00:00Z", 0},
      {"2011-12-31T19:00:00Z", 0}}},
    {"Pacific/Apia",
     "0 9 30 12 *",
     JM_DST_GAP_SKIP,
     JM_DST_FOLD_CRON,
     "2011-12-01T12:00:00Z",
     {{"2012-12-29T19:00:00Z", 0}}},
    {"Pacific/Apia",
     "0 */12 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2011-12-29T12:00:00Z",
     {{"2011-12-29T22:00:00Z", 0}, {"2011-12-30T10:00:00Z", 0}, {"2011-12-30T22:00:00Z", 0}}},
    /* midnight does not exist: Sao Paulo 2018-11-04, Beirut 2026-03-29 */
    {"America/Sao_Paulo",
     "@daily",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2018-11-03T12:00:00Z",
     {{"2018-11-04T03:00:00Z", GAP}, {"2018-11-05T02:00:00Z", 0}}},
    {"Asia/Beirut",
     "0 0 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-28T12:00:00Z",
     {{"2026-03-28T22:00:00Z", GAP}, {"2026-03-29T21:00:00Z", 0}}},
    /* midnight comes twice: Sao Paulo 2018-02-17 23:00 to 24:00 */
    {"America/Sao_Paulo",
     "30 23 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2018-02-17T12:00:00Z",
     {{"2018-02-18T01:30:00Z", FOLD}, {"2018-02-19T02:30:00Z", 0}}},
    /* daylight time that is negative: Dublin falls back in October as everywhere */
    {"Europe/Dublin",
     "30 1 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-10-24T12:00:00Z",
     {{"2026-10-25T00:30:00Z", FOLD}, {"2026-10-26T01:30:00Z", 0}}},
    /* a gap from 23:00 to midnight: Nuuk 2026-03-28; from midnight on: Azores 2026-03-29, Tehran */
    {"America/Nuuk",
     "30 23 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-28T12:00:00Z",
     {{"2026-03-29T01:00:00Z", GAP}, {"2026-03-30T00:30:00Z", 0}}},
    {"America/Nuuk",
     "59 23 28 3 *",
     JM_DST_GAP_SKIP,
     JM_DST_FOLD_CRON,
     "2026-03-01T12:00:00Z",
     {{"2027-03-29T00:59:00Z", 0}}},
    {"Atlantic/Azores",
     "0 0 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-28T12:00:00Z",
     {{"2026-03-29T01:00:00Z", GAP}, {"2026-03-30T00:00:00Z", 0}}},
    {"Asia/Tehran",
     "59 23 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2022-03-21T12:00:00Z",
     {{"2022-03-21T20:29:00Z", 0}, {"2022-03-22T19:29:00Z", 0}}},
    /* half an hour over midnight: Pyongyang left out 2018-05-04 23:30 to 24:00, and had
     * 2015-08-14 23:30 to 24:00 twice */
    {"Asia/Pyongyang",
     "45 23 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2018-05-04T12:00:00Z",
     {{"2018-05-04T15:00:00Z", GAP}, {"2018-05-05T14:45:00Z", 0}}},
    {"Asia/Pyongyang",
     "45 23 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_BOTH,
     "2015-08-14T12:00:00Z",
     {{"2015-08-14T14:45:00Z", FOLD}, {"2015-08-14T15:15:00Z", FOLD}, {"2015-08-15T15:15:00Z", 0}}},
    /* Caracas moved by half an hour for good: 2016-05-01 02:30 to 03:00 */
    {"America/Caracas",
     "45 2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2016-04-30T12:00:00Z",
     {{"2016-05-01T07:00:00Z", GAP}, {"2016-05-02T06:45:00Z", 0}}},
    /* Fakaofo left out a day, as Apia did */
    {"Pacific/Fakaofo",
     "0 */8 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2011-12-30T02:00:00Z",
     {{"2011-12-30T03:00:00Z", 0}, {"2011-12-30T11:00:00Z", 0}, {"2011-12-30T19:00:00Z", 0}}},
    /* rules that ended: Istanbul stayed at +03:00 in October 2016, Mexico City at -06:00 in 2023 */
    {"Europe/Istanbul",
     "30 3 30 10 *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2015-01-01T00:00:00Z",
     {{"2015-10-30T00:30:00Z", 0}, {"2016-10-30T00:30:00Z", 0}}},
    {"America/Mexico_City",
     "30 2 2 4 *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2016-12-01T00:00:00Z",
     {{"2017-04-02T08:00:00Z", GAP}, {"2018-04-02T07:30:00Z", 0}}},
    {"America/Mexico_City",
     "30 2 2 4 *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2022-12-01T00:00:00Z",
     {{"2023-04-02T08:30:00Z", 0}}},
    /* two hours at Troll: a gap 2026-03-29 01:00 to 03:00 */
    {"Antarctica/Troll",
     "30 1,2 * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-03-28T12:00:00Z",
     {{"2026-03-29T01:00:00Z", GAP}, {"2026-03-29T23:30:00Z", 0}}},
    /* far ahead, by the rule in the footer */
    {"America/New_York",
     "30 2 14 3 *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2998-01-01T00:00:00Z",
     {{"2998-03-14T06:30:00Z", 0}, {"2999-03-14T06:30:00Z", 0}}},
    /* leap years */
    {"UTC",
     "0 0 29 2 *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2095-01-01T00:00:00Z",
     {{"2096-02-29T00:00:00Z", 0}, {"2104-02-29T00:00:00Z", 0}}},
    {"Asia/Kathmandu",
     "0 0 29 2 */7",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "2026-01-01T00:00:00Z",
     {{"2032-02-28T18:15:00Z", 0}, {"2060-02-28T18:15:00Z", 0}}},
    /* the last minute of all */
    {"UTC",
     "* * * * *",
     JM_DST_GAP_CRON,
     JM_DST_FOLD_CRON,
     "9999-12-31T23:58:00Z",
     {{"9999-12-31T23:59:00Z", 0}}},
};

START_TEST(dst)
{
    const dst_case *c = &dst_cases[_i];
    jm_recurrence r = cron(c->text, c->zone, c->gap, c->fold);
    int64_t after = utc(c->after), got;
    for (int i = 0; i < 6 && c->expect[i].at; i++) {
        unsigned notes;
        char text[JM_RFC3339_TEXT];
        ck_assert_msg(jm_recurrence_next(&r, after, &got, &notes), "%s: none", c->text);
        jm_rfc3339_format(got, text);
        ck_assert_msg(got == utc(c->expect[i].at), "%s %s, no. %d: %s, not %s", c->zone, c->text, i,
                      text, c->expect[i].at);
        ck_assert_msg(notes == c->expect[i].notes, "%s %s: notes %u", c->text, text, notes);
        after = got;
    }
}
END_TEST

/* The same cases from the other end. */
START_TEST(dst_backwards)
{
    const dst_case *c = &dst_cases[_i];
    jm_recurrence r = cron(c->text, c->zone, c->gap, c->fold);
    int n = 0;
    while (n < 6 && c->expect[n].at)
        n++;
    int64_t before = utc(c->expect[n - 1].at) + 1, got;
    while (n-- > 0) {
        unsigned notes;
        char text[JM_RFC3339_TEXT];
        ck_assert_msg(jm_recurrence_previous(&r, before, &got, &notes), "%s: none", c->text);
        jm_rfc3339_format(got, text);
        ck_assert_msg(got == utc(c->expect[n].at), "%s %s, no. %d: %s, not %s", c->zone, c->text, n,
                      text, c->expect[n].at);
        ck_assert_msg(notes == c->expect[n].notes, "%s %s: notes %u", c->text, text, notes);
        before = got;
    }
    ck_assert(!jm_recurrence_previous(&r, before, &got, NULL) || got <= utc(c->after));
}
END_TEST

START_TEST(interval)
{
    jm_recurrence r = make(&(jm_recurrence_spec){.kind = JM_RECURRENCE_INTERVAL,
                                                 .interval_s = 90,
                                                 .anchor_at_us = utc("2026-11-22T10:00:00.25Z")});
    int64_t got;
    unsigned notes = 7;
    ck_assert(jm_recurrence_next(&r, utc("2020-01-01T00:00:00Z"), &got, &notes));
    ck_assert_int_eq(got, utc("2026-11-22T10:01:30.25Z")); /* the anchor itself is no instant */
    ck_assert_uint_eq(notes, 0);
    ck_assert(jm_recurrence_next(&r, got - 1, &got, NULL));
    ck_assert_int_eq(got, utc("2026-11-22T10:01:30.25Z"));
    ck_assert(jm_recurrence_next(&r, got, &got, NULL));
    ck_assert_int_eq(got, utc("2026-11-22T10:03:00.25Z"));
    ck_assert_int_eq(jm_recurrence_count(&r, r.anchor_us - 5, got), 2);
    ck_assert_int_eq(jm_recurrence_count(&r, r.anchor_us, r.anchor_us + 1000 * r.interval_us),
                     1000);
    ck_assert_int_eq(jm_recurrence_count(&r, got, got), 0);
    ck_assert_int_eq(jm_recurrence_count(&r, 0, r.anchor_us + 1), 0);
    ck_assert(jm_recurrence_last(&r, 0, r.anchor_us + 90500000, &got));
    ck_assert_int_eq(got, r.anchor_us + 90000000);
    ck_assert(!jm_recurrence_last(&r, 0, r.anchor_us + 89999999, &got));
    ck_assert(jm_recurrence_previous(&r, r.anchor_us + 180000001, &got, &notes));
    ck_assert_int_eq(got, r.anchor_us + 180000000);
    ck_assert(jm_recurrence_previous(&r, got, &got, NULL));
    ck_assert_int_eq(got, r.anchor_us + 90000000);
    ck_assert(!jm_recurrence_previous(&r, got, &got, NULL)); /* not the anchor, nor before it */
    ck_assert(!jm_recurrence_previous(&r, INT64_MIN, &got, NULL));
    ck_assert(!jm_recurrence_previous(&r, 0, &got, NULL));
}
END_TEST

/* A clock change is nothing to an interval: elapsed time, whatever the zone. */
START_TEST(interval_over_dst)
{
    jm_recurrence r = make(&(jm_recurrence_spec){.kind = JM_RECURRENCE_INTERVAL,
                                                 .timezone = "America/New_York",
                                                 .interval_s = 86400,
                                                 .anchor_at_us = utc("2026-03-07T12:00:00Z")});
    int64_t got;
    ck_assert(jm_recurrence_next(&r, utc("2026-03-08T12:00:00Z"), &got, NULL));
    ck_assert_int_eq(got, utc("2026-03-09T12:00:00Z"));
}
END_TEST

START_TEST(once)
{
    int64_t at = utc("2026-11-22T10:00:00.5Z"), got;
    jm_recurrence r = make(&(jm_recurrence_spec){.kind = JM_RECURRENCE_ONCE, .run_at_us = at});
    ck_assert(jm_recurrence_next(&r, at - 1, &got, NULL));
    ck_assert_int_eq(got, at);
    ck_assert(!jm_recurrence_next(&r, at, &got, NULL));
    ck_assert_int_eq(jm_recurrence_count(&r, at - 1, at), 1);
    ck_assert_int_eq(jm_recurrence_count(&r, at, at + 9), 0);
    ck_assert(jm_recurrence_last(&r, 0, at, &got));
    ck_assert(!jm_recurrence_last(&r, 0, at - 1, &got));
    ck_assert(jm_recurrence_previous(&r, at + 1, &got, NULL));
    ck_assert_int_eq(got, at);
    ck_assert(!jm_recurrence_previous(&r, at, &got, NULL));
    ck_assert(!jm_recurrence_previous(&r, INT64_MIN, &got, NULL));
    ck_assert(jm_recurrence_previous(&r, INT64_MAX, &got, NULL));
    ck_assert_int_eq(got, at);
}
END_TEST

/* Every combination of starts_at and ends_at around each kind: bounds belong to it, and next,
 * previous, last and count tell of the same instants. */
static void check_bounds(jm_recurrence_spec spec, int64_t starts_us, int64_t ends_us, int expected,
                         int64_t first_us, int64_t last_us)
{
    int64_t got;
    spec.starts_at_us = starts_us;
    spec.ends_at_us = ends_us;
    jm_recurrence r = make(&spec);
    ck_assert_int_eq(jm_recurrence_count(&r, INT64_MIN, INT64_MAX), expected);
    ck_assert_int_eq(jm_recurrence_next(&r, INT64_MIN, &got, NULL), expected > 0);
    ck_assert(!expected || got == first_us);
    ck_assert_int_eq(jm_recurrence_previous(&r, INT64_MAX, &got, NULL), expected > 0);
    ck_assert(!expected || got == last_us);
    ck_assert_int_eq(jm_recurrence_last(&r, INT64_MIN, INT64_MAX, &got), expected > 0);
    ck_assert(!expected || got == last_us);
    ck_assert(!jm_recurrence_next(&r, expected ? last_us : starts_us, &got, NULL));
    ck_assert(!jm_recurrence_previous(&r, expected ? first_us : ends_us, &got, NULL));
}

START_TEST(bounds)
{
    const int64_t hour = 3600000000, ten = utc("2026-01-01T10:00:00Z");
    jm_recurrence_spec hourly = {.kind = JM_RECURRENCE_CRON, .cron_expression = "0 * * * *"};
    jm_recurrence_spec spaced = {
        .kind = JM_RECURRENCE_INTERVAL, .interval_s = 3600, .anchor_at_us = ten - hour};
    jm_recurrence_spec single = {.kind = JM_RECURRENCE_ONCE, .run_at_us = ten};
    const jm_recurrence_spec *both[] = {&hourly, &spaced};
    for (int i = 0; i < 2; i++) {
        check_bounds(*both[i], ten, ten, 1, ten, ten);
        check_bounds(*both[i], ten, ten + hour, 2, ten, ten + hour);
        check_bounds(*both[i], ten + 1, ten + hour, 1, ten + hour, ten + hour);
        check_bounds(*both[i], ten, ten + hour - 1, 1, ten, ten);
        check_bounds(*both[i], ten + 1, ten + hour - 1, 0, 0, 0);
        check_bounds(*both[i], ten - 1, ten + 1, 1, ten, ten);
    }
    check_bounds(spaced, ten - 5 * hour, ten, 1, ten, ten); /* none before the anchor */
    check_bounds(spaced, ten - 5 * hour, ten - hour, 0, 0, 0);
    check_bounds(single, ten, ten, 1, ten, ten);
    check_bounds(single, ten - 1, ten + 1, 1, ten, ten);
    check_bounds(single, ten + 1, ten + 2, 0, 0, 0);
    check_bounds(single, ten - 2, ten - 1, 0, 0, 0);
}
END_TEST

/* An anchor with a fraction, and before 1970. */
START_TEST(old_anchor)
{
    jm_recurrence r = make(&(jm_recurrence_spec){.kind = JM_RECURRENCE_INTERVAL,
                                                 .interval_s = 7,
                                                 .anchor_at_us = utc("1960-01-01T00:00:00.3Z")});
    int64_t at = r.anchor_us, got;
    for (int i = 0; i < 1000; i++) {
        ck_assert(jm_recurrence_next(&r, at, &got, NULL));
        ck_assert_int_eq(got, at + 7000000);
        int64_t back;
        ck_assert_int_eq(jm_recurrence_previous(&r, got, &back, NULL), i > 0);
        ck_assert(i == 0 || back == at);
        at = got;
    }
}
END_TEST

/* The second Sunday of March at 02:30 never exists in New York since 2007: nothing is to come, and
 * the search for it ends. */
START_TEST(never_again)
{
    jm_recurrence r = cron("30 2 * 3 sun#2", "America/New_York", JM_DST_GAP_SKIP, JM_DST_FOLD_CRON);
    int64_t from = utc("2026-01-01T00:00:00Z"), got, begin = jm_mono_ms();
    for (int i = 0; i < 5; i++) {
        ck_assert(!jm_recurrence_next(&r, from, &got, NULL));
        ck_assert(jm_recurrence_previous(&r, INT64_MAX, &got, NULL));
        ck_assert_int_eq(got, utc("2006-03-12T07:30:00Z"));
        ck_assert(!jm_recurrence_last(&r, from, INT64_MAX, &got));
    }
    ck_assert_int_eq(jm_recurrence_count(&r, from, INT64_MAX), 0);
    ck_assert_int_lt(jm_mono_ms() - begin, 20000);
    r = cron("30 2 * 3 sun#2", "America/New_York", JM_DST_GAP_CRON, JM_DST_FOLD_CRON);
    ck_assert(jm_recurrence_next(&r, from, &got, NULL));
    ck_assert_int_eq(got, utc("2026-03-08T07:00:00Z"));
}
END_TEST

START_TEST(starts_and_ends)
{
    jm_recurrence_spec spec = {.kind = JM_RECURRENCE_CRON,
                               .cron_expression = "0 * * * *",
                               .starts_at_us = utc("2026-01-01T10:00:00Z"),
                               .ends_at_us = utc("2026-01-01T12:00:00Z")};
    jm_recurrence r = make(&spec);
    int64_t got;
    ck_assert(jm_recurrence_next(&r, 0, &got, NULL));
    ck_assert_int_eq(got, spec.starts_at_us); /* both ends belong to it */
    ck_assert(jm_recurrence_next(&r, utc("2026-01-01T11:00:00Z"), &got, NULL));
    ck_assert_int_eq(got, spec.ends_at_us);
    ck_assert(!jm_recurrence_next(&r, got, &got, NULL));
    ck_assert_int_eq(jm_recurrence_count(&r, 0, INT64_MAX), 3);
    ck_assert(jm_recurrence_last(&r, INT64_MIN, INT64_MAX, &got));
    ck_assert_int_eq(got, spec.ends_at_us);
    spec.starts_at_us++; /* not on the minute: the next whole hour */
    r = make(&spec);
    ck_assert(jm_recurrence_next(&r, 0, &got, NULL));
    ck_assert_int_eq(got, utc("2026-01-01T11:00:00Z"));

    spec.kind = JM_RECURRENCE_INTERVAL;
    spec.interval_s = 3600;
    spec.anchor_at_us = utc("2026-01-01T00:30:00Z");
    r = make(&spec);
    ck_assert(jm_recurrence_next(&r, 0, &got, NULL));
    ck_assert_int_eq(got, utc("2026-01-01T10:30:00Z"));
    ck_assert_int_eq(jm_recurrence_count(&r, 0, INT64_MAX), 2);
    ck_assert(jm_recurrence_last(&r, 0, INT64_MAX, &got));
    ck_assert_int_eq(got, utc("2026-01-01T11:30:00Z"));
}
END_TEST

static const struct {
    jm_recurrence_spec spec;
    int code;
    const char *field;
} refused[] = {
    {{.kind = JM_RECURRENCE_CRON}, JM_ERR_INVALID, "cron_expression"},
    {{.kind = JM_RECURRENCE_CRON, .cron_expression = "x"}, JM_ERR_INVALID, "cron_expression"},
    {{.kind = JM_RECURRENCE_CRON, .cron_expression = "@every 5m"},
     JM_ERR_INVALID,
     "cron_expression"},
    {{.kind = JM_RECURRENCE_CRON, .cron_expression = "* * * * *", .timezone = "Nowhere"},
     JM_ERR_INVALID,
     "timezone"},
    {{.kind = JM_RECURRENCE_INTERVAL, .anchor_at_us = 1}, JM_ERR_INVALID, "interval_seconds"},
    {{.kind = JM_RECURRENCE_INTERVAL, .interval_s = -5}, JM_ERR_INVALID, "interval_seconds"},
    {{.kind = JM_RECURRENCE_INTERVAL, .interval_s = INT64_MAX}, JM_ERR_INVALID, "interval_seconds"},
    {{.kind = JM_RECURRENCE_INTERVAL, .interval_s = 1, .anchor_at_us = INT64_MAX},
     JM_ERR_INVALID,
     "anchor_at"},
    {{.kind = JM_RECURRENCE_ONCE, .run_at_us = INT64_MIN}, JM_ERR_INVALID, "run_at"},
    {{.kind = JM_RECURRENCE_ONCE, .run_at_us = 5, .starts_at_us = 9, .ends_at_us = 8},
     JM_ERR_INVALID,
     "ends_at"},
};

START_TEST(refusal)
{
    jm_recurrence r;
    jm_err err = {0};
    ck_assert_int_eq(jm_recurrence_init(&r, &refused[_i].spec, zones, &err), refused[_i].code);
    ck_assert_str_eq(err.field, refused[_i].field);
}
END_TEST

/* Walks back over n instants in (from, to], each of them the next one of the one before; the first
 * thirty one by one. */
static void check_backwards(const jm_recurrence *r, int64_t from, int64_t to, int64_t n)
{
    int64_t before = to + 1, at, again;
    unsigned notes, notes_again;
    for (int i = 0; i < 30 && jm_recurrence_previous(r, before, &at, &notes) && at > from; i++) {
        ck_assert(jm_recurrence_next(r, at - 1, &again, &notes_again));
        ck_assert_int_eq(again, at);
        ck_assert_uint_eq(notes, notes_again);
        if (jm_recurrence_next(r, at, &again, NULL) && again <= to)
            ck_assert_int_eq(again, before);
        before = at;
        n--;
    }
    ck_assert_int_eq(jm_recurrence_count(r, from, before - 1), n);
}

/* count, last and previous against walking with next, in zones with every kind of change. */
START_TEST(counting)
{
    static const struct {
        const char *zone, *from;
    } places[] = {{"America/New_York", "2026-03-01T00:00:00Z"},
                  {"America/New_York", "2026-10-20T00:00:00Z"},
                  {"Australia/Lord_Howe", "2026-03-25T00:00:00Z"},
                  {"Pacific/Apia", "2011-12-20T00:00:00Z"},
                  {"America/Sao_Paulo", "2018-10-25T00:00:00Z"},
                  {"Asia/Manila", "1844-12-20T00:00:00Z"},
                  {"America/Juneau", "1867-10-10T00:00:00Z"},
                  {"Pacific/Kwajalein", "1993-08-10T00:00:00Z"},
                  {"Asia/Pyongyang", "2015-08-05T00:00:00Z"},
                  {"Africa/Casablanca", "2026-02-10T00:00:00Z"},
                  {"UTC", "2026-01-01T00:00:00Z"}};
    static const char *const texts[] = {
        "* * * * *",  "30 2 * * *",           "*/20 1-3 * * *",
        "0 0 * * *",  "15 0,1,2 * * *",       "7 * * * 0",
        "0 12 1 * *", "*/10 1 15W,L * sun#1", "15,45 30 23,0,1 ? * *"};
    const int n_places = sizeof places / sizeof *places;
    jm_dst_gap gap = (jm_dst_gap)(_i / n_places % 3);
    jm_dst_fold fold = (jm_dst_fold)(_i / n_places / 3);
    int64_t start = utc(places[_i % n_places].from);
    unsigned seed = 7;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        jm_recurrence r = cron(texts[i], places[_i % n_places].zone, gap, fold);
        for (int j = 0; j < 8; j++) {
            int64_t from =
                start + (int64_t)(rand_r(&seed) % (15 * 86400)) * 1000000 + rand_r(&seed) % 1000000;
            int64_t to = from + (int64_t)(rand_r(&seed) % (20 * 86400)) * 1000000;
            int64_t n = 0, at = from, found = 0, last = 0;
            while (jm_recurrence_next(&r, at, &at, NULL) && at <= to) {
                n++;
                found = at;
            }
            ck_assert_msg(jm_recurrence_count(&r, from, to) == n, "%s in %s", texts[i],
                          places[_i % n_places].zone);
            ck_assert_int_eq(jm_recurrence_last(&r, from, to, &last), n > 0);
            ck_assert_int_eq(last, found);
            check_backwards(&r, from, to, n);
        }
    }
}
END_TEST

/* Extremes neither loop nor overflow. */
START_TEST(extremes)
{
    static const char *const texts[] = {"* * * * *", "0 0 29 2 *", "30 2 * * *", "59 23 31 12 *"};
    int64_t got;
    for (int i = 0; i < 4; i++) {
        jm_recurrence r = cron(texts[i], "America/New_York", JM_DST_GAP_SKIP, JM_DST_FOLD_SECOND);
        ck_assert(jm_recurrence_next(&r, INT64_MIN, &got, NULL));
        ck_assert(!jm_recurrence_next(&r, INT64_MAX, &got, NULL));
        ck_assert(!jm_recurrence_next(&r, utc("9999-12-31T23:59:59Z") + 86400000000, &got, NULL));
        ck_assert_int_gt(jm_recurrence_count(&r, INT64_MIN, INT64_MAX), 2000);
        ck_assert(jm_recurrence_last(&r, INT64_MIN, INT64_MAX, &got));
        ck_assert(jm_recurrence_previous(&r, INT64_MAX, &got, NULL));
        ck_assert(!jm_recurrence_previous(&r, INT64_MIN, &got, NULL));
        ck_assert(!jm_recurrence_previous(&r, utc("0001-01-01T00:00:00Z"), &got, NULL));
    }
    jm_recurrence r = make(&(jm_recurrence_spec){
        .kind = JM_RECURRENCE_INTERVAL, .interval_s = 3155760000, .anchor_at_us = 0});
    ck_assert(jm_recurrence_next(&r, INT64_MIN, &got, NULL));
    ck_assert_int_eq(got, 3155760000 * 1000000);
    ck_assert(!jm_recurrence_next(&r, INT64_MAX - 1, &got, NULL));
    ck_assert_int_eq(jm_recurrence_count(&r, INT64_MIN, INT64_MAX), 80);
    ck_assert(jm_recurrence_last(&r, INT64_MIN, INT64_MAX, &got));
}
END_TEST

/* A next instant must cost microseconds; the bound is loose, for sanitizers and busy machines. */
START_TEST(speed)
{
    static const char *const texts[] = {"* * * * *", "30 2 * * *", "0 0 1 * *", "*/5 9-17 * * 1-5"};
    for (int i = 0; i < 4; i++) {
        jm_recurrence r = cron(texts[i], "America/New_York", JM_DST_GAP_CRON, JM_DST_FOLD_CRON);
        int64_t at = utc("2026-01-01T00:00:00Z"), begin = jm_mono_us();
        for (int j = 0; j < 20000; j++)
            ck_assert(jm_recurrence_next(&r, at, &at, NULL));
        double us = (double)(jm_mono_us() - begin) / 20000;
        printf("next of \"%s\": %.3f us\n", texts[i], us);
        ck_assert(us < 50);
    }
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("recurrence");
    TCase *tc = tcase_create("recurrence");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, dst, 0, N(dst_cases));
    tcase_add_loop_test(tc, dst_backwards, 0, N(dst_cases));
    tcase_add_test(tc, interval);
    tcase_add_test(tc, interval_over_dst);
    tcase_add_test(tc, once);
    tcase_add_test(tc, starts_and_ends);
    tcase_add_loop_test(tc, refusal, 0, N(refused));
    tcase_add_loop_test(tc, counting, 0, 11 * 3 * 4);
    tcase_add_test(tc, bounds);
    tcase_add_test(tc, old_anchor);
    tcase_add_test(tc, never_again);
    tcase_add_test(tc, extremes);
    tcase_add_test(tc, speed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
