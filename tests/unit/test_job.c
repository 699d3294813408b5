/* The table of status transitions, and slots. */
#include <check.h>
#include <stdlib.h>

#include "common/job.h"
#include "worker/slots.h"

START_TEST(terminal_is_for_ever)
{
    for (int from = JM_JOB_COMPLETED; from <= JM_JOB_EXPIRED; from++) {
        ck_assert(jm_job_status_is_terminal((jm_job_status)from));
        for (int to = JM_JOB_PENDING; to <= JM_JOB_EXPIRED; to++)
            ck_assert(!jm_job_status_may((jm_job_status)from, (jm_job_status)to));
    }
}
END_TEST

START_TEST(ways_out)
{
    ck_assert(jm_job_status_may(JM_JOB_PENDING, JM_JOB_RUNNING));
    ck_assert(jm_job_status_may(JM_JOB_PENDING, JM_JOB_EXPIRED));
    ck_assert(!jm_job_status_may(JM_JOB_PENDING, JM_JOB_COMPLETED));
    ck_assert(jm_job_status_may(JM_JOB_RUNNING, JM_JOB_PENDING));
    ck_assert(jm_job_status_may(JM_JOB_RUNNING, JM_JOB_COMPLETED));
    ck_assert(!jm_job_status_may(JM_JOB_RUNNING, JM_JOB_RUNNING));
    jm_job_status status;
    ck_assert(jm_job_status_parse("cancelled", &status) && status == JM_JOB_CANCELLED);
    ck_assert(!jm_job_status_parse("done", &status));
    ck_assert_str_eq(jm_job_status_text(JM_JOB_EXPIRED), "expired");
}
END_TEST

START_TEST(slots_by_class_and_type)
{
    jm_job_type exec = {.slot_class = JM_SLOT_PROCESS, .concurrency = 2};
    jm_job_type other = {.slot_class = JM_SLOT_PROCESS};
    jm_job_type noop = {.slot_class = JM_SLOT_NONE};
    jm_slots *slots = jm_slots_new(3, 10);
    ck_assert_int_eq(jm_slots_available(slots, &exec, 100), 2); /* the type's own limit */
    ck_assert_int_eq(jm_slots_available(slots, &other, 100), 3);
    ck_assert_int_eq(jm_slots_available(slots, &noop, 100), 100); /* as many as are asked for */
    jm_slots_take(slots, &other, 2);
    ck_assert_int_eq(jm_slots_available(slots, &exec, 100), 1); /* the class is nearly full */
    jm_slots_take(slots, &exec, 1);
    ck_assert_int_eq(jm_slots_available(slots, &exec, 100), 0);
    ck_assert_int_eq(jm_slots_used(slots, JM_SLOT_PROCESS), 3);
    jm_slots_give(slots, &other, 2);
    ck_assert_int_eq(jm_slots_available(slots, &exec, 100), 1);
    jm_slots_free(slots);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job");
    TCase *tc = tcase_create("job");
    tcase_add_test(tc, terminal_is_for_ever);
    tcase_add_test(tc, ways_out);
    tcase_add_test(tc, slots_by_class_and_type);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
