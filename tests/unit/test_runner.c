/* The step runner: states of attempts, rows, retries, timeouts, stops; exec with real children is
 * in test_exec.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/runner_fixture.h"

START_TEST(noop_is_one_report)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("noop", &type, NULL), 0);
    jm_report *report = fixture_run(&f, type, "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_ptr_null(report->arena);
    ck_assert_int_eq(report->n_steps, 1);
    ck_assert_str_eq(report->steps[0].name, "run");
    ck_assert_str_eq(report->steps[0].status, "success");
    ck_assert_int_eq(report->steps[0].seq, 1);
    ck_assert(!report->steps[0].update);
    ck_assert_int_eq(report->n_logs, 1);
    ck_assert_str_eq(report->logs[0].message, "step run: success in 0 ms");
    ck_assert_int_eq(report->logs[0].level, JM_INFO);
    ck_assert_int_eq(report->return_code, -1);
    ck_assert_int_eq(report->items_total, -1);
    ck_assert_int_eq(f.n_reports, 1);
    ck_assert_int_eq(fixture_freed(&f), 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(ten_thousand_noops)
{
    enum { N = 10000 };
    fixture f;
    fixture_init(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("noop", &type, NULL), 0);
    jm_job *jobs = calloc(N, sizeof *jobs);
    jm_chain chain = {0};
    for (int i = 0; i < N; i++) {
        fixture_job(&f, &jobs[i], type, "{}");
        jm_chain_add(&chain, &jobs[i].node);
    }
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(fixture_wait(&f)->end, JM_END_COMPLETED);
    ck_assert_int_eq(fixture_freed(&f), N);
    while (jm_runner_running(f.runner))
        ; /* counted down right behind the push of the last report */
    free(jobs);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

START_TEST(sleep_waits)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("sleep", &type, NULL), 0);
    jm_report *report = fixture_run(&f, type, "{\"seconds\":0.05}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_int_ge(report->ended_us - report->started_us, 50000);
    ck_assert_int_eq(report->steps[0].ended_us, report->ended_us);
    ck_assert_int_eq(f.n_reports, 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(sleep_needs_seconds)
{
    static const char *const bad[] = {"{}", "{\"seconds\":\"1\"}", "{\"seconds\":-1}",
                                      "{\"seconds\":1e12}"};
    fixture f;
    fixture_init(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("sleep", &type, NULL), 0);
    jm_report *report = fixture_run(&f, type, bad[_i]);
    ck_assert_int_eq(report->end, JM_END_FAILED);
    ck_assert_ptr_nonnull(strstr(report->error, "params.seconds"));
    fixture_fini(&f);
}
END_TEST

START_TEST(long_step_has_a_running_row)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("sleep", &type, NULL), 0);
    jm_report *report = fixture_run(&f, type, "{\"seconds\":0.4}");
    ck_assert_int_eq(f.n_reports, 2);
    ck_assert_int_eq(f.reports[0]->end, JM_END_NONE);
    ck_assert_int_eq(f.reports[0]->n_steps, 1);
    ck_assert_str_eq(f.reports[0]->steps[0].status, "running");
    ck_assert(!f.reports[0]->steps[0].update);
    ck_assert_int_eq(f.reports[0]->steps[0].ended_us, 0);
    ck_assert_int_eq(report->n_steps, 1);
    ck_assert_str_eq(report->steps[0].status, "success");
    ck_assert_int_eq(report->steps[0].seq, 1);
    ck_assert(report->steps[0].update);
    fixture_fini(&f);
}
END_TEST

START_TEST(fail_is_retried_until_its_last_attempt)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("fail", &type, NULL), 0);
    fixture_job(&f, &f.job, type, "{\"message\":\"no such luck\"}");
    f.job.attempt = 2;
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_RETRY);
    ck_assert_str_eq(report->error, "no such luck");
    ck_assert_int_ge(report->retry_in_us, 3600000);
    ck_assert_int_le(report->retry_in_us, 4400000);
    ck_assert_str_eq(report->steps[0].status, "failed");
    ck_assert_str_eq(report->steps[0].error, "no such luck");
    ck_assert_int_eq(report->n_logs, 1);
    ck_assert_int_eq(report->logs[0].level, JM_WARNING);
    ck_assert_ptr_nonnull(strstr(report->logs[0].message, "(attempt 2 of 3, to be tried again)"));
    f.job.attempt = 3;
    report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_FAILED);
    ck_assert_int_eq(report->logs[0].level, JM_ERROR);
    fixture_fini(&f);
}
END_TEST

