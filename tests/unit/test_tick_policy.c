/* Tests of the tick policy: one for each branch, and that every instant gets exactly one fate. */
#include "producer/tick_policy.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define CAP 64
#define MIN INT64_C(60000000)
#define T0  INT64_C(1790000040000000) /* a whole minute */

static jm_zone_cache *zones;

static void setup(void)
{
    zones = jm_zone_cache_new(NULL);
}

static void teardown(void)
{
    jm_zone_cache_free(zones);
}

/* Every minute, first undecided instant at T0. */
static jm_schedule every_minute(void)
{
    jm_schedule s;
    jm_err err = {0};
    jm_schedule_init(&s);
    s.name = "test";
    s.type = "noop";
    s.when.cron_expression = "* * * * *";
    s.next_run_us = T0;
    ck_assert_msg(jm_schedule_resolve(&s, zones, &err) == 0, "%s", err.msg);
    return s;
}

typedef struct answer {
    jm_tick ticks[CAP];
    size_t n;
    int64_t next_us, skip_us;
} answer;

static answer decide(const jm_schedule *s, int64_t now_us, int open_jobs)
{
    answer a;
    jm_tick_policy_decide(s, now_us, open_jobs, a.ticks, CAP, &a.n, &a.next_us, &a.skip_us);
    return a;
}

static void expect(const jm_tick *tick, jm_tick_outcome outcome, int64_t due_us, int64_t count,
                   const char *reason)
{
    ck_assert_str_eq(jm_tick_outcome_text(tick->outcome), jm_tick_outcome_text(outcome));
    ck_assert_int_eq(tick->due_us, due_us);
    ck_assert_int_eq(tick->count, count);
    ck_assert_int_eq(tick->until_us, count > 1 ? due_us + (count - 1) * MIN : 0);
    if (reason)
        ck_assert_str_eq(tick->reason, reason);
    else
        ck_assert_ptr_null(tick->reason);
}

START_TEST(nothing_due)
{
    jm_schedule s = every_minute();
    answer a = decide(&s, T0 - 1, 0);
    ck_assert_uint_eq(a.n, 0);
    ck_assert_int_eq(a.next_us, T0);
    s.next_run_us = 0;
    a = decide(&s, T0, 0);
    ck_assert_uint_eq(a.n, 0);
    ck_assert_int_eq(a.next_us, 0);
}
END_TEST

START_TEST(on_time)
{
    jm_schedule s = every_minute();
    answer a = decide(&s, T0, 0);
    ck_assert_uint_eq(a.n, 1);
    expect(&a.ticks[0], JM_TICK_FIRED, T0, 1, NULL);
    ck_assert_int_eq(a.next_us, T0 + MIN);
}
END_TEST

/* What comes next follows the stored instant, not the clock. */
START_TEST(late_in_grace)
{
    jm_schedule s = every_minute();
    s.overlap = JM_OVERLAP_ALLOW;
    answer a = decide(&s, T0 + 2 * MIN + 17, 5);
    ck_assert_uint_eq(a.n, 3);
    for (int i = 0; i < 3; i++)
        expect(&a.ticks[i], JM_TICK_FIRED, T0 + i * MIN, 1, NULL);
    ck_assert_int_eq(a.next_us, T0 + 3 * MIN);
}
END_TEST

START_TEST(overlap_skip)
{
    jm_schedule s = every_minute();
    answer a = decide(&s, T0, 1);
    ck_assert_uint_eq(a.n, 1);
    expect(&a.ticks[0], JM_TICK_SKIPPED, T0, 1, "overlap");
    ck_assert_int_eq(a.next_us, T0 + MIN);
    /* what fires in this decision counts: the rest is one run */
    a = decide(&s, T0 + 4 * MIN, 0);
    ck_assert_uint_eq(a.n, 2);
    expect(&a.ticks[0], JM_TICK_FIRED, T0, 1, NULL);
    expect(&a.ticks[1], JM_TICK_SKIPPED, T0 + MIN, 4, "overlap");
    s.max_instances = 3;
    a = decide(&s, T0 + 4 * MIN, 1);
    ck_assert_uint_eq(a.n, 3);
    expect(&a.ticks[1], JM_TICK_FIRED, T0 + MIN, 1, NULL);
    expect(&a.ticks[2], JM_TICK_SKIPPED, T0 + 2 * MIN, 3, "overlap");
}
END_TEST

