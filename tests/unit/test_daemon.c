/* Tests of what surrounds a daemon's threads: signals as events, its first arguments. */
#include "common/daemon.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

START_TEST(signals_are_events)
{
    jm_daemon_init();
    raise(SIGHUP);
    ck_assert_int_eq(jm_daemon_wait(5000), JM_DAEMON_RELOAD);
    raise(SIGUSR1);
    ck_assert_int_eq(jm_daemon_wait(5000), JM_DAEMON_STATUS);
    raise(SIGTERM);
    ck_assert_int_eq(jm_daemon_wait(5000), JM_DAEMON_STOP);
    raise(SIGINT);
    ck_assert_int_eq(jm_daemon_wait(5000), JM_DAEMON_STOP);
    raise(SIGPIPE); /* ignored: else this test would be dead */
    int64_t from = jm_mono_ms();
    ck_assert_int_eq(jm_daemon_wait(20), JM_DAEMON_TICK);
    ck_assert_int_ge(jm_mono_ms() - from, 19);
    ck_assert_int_eq(jm_daemon_wait(0), JM_DAEMON_TICK);
}
END_TEST

/* Starts with stdout and stderr thrown away; the exit code, or -1 to go on. */
static int start(char *a, char *b)
{
    char *argv[] = {(char *)"jobmill-test", (char *)"--config=/dev/null", a, b, NULL};
    jm_config *config = NULL;
    int code = -2;
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    bool go = jm_daemon_start(&config, 2 + (a != NULL) + (b != NULL), argv, "jobmill-test", "usage",
                              &code);
    ck_assert(go == (config != NULL));
    jm_config_free(config);
    return go ? -1 : code;
}

START_TEST(first_arguments)
{
    ck_assert_int_eq(start(NULL, NULL), -1);
    ck_assert_int_eq(start((char *)"--worker.lease_s=5", NULL), -1);
    ck_assert_int_eq(start((char *)"--help", NULL), 0);
    ck_assert_int_eq(start((char *)"--version", NULL), 0);
    ck_assert_int_eq(start((char *)"--print-config", (char *)"--worker.lease_s=5"), 0);
    ck_assert_int_eq(start((char *)"--worker.lease_s=1", NULL), 2);
    ck_assert_int_eq(start((char *)"--nonsense", NULL), 2);
    ck_assert_int_eq(start((char *)"operand", NULL), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daemon");
    TCase *tcase = tcase_create("daemon");
    tcase_add_test(tcase, signals_are_events);
    tcase_add_test(tcase, first_arguments);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