START_TEST(steps_in_sequence_and_step_retry)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type = fixture_type(
        "{\"type\":\"t\",\"max_attempts\":1,\"log_level\":\"debug\",\"steps\":[{\"name\":\"a\","
        "\"noop\":{}},"
        "{\"name\":\"b\",\"fail\":{\"message\":\"m\"},\"retry\":{\"attempts\":3,\"delay_s\":0.01}},"
        "{\"name\":\"c\",\"noop\":{}}]}");
    jm_report *last = fixture_run(&f, type, "{}");
    ck_assert_int_eq(last->end, JM_END_FAILED);
    ck_assert_str_eq(last->error, "step b: m");
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_int_eq(rows->n_steps, 2);
    ck_assert_str_eq(rows->steps[0].status, "success");
    ck_assert_str_eq(rows->steps[1].name, "b");
    ck_assert_str_eq(rows->steps[1].status, "failed");
    ck_assert_int_eq(rows->steps[1].attempts, 3);
    ck_assert_int_eq(rows->steps[1].seq, 2);
    ck_assert_int_eq(rows->n_logs, 6);
    ck_assert_str_eq(rows->logs[0].message, "step a: start");
    ck_assert_ptr_nonnull(strstr(rows->logs[3].message, "(try 1 of 3, next in 0.01 s)"));
    for (int i = 0; i < rows->n_logs; i++)
        ck_assert_int_eq(rows->logs[i].seq, i + 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(thousand_steps_need_no_stack)
{
    fixture f;
    fixture_init(&f);
    jm_buf text = {0};
    jm_buf_adds(&text, "{\"type\":\"t\",\"log_level\":\"off\",\"steps\":[");
    for (int i = 0; i < 1000; i++)
        jm_buf_addf(&text, "%s{\"name\":\"s%d\",\"noop\":{}}", i ? "," : "", i);
    jm_buf_adds(&text, "]}");
    jm_report *last = fixture_run(&f, fixture_type(text.data), "{}");
    ck_assert_int_eq(last->end, JM_END_COMPLETED);
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_int_eq(rows->n_steps, 1000);
    ck_assert_int_eq(rows->n_logs, 0);
    jm_buf_fini(&text);
    fixture_fini(&f);
}
END_TEST

START_TEST(done_steps_are_skipped)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type = fixture_type(
        "{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"fail\":{}},{\"name\":\"b\",\"noop\":{}}]}");
    fixture_job(&f, &f.job, type, "{}");
    f.job.done_steps = "{\"a\":{\"rows\":12345678901234567890}}";
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_int_eq(report->n_steps, 1);
    ck_assert_str_eq(report->steps[0].name, "b");
    ck_assert_str_eq(report->result, "{\"rows\":12345678901234567890}");
    fixture_fini(&f);
}
END_TEST

START_TEST(timeouts)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"{\"type\":\"t\",\"timeout_s\":1,\"steps\":[{\"name\":\"a\",\"sleep\":{\"seconds\":60}}]}",
         "timed out: the job took longer than 1 s"},
        {"{\"type\":\"t\",\"timeout_s\":9,\"steps\":[{\"name\":\"a\",\"timeout_s\":1,"
         "\"sleep\":{\"seconds\":60}}]}",
         "timed out: the step took longer than 1 s"},
        {"{\"type\":\"t\",\"timeout_s\":1,\"steps\":[{\"name\":\"a\","
         "\"retry\":{\"attempts\":2,\"delay_s\":60},\"fail\":{}}]}",
         "timed out: the job took longer than 1 s"},
    };
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(&f, fixture_type(cases[_i].text), "{}");
    ck_assert_int_eq(report->end, JM_END_RETRY);
    ck_assert_str_eq(report->reason, "timeout");
    ck_assert_str_eq(report->error, cases[_i].error);
    ck_assert_int_eq(report->steps[0].update, true);
    ck_assert_str_eq(report->steps[0].status, "failed");
    ck_assert_int_lt(report->ended_us - report->started_us, 20000000);
    fixture_fini(&f);
}
END_TEST

START_TEST(job_timeout_overrides_the_type)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type = fixture_type("{\"type\":\"t\",\"timeout_s\":3600,\"steps\":[{\"name\":"
                                     "\"a\",\"sleep\":{\"seconds\":60}}]}");
    fixture_job(&f, &f.job, type, "{}");
    f.job.timeout_s = 1;
    f.job.max_attempts = 1;
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_FAILED);
    ck_assert_str_eq(report->reason, "timeout");
    fixture_fini(&f);
}
END_TEST

