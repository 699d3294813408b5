/* The nearest known word. */
#include <check.h>
#include <stdlib.h>

#include "common/nearest.h"

static const char *const words[] = {"type",     "id",        "params",
                                    "priority", "timeout_s", "max_attempts"};
enum { N = sizeof words / sizeof *words };

START_TEST(near)
{
    ck_assert_str_eq(jm_nearest("tpye", words, N), "type");
    ck_assert_str_eq(jm_nearest("TYPE", words, N), "type");
    ck_assert_str_eq(jm_nearest("param", words, N), "params");
    ck_assert_str_eq(jm_nearest("timeout", words, N), "timeout_s");
    ck_assert_str_eq(jm_nearest("maxattempts", words, N), "max_attempts");
    ck_assert_str_eq(jm_nearest("priorty", words, N), "priority");
}
END_TEST

START_TEST(far)
{
    char longest[200];
    for (size_t i = 0; i < sizeof longest - 1; i++)
        longest[i] = 't';
    longest[sizeof longest - 1] = 0;
    ck_assert_ptr_null(jm_nearest("colour", words, N));
    ck_assert_ptr_null(jm_nearest("", words, N));
    ck_assert_ptr_null(jm_nearest(longest, words, N));
    ck_assert_ptr_null(jm_nearest("type", words, 0));
    const char *const far_too_long[] = {longest};
    ck_assert_ptr_null(jm_nearest("type", far_too_long, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nearest");
    TCase *tc = tcase_create("nearest");
    tcase_add_test(tc, near);
    tcase_add_test(tc, far);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
