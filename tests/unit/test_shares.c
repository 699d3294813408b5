/* Shares by weight: held to a few pieces whatever the pieces' sizes, no credit for idling, no debt
 * without end. */
#include <check.h>
#include <stdlib.h>

#include "worker/shares.h"

static const int weights[] = {6, 3, 1};

/* One round over those that want something; the first asked takes all of it. */
static int round_of(jm_shares *shares, const int *wants, int pieces)
{
    int took = -1;
    jm_shares_begin(shares);
    for (int q; (q = jm_shares_next(shares)) >= 0;) {
        int n = took < 0 && wants[q] ? pieces : 0;
        took = n ? q : took;
        jm_shares_took(shares, q, n);
    }
    return took;
}

static void run(jm_shares *shares, const int *wants, int rounds, int *got)
{
    /* Sizes with a rhythm that turns by count would fall in step with. */
    for (int i = 0; i < rounds; i++) {
        int pieces = i % 2 ? 1 : 19, q = round_of(shares, wants, pieces);
        if (q >= 0)
            got[q] += pieces;
    }
}

START_TEST(by_weight)
{
    int got[3] = {0}, all[] = {1, 1, 1};
    jm_shares *shares = jm_shares_new(weights, 3);
    run(shares, all, 1000, got);
    ck_assert_int_eq(got[0] + got[1] + got[2], 10000);
    ck_assert(abs(got[0] - 6000) < 60 && abs(got[1] - 3000) < 60 && abs(got[2] - 1000) < 60);
    jm_shares_free(shares);
}
END_TEST

START_TEST(share_of_the_idle_goes_to_the_others_and_is_not_owed)
{
    int got[3] = {0}, two[] = {0, 1, 1}, all[] = {1, 1, 1}, then[3] = {0};
    jm_shares *shares = jm_shares_new(weights, 3);
    run(shares, two, 1000, got);
    ck_assert(got[0] == 0 && abs(got[1] - 7500) < 60 && abs(got[2] - 2500) < 60);
    run(shares, all, 100, then);
    ck_assert(abs(then[0] - 600) < 60 && then[1] > 240 && then[2] > 60);
    jm_shares_free(shares);
}
END_TEST

START_TEST(what_is_got_beside_the_rounds_counts_once)
{
    int got[3] = {0}, all[] = {1, 1, 1}, nobody[] = {0, 0, 0};
    jm_shares *shares = jm_shares_new(weights, 3);
    ck_assert_int_eq(round_of(shares, nobody, 5), -1);
    for (int i = 0; i < 100000; i++)
        jm_shares_got(shares, 2, 20);
    run(shares, all, 100, got);
    ck_assert_int_gt(got[2], 40); /* of 1,000: it waits for two times 20, no longer */
    jm_shares_free(shares);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shares");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, by_weight);
    tcase_add_test(tcase, share_of_the_idle_goes_to_the_others_and_is_not_owed);
    tcase_add_test(tcase, what_is_got_beside_the_rounds_counts_once);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