START_TEST(stop_one_and_all)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("sleep", &type, NULL), 0);
    jm_job_type_ref(type);
    jm_job other;
    fixture_job(&f, &f.job, type, "{\"seconds\":600}");
    fixture_job(&f, &other, type, "{\"seconds\":600}");
    jm_chain chain = {0};
    jm_chain_add(&chain, &f.job.node);
    jm_chain_add(&chain, &other.node);
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    ck_assert_int_eq(jm_runner_running(f.runner), 2);
    fixture_next(&f);
    fixture_next(&f); /* both have their running rows */
    jm_runner_stop_job(f.runner, &other.id, other.attempt + 1, JM_END_CANCELLED, "another attempt");
    jm_runner_stop_job(f.runner, &f.job.id, f.job.attempt, JM_END_CANCELLED, "ann: not needed");
    jm_report *report = fixture_wait(&f);
    ck_assert_ptr_eq(report->job, &f.job);
    ck_assert_int_eq(report->end, JM_END_CANCELLED);
    ck_assert_str_eq(report->error, "ann: not needed");
    ck_assert_str_eq(report->steps[0].status, "cancelled");
    ck_assert_int_eq(report->logs[0].level, JM_WARNING);
    jm_runner_stop_all(f.runner, JM_END_RETURNED, "the worker is shutting down", false);
    report = fixture_wait(&f);
    ck_assert_ptr_eq(report->job, &other);
    ck_assert_int_eq(report->end, JM_END_RETURNED);
    fixture_fini(&f);
    jm_job_type_unref(type);
}
END_TEST

START_TEST(stop_reaches_what_has_not_started)
{
    fixture f;
    fixture_init_unstarted(&f);
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("noop", &type, NULL), 0);
    fixture_job(&f, &f.job, type, "{}");
    jm_chain chain = {0};
    jm_chain_add(&chain, &f.job.node);
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    jm_runner_stop_all(f.runner, JM_END_RETURNED, "the worker is shutting down", false);
    ck_assert_int_eq(jm_runner_start(f.runner, NULL), 0);
    jm_report *report = fixture_wait(&f);
    ck_assert_int_eq(report->end, JM_END_RETURNED);
    ck_assert_int_eq(report->n_steps, 0);
    ck_assert_int_eq(fixture_freed(&f), 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(unknown_profile)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type = fixture_type(
        "{\"type\":\"t\",\"profiles\":{\"big\":{}},\"steps\":[{\"name\":\"a\",\"noop\":{}}]}");
    fixture_job(&f, &f.job, type, "{}");
    f.job.profile = "huge";
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_FAILED);
    ck_assert_ptr_nonnull(strstr(report->error, "no profile \"huge\""));
    ck_assert_int_eq(fixture_freed(&f), 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(profile_gives_params)
{
    static const struct {
        const char *params;
        jm_end end;
    } cases[] = {{"{}", JM_END_COMPLETED},
                 {" { } ", JM_END_COMPLETED},
                 {"{\"seconds\":-1}", JM_END_FAILED},
                 {"{\"x\":1}", JM_END_COMPLETED}};
    fixture f;
    fixture_init(&f);
    jm_job_type *type =
        fixture_type("{\"type\":\"t\",\"profiles\":{\"short\":{\"seconds\":0.001,\"y\":[1]}},"
                     "\"steps\":[{\"name\":\"a\",\"sleep\":{}}]}");
    fixture_job(&f, &f.job, type, cases[_i].params);
    f.job.profile = "short";
    ck_assert_int_eq(fixture_run_job(&f)->end, cases[_i].end);
    fixture_fini(&f);
}
END_TEST

START_TEST(log_levels)
{
    static const struct {
        const char *level;
        int on_success, on_failure;
    } cases[] = {
        {"debug", 2, 2}, {"info", 1, 1}, {"warning", 0, 1}, {"error", 0, 1}, {"off", 0, 0}};
    fixture f;
    fixture_init(&f);
    char text[200];
    for (int fail = 0; fail < 2; fail++) {
        snprintf(text, sizeof text,
                 "{\"type\":\"t\",\"log_level\":\"%s\",\"steps\":[{\"name\":\"a\",\"%s\":{}}]}",
                 cases[_i].level, fail ? "fail" : "noop");
        jm_report *report = fixture_run(&f, fixture_type(text), "{}");
        ck_assert_int_eq(report->n_logs, fail ? cases[_i].on_failure : cases[_i].on_success);
        ck_assert_int_eq(report->error != NULL, fail);
    }
    fixture_fini(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runner");
    TCase *tc = tcase_create("runner");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, noop_is_one_report);
    tcase_add_test(tc, ten_thousand_noops);
    tcase_add_test(tc, sleep_waits);
    tcase_add_loop_test(tc, sleep_needs_seconds, 0, 4);
    tcase_add_test(tc, long_step_has_a_running_row);
    tcase_add_test(tc, fail_is_retried_until_its_last_attempt);
    tcase_add_test(tc, steps_in_sequence_and_step_retry);
    tcase_add_test(tc, thousand_steps_need_no_stack);
    tcase_add_test(tc, done_steps_are_skipped);
    tcase_add_loop_test(tc, timeouts, 0, 3);
    tcase_add_test(tc, job_timeout_overrides_the_type);
    tcase_add_test(tc, stop_one_and_all);
    tcase_add_test(tc, stop_reaches_what_has_not_started);
    tcase_add_test(tc, unknown_profile);
    tcase_add_loop_test(tc, profile_gives_params, 0, 4);
    tcase_add_loop_test(tc, log_levels, 0, 5);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