/* The grace is inclusive: exactly that late still fires. */
START_TEST(grace_bound)
{
    jm_schedule s = every_minute();
    s.catch_up = JM_CATCH_UP_SKIP;
    s.misfire_grace_s = 30;
    answer a = decide(&s, T0 + MIN / 2, 0);
    expect(&a.ticks[0], JM_TICK_FIRED, T0, 1, NULL);
    a = decide(&s, T0 + MIN / 2 + 1, 0);
    ck_assert_uint_eq(a.n, 1);
    expect(&a.ticks[0], JM_TICK_MISSED, T0, 1, "misfire_grace");
    s.misfire_grace_s = 0;
    a = decide(&s, T0, 0);
    expect(&a.ticks[0], JM_TICK_FIRED, T0, 1, NULL);
    a = decide(&s, T0 + 1, 0);
    expect(&a.ticks[0], JM_TICK_MISSED, T0, 1, "misfire_grace");
}
END_TEST

START_TEST(catch_up_skip)
{
    jm_schedule s = every_minute();
    s.catch_up = JM_CATCH_UP_SKIP;
    s.overlap = JM_OVERLAP_ALLOW;
    answer a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 7);
    expect(&a.ticks[0], JM_TICK_MISSED, T0, 15, "misfire_grace");
    for (int i = 1; i < 7; i++)
        expect(&a.ticks[i], JM_TICK_FIRED, T0 + (14 + i) * MIN, 1, NULL);
    ck_assert_int_eq(a.next_us, T0 + 21 * MIN);
}
END_TEST

START_TEST(catch_up_one)
{
    jm_schedule s = every_minute();
    s.overlap = JM_OVERLAP_ALLOW;
    answer a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 8);
    expect(&a.ticks[0], JM_TICK_COALESCED, T0, 14, "catch_up");
    for (int i = 1; i < 8; i++)
        expect(&a.ticks[i], JM_TICK_FIRED, T0 + (13 + i) * MIN, 1, NULL);
    /* one alone that is too late fires without anything to coalesce */
    s.misfire_grace_s = 10;
    a = decide(&s, T0 + 11000000, 0);
    ck_assert_uint_eq(a.n, 1);
    expect(&a.ticks[0], JM_TICK_FIRED, T0, 1, NULL);
}
END_TEST

START_TEST(catch_up_one_overlap)
{
    jm_schedule s = every_minute();
    answer a = decide(&s, T0 + 20 * MIN, 1);
    ck_assert_uint_eq(a.n, 3);
    expect(&a.ticks[0], JM_TICK_COALESCED, T0, 14, "catch_up");
    expect(&a.ticks[1], JM_TICK_SKIPPED, T0 + 14 * MIN, 1, "overlap");
    expect(&a.ticks[2], JM_TICK_SKIPPED, T0 + 15 * MIN, 6, "overlap");
}
END_TEST

START_TEST(catch_up_all)
{
    jm_schedule s = every_minute();
    s.overlap = JM_OVERLAP_ALLOW;
    s.catch_up = JM_CATCH_UP_ALL;
    answer a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 21);
    for (int i = 0; i < 21; i++)
        expect(&a.ticks[i], JM_TICK_FIRED, T0 + i * MIN, 1, NULL);
}
END_TEST

START_TEST(catch_up_all_limit)
{
    jm_schedule s = every_minute();
    s.overlap = JM_OVERLAP_ALLOW;
    s.catch_up = JM_CATCH_UP_ALL;
    s.catch_up_limit = 4; /* of the 15 that are older; the 6 inside the grace fire as well */
    answer a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 11);
    expect(&a.ticks[0], JM_TICK_MISSED, T0, 11, "catch_up_limit");
    for (int i = 1; i < 11; i++)
        expect(&a.ticks[i], JM_TICK_FIRED, T0 + (10 + i) * MIN, 1, NULL);
    s.catch_up_limit = 15;
    a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 21);
    s.catch_up_limit = 14;
    a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 21);
    expect(&a.ticks[0], JM_TICK_MISSED, T0, 1, "catch_up_limit");
    /* overlap still holds */
    s.overlap = JM_OVERLAP_SKIP;
    a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 4);
    expect(&a.ticks[1], JM_TICK_FIRED, T0 + MIN, 1, NULL);
    expect(&a.ticks[2], JM_TICK_SKIPPED, T0 + 2 * MIN, 13, "overlap");
    expect(&a.ticks[3], JM_TICK_SKIPPED, T0 + 15 * MIN, 6, "overlap");
}
END_TEST

