/* Offsets that may be committed: contiguous, in whatever order records are done with. */
#include <check.h>
#include <stdlib.h>

#include "worker/offsets.h"

START_TEST(test_in_order)
{
    jm_offsets *offsets = jm_offsets_new();
    for (int64_t o = 10; o < 13; o++)
        jm_offsets_add(offsets, 0, o);
    for (int64_t o = 10; o < 13; o++)
        ck_assert_int_eq(jm_offsets_done(offsets, 0, o), o + 1);
    ck_assert_uint_eq(jm_offsets_open(offsets), 0);
    jm_offsets_free(offsets);
}
END_TEST

START_TEST(test_waits_for_the_first)
{
    jm_offsets *offsets = jm_offsets_new();
    for (int64_t o = 0; o < 4; o++)
        jm_offsets_add(offsets, 3, o);
    ck_assert_int_eq(jm_offsets_done(offsets, 3, 1), -1);
    ck_assert_int_eq(jm_offsets_done(offsets, 3, 3), -1);
    ck_assert_int_eq(jm_offsets_done(offsets, 3, 0), 2);
    ck_assert_uint_eq(jm_offsets_open(offsets), 2);
    ck_assert_int_eq(jm_offsets_done(offsets, 3, 2), 4);
    jm_offsets_free(offsets);
}
END_TEST

START_TEST(test_gaps)
{
    jm_offsets *offsets = jm_offsets_new(); /* transactions and compaction leave gaps */
    jm_offsets_add(offsets, 0, 5);
    jm_offsets_add(offsets, 0, 9);
    ck_assert_int_eq(jm_offsets_done(offsets, 0, 7), -1);
    ck_assert_int_eq(jm_offsets_done(offsets, 0, 5), 6);
    ck_assert_int_eq(jm_offsets_done(offsets, 0, 9), 10);
    jm_offsets_free(offsets);
}
END_TEST

START_TEST(test_partitions_apart)
{
    jm_offsets *offsets = jm_offsets_new();
    jm_offsets_add(offsets, 0, 1);
    jm_offsets_add(offsets, 1, 1);
    ck_assert_int_eq(jm_offsets_done(offsets, 1, 1), 2);
    ck_assert_int_eq(jm_offsets_done(offsets, 2, 1), -1);
    ck_assert_int_eq(jm_offsets_done(offsets, 0, 1), 2);
    jm_offsets_free(offsets);
}
END_TEST

START_TEST(test_read_again)
{
    jm_offsets *offsets = jm_offsets_new();
    for (int64_t o = 0; o < 10; o++)
        jm_offsets_add(offsets, 0, o);
    ck_assert_int_eq(jm_offsets_done(offsets, 0, 0), 1);
    jm_offsets_add(offsets, 0, 4); /* the partition came back, read from 4 */
    ck_assert_uint_eq(jm_offsets_open(offsets), 1);
    ck_assert_int_eq(jm_offsets_done(offsets, 0, 2), -1); /* of the time before */
    ck_assert_int_eq(jm_offsets_done(offsets, 0, 4), 5);
    jm_offsets_free(offsets);
}
END_TEST

START_TEST(test_random_order)
{
    enum { N = 5000 };
    jm_offsets *offsets = jm_offsets_new();
    static int order[N];
    srand(_i);
    for (int i = 0; i < N; i++) {
        jm_offsets_add(offsets, 0, i);
        order[i] = i;
    }
    for (int i = N - 1; i; i--) {
        int j = rand() % (i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    static _Bool done[N];
    for (int i = 0; i < N; i++)
        done[i] = 0;
    int64_t next = 0;
    for (int i = 0; i < N; i++) {
        done[order[i]] = 1;
        int64_t before = next;
        while (next < N && done[next])
            next++;
        ck_assert_int_eq(jm_offsets_done(offsets, 0, order[i]), next > before ? next : -1);
    }
    ck_assert_uint_eq(jm_offsets_open(offsets), 0);
    jm_offsets_free(offsets);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("offsets");
    TCase *tc = tcase_create("offsets");
    tcase_add_test(tc, test_in_order);
    tcase_add_test(tc, test_waits_for_the_first);
    tcase_add_test(tc, test_gaps);
    tcase_add_test(tc, test_partitions_apart);
    tcase_add_test(tc, test_read_again);
    tcase_add_loop_test(tc, test_random_order, 0, 5);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
