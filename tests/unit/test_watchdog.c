/* Tests of the watchdogs of threads. */
#include "common/watchdog.h"

#include <check.h>
#include <time.h>

static void wait_ms(int ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&ts, NULL);
}

START_TEST(silence_is_noticed_and_its_end)
{
    jm_watchdog *watchdog = jm_watchdog_new();
    jm_pulse *a = jm_watchdog_add(watchdog, "a", 20), *b = jm_watchdog_add(watchdog, "b", 600000);
    jm_buf names = {0};
    wait_ms(30);
    ck_assert_int_eq(jm_watchdog_check(watchdog), 0); /* rests until its first beat */
    jm_pulse_beat(a);
    jm_pulse_beat(b);
    ck_assert_int_eq(jm_watchdog_check(watchdog), 0);
    wait_ms(30);
    ck_assert_int_eq(jm_watchdog_check(watchdog), 1);
    ck_assert_int_eq(jm_watchdog_check(watchdog), 1);
    ck_assert(jm_watchdog_is_stuck(watchdog, 0) && !jm_watchdog_is_stuck(watchdog, 1));
    ck_assert_int_ge(jm_watchdog_silent_ms(watchdog, 0), 30);
    jm_watchdog_list_stuck(watchdog, &names);
    ck_assert_str_eq(jm_buf_str(&names), "a");
    jm_pulse_beat(a);
    ck_assert_int_eq(jm_watchdog_check(watchdog), 0);
    wait_ms(30);
    ck_assert_int_eq(jm_watchdog_check(watchdog), 1);
    ck_assert_int_eq(jm_watchdog_times(watchdog, 0), 2); /* twice found, not once a check */
    jm_pulse_rest(a);
    ck_assert_int_eq(jm_watchdog_check(watchdog), 0);
    ck_assert_int_eq(jm_watchdog_silent_ms(watchdog, 0), 0);
    jm_pulse_late(b);
    ck_assert_int_eq(jm_watchdog_late(watchdog, 1), 1);
    jm_pulse_beat(NULL);
    jm_pulse_rest(NULL);
    jm_pulse_late(NULL);
    jm_buf_fini(&names);
    jm_watchdog_free(watchdog);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *tcase = tcase_create("watchdog");
    tcase_add_test(tcase, silence_is_noticed_and_its_end);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