START_TEST(coalesce_grace)
{
    jm_schedule s = every_minute();
    s.coalesce_grace = true;
    s.overlap = JM_OVERLAP_ALLOW;
    answer a = decide(&s, T0 + 4 * MIN, 0);
    ck_assert_uint_eq(a.n, 2);
    expect(&a.ticks[0], JM_TICK_COALESCED, T0, 4, "coalesce_grace");
    expect(&a.ticks[1], JM_TICK_FIRED, T0 + 4 * MIN, 1, NULL);
    /* with catch_up one, older ones belong to the same group */
    a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 2);
    expect(&a.ticks[0], JM_TICK_COALESCED, T0, 20, "coalesce_grace");
    expect(&a.ticks[1], JM_TICK_FIRED, T0 + 20 * MIN, 1, NULL);
    /* late runs inside the grace become one, older ones are dropped */
    s.catch_up = JM_CATCH_UP_SKIP;
    a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 3);
    expect(&a.ticks[0], JM_TICK_MISSED, T0, 15, "misfire_grace");
    expect(&a.ticks[1], JM_TICK_COALESCED, T0 + 15 * MIN, 5, "coalesce_grace");
    expect(&a.ticks[2], JM_TICK_FIRED, T0 + 20 * MIN, 1, NULL);
    s.catch_up = JM_CATCH_UP_ALL;
    s.catch_up_limit = 2;
    a = decide(&s, T0 + 20 * MIN, 0);
    ck_assert_uint_eq(a.n, 5);
    expect(&a.ticks[1], JM_TICK_FIRED, T0 + 13 * MIN, 1, NULL);
    expect(&a.ticks[4], JM_TICK_FIRED, T0 + 20 * MIN, 1, NULL);
}
END_TEST

START_TEST(once)
{
    jm_schedule s = every_minute();
    s.when = (jm_recurrence_spec){.kind = JM_RECURRENCE_ONCE, .run_at_us = T0};
    ck_assert_int_eq(jm_schedule_resolve(&s, zones, NULL), 0);
    answer a = decide(&s, T0 + 2, 0);
    ck_assert_uint_eq(a.n, 1);
    expect(&a.ticks[0], JM_TICK_FIRED, T0, 1, NULL);
    ck_assert_int_eq(a.next_us, 0);
    a = decide(&s, T0 + 500 * MIN, 0);
    expect(&a.ticks[0], JM_TICK_FIRED, T0, 1, NULL);
    s.catch_up = JM_CATCH_UP_SKIP;
    a = decide(&s, T0 + 500 * MIN, 0);
    ck_assert_uint_eq(a.n, 1);
    expect(&a.ticks[0], JM_TICK_MISSED, T0, 1, "misfire_grace");
    ck_assert_int_eq(a.next_us, 0);
}
END_TEST

START_TEST(ends)
{
    jm_schedule s = every_minute();
    s.when.ends_at_us = T0 + 3 * MIN;
    ck_assert_int_eq(jm_schedule_resolve(&s, zones, NULL), 0);
    answer a = decide(&s, T0 + 100 * MIN, 0);
    ck_assert_uint_eq(a.n, 2);
    expect(&a.ticks[0], JM_TICK_COALESCED, T0, 3, "catch_up");
    expect(&a.ticks[1], JM_TICK_FIRED, T0 + 3 * MIN, 1, NULL);
    ck_assert_int_eq(a.next_us, 0);
}
END_TEST

/* The stored instant counts even when the calendar has moved under it. */
START_TEST(stored_instant_off_the_calendar)
{
    jm_schedule s = every_minute();
    s.next_run_us = T0 + 7;
    answer a = decide(&s, T0 + 10 * MIN, 0);
    ck_assert_uint_eq(a.n, 3);
    ck_assert_int_eq(a.ticks[0].due_us, T0 + 7);
    ck_assert_int_eq(a.ticks[0].count, 4);
    ck_assert_int_eq(a.ticks[0].until_us, T0 + 3 * MIN);
    ck_assert_int_eq(a.ticks[1].due_us, T0 + 4 * MIN);
    a = decide(&s, T0 + 8, 0);
    ck_assert_uint_eq(a.n, 1);
    expect(&a.ticks[0], JM_TICK_FIRED, T0 + 7, 1, NULL);
    ck_assert_int_eq(a.next_us, T0 + MIN);
}
END_TEST

