/* When a clock counts as off, and when that is over. */
#include <check.h>
#include <stdlib.h>

#include "producer/clock_skew.h"

START_TEST(off_and_right_again)
{
    static const struct {
        int64_t us, took_us;
        bool off;
    } readings[] = {
        {0, 100, false},
        {1000000, 100, false},
        {1000001, 100, true},
        {700000, 100, true}, /* neither: no flicker */
        {500001, 100, true},
        {500000, 100, false},
        {-1000000, 100, false},
        {-3600000000, 100, true},
        {0, JM_CLOCK_READ_WITHIN_US + 1, true}, /* says nothing */
        {0, JM_CLOCK_READ_WITHIN_US, false},
    };
    jm_clock_skew skew = {0};
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        jm_clock_skew_note(&skew, readings[i].us, readings[i].took_us);
        ck_assert_msg(atomic_load(&skew.off) == readings[i].off, "reading %zu", i);
    }
    ck_assert_int_eq(atomic_load(&skew.us), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock_skew");
    TCase *tc = tcase_create("clock_skew");
    tcase_add_test(tc, off_and_right_again);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