/* More than fits: the rest is still due, and every instant is decided once over the calls. */
START_TEST(no_room)
{
    jm_schedule s = every_minute();
    s.overlap = JM_OVERLAP_ALLOW;
    s.catch_up = JM_CATCH_UP_ALL;
    s.catch_up_limit = 50;
    int64_t now = T0 + 100 * MIN, expected = T0, total = 0;
    int calls = 0;
    while (s.next_run_us <= now) {
        jm_tick ticks[JM_TICKS_MIN];
        size_t n;
        int64_t next, skip;
        jm_tick_policy_decide(&s, now, 0, ticks, JM_TICKS_MIN, &n, &next, &skip);
        ck_assert_uint_gt(n, 0);
        for (size_t i = 0; i < n; i++) {
            ck_assert_int_eq(ticks[i].due_us, expected);
            expected += ticks[i].count * MIN;
            total += ticks[i].count;
        }
        ck_assert_int_eq(next, expected);
        s.next_run_us = next;
        ck_assert_int_lt(++calls, 20);
    }
    ck_assert_int_eq(total, 101);
    ck_assert_int_eq(expected, now + MIN);
}
END_TEST

/* Five years asleep: quick, whatever the policy and the kind. */
START_TEST(five_years)
{
    jm_schedule s = every_minute();
    int64_t now = T0 + INT64_C(2629440) * MIN;
    s.when.timezone = "America/New_York";
    if (_i >= 6) {
        s.when.kind = JM_RECURRENCE_INTERVAL;
        s.when.interval_s = 60;
        s.when.anchor_at_us = T0 - 7 * MIN;
    }
    ck_assert_int_eq(jm_schedule_resolve(&s, zones, NULL), 0);
    s.catch_up = (jm_catch_up)(_i % 3);
    if (_i / 3 % 2) /* all inside the grace, and skipped for overlap */
        s.misfire_grace_s = INT32_MAX;
    int64_t begin = jm_mono_us(), sum = 0;
    answer a = decide(&s, now, 1);
    ck_assert_int_lt(jm_mono_us() - begin, 200000);
    for (size_t i = 0; i < a.n; i++)
        sum += a.ticks[i].count;
    ck_assert_int_eq(sum, 2629441);
    ck_assert_int_eq(a.next_us, now + MIN);
    ck_assert_uint_le(a.n, 4);
}
END_TEST

/* Any mixture: ticks are in order, without holes or doubles, up to now. */
START_TEST(exactly_once)
{
    unsigned seed = (unsigned)_i + 1;
    jm_schedule s = every_minute();
    s.overlap = rand_r(&seed) % 2 ? JM_OVERLAP_SKIP : JM_OVERLAP_ALLOW;
    s.catch_up = (jm_catch_up)(rand_r(&seed) % 3);
    s.catch_up_limit = 1 + (int)(rand_r(&seed) % 30);
    s.coalesce_grace = rand_r(&seed) % 2;
    s.max_instances = 1 + (int)(rand_r(&seed) % 4);
    s.misfire_grace_s = (int)(rand_r(&seed) % 2000);
    int64_t now = T0 + (int64_t)(rand_r(&seed) % 400) * MIN / 4, expected = T0;
    int open = (int)(rand_r(&seed) % 3);
    while (s.next_run_us <= now) {
        jm_tick ticks[16];
        size_t n;
        jm_tick_policy_decide(&s, now, open, ticks, 16, &n, &s.next_run_us, &s.next_skip_us);
        ck_assert_uint_gt(n, 0);
        for (size_t i = 0; i < n; i++) {
            ck_assert_int_eq(ticks[i].due_us, expected);
            ck_assert_int_ge(ticks[i].count, 1);
            ck_assert(ticks[i].outcome != JM_TICK_FIRED || ticks[i].count == 1);
            ck_assert_int_eq(ticks[i].reason == NULL, ticks[i].outcome == JM_TICK_FIRED);
            expected += ticks[i].count * MIN;
            open += ticks[i].outcome == JM_TICK_FIRED;
        }
        ck_assert_int_eq(s.next_run_us, expected);
        ck_assert(s.overlap == JM_OVERLAP_ALLOW || open <= s.max_instances || open <= 2);
    }
    ck_assert_int_gt(expected, now);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tick_policy");
    TCase *tc = tcase_create("tick_policy");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_due);
    tcase_add_test(tc, on_time);
    tcase_add_test(tc, late_in_grace);
    tcase_add_test(tc, overlap_skip);
    tcase_add_test(tc, grace_bound);
    tcase_add_test(tc, catch_up_skip);
    tcase_add_test(tc, catch_up_one);
    tcase_add_test(tc, catch_up_one_overlap);
    tcase_add_test(tc, catch_up_all);
    tcase_add_test(tc, catch_up_all_limit);
    tcase_add_test(tc, coalesce_grace);
    tcase_add_test(tc, once);
    tcase_add_test(tc, ends);
    tcase_add_test(tc, stored_instant_off_the_calendar);
    tcase_add_test(tc, no_room);
    tcase_add_loop_test(tc, five_years, 0, 12);
    tcase_add_loop_test(tc, exactly_once, 0, 300);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
