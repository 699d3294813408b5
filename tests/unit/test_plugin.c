/* Plugins: what a definition must say, what a plugin may say, how it ends, and one that does not.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/runner_fixture.h"
#include "worker/journal.h"

static fixture f;

static char *definition(const char *path, const char *symbol, const char *more)
{
    static char text[1000];
    snprintf(text, sizeof text,
             "{\"type\":\"t\",\"max_attempts\":1,\"steps\":[{\"name\":\"run\",\"plugin\":{\"path\":"
             "\"%s\",\"symbol\":\"%s\",\"config\":{\"a\":[1,2]}}%s}]}",
             path, symbol, more);
    return text;
}

static jm_report *run(const char *symbol, const char *more, const char *params)
{
    return fixture_run(&f, fixture_type(definition(JM_TRIAL_PLUGIN, symbol, more)), params);
}

START_TEST(a_plugin_says_all_that_a_handler_may)
{
    fixture_init(&f);
    jm_report *report = run("says_all", "", "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_str_eq(report->result, "{\"last\":true}");
    ck_assert_str_eq(report->set_metadata, "{\"region\":\"eu\",\"n\":5}");
    ck_assert_int_eq(report->items_total, 10);
    ck_assert_int_eq(report->items_ok, 5);
    ck_assert_int_eq(report->items_failed, 1);
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_str_eq(rows->logs[0].message, "tab\t\"quote\" \xef\xbf\xbd");
    ck_assert_str_eq(rows->logs[0].details, "{\"n\":12345678901234567890}");
    ck_assert_int_eq(rows->logs[0].level, JM_WARNING);
    ck_assert_str_eq(rows->logs[1].message, "{\"a\":[1,2]}");
    ck_assert_int_eq(rows->n_steps, 2);
    ck_assert_str_eq(rows->steps[1].name, "part");
    ck_assert_str_eq(rows->steps[1].status, "failed");
    ck_assert_str_eq(rows->steps[1].data, "[1]");
    ck_assert_str_eq(rows->steps[1].error, "broke");
    fixture_fini(&f);
}
END_TEST

START_TEST(wrong_calls_are_refused_and_told)
{
    fixture_init(&f);
    jm_report *report = run("says_wrong", "", "{}");
    ck_assert_int_eq(report->end, JM_END_FAILED);
    ck_assert_str_eq(report->error, "all wrong");
    ck_assert_ptr_null(report->set_metadata);
    const fixture_rows *rows = fixture_collect(&f);
    int told = 0;
    for (int i = 0; i < rows->n_logs; i++)
        told += !strncmp(rows->logs[i].message, "the plugin's call of ", 21);
    ck_assert_int_eq(told, 13);
    ck_assert_int_eq(rows->n_steps, 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(values_of_the_input)
{
    fixture_init(&f);
    jm_report *report = run("gets_values", "",
                            "{\"text\":\"a\\u00e4\\n\\\"\",\"n\":12345678901234567890,\"list\":[1,"
                            "{\"x\":2}],\"null\":null}");
    ck_assert_str_eq(report->error, "a\xc3\xa4\n\"|12345678901234567890|{\"x\":2}|run");
    fixture_fini(&f);
}
END_TEST

static const struct {
    int status;
    jm_end end;
    const char *error;
} statuses[] = {{0, JM_END_COMPLETED, NULL},
                {65, JM_END_FAILED, "the plugin returned 65"},
                {75, JM_END_RETRY, "the plugin returned 75"},
                {-3, JM_END_RETRY, "the plugin returned -3"}};

START_TEST(statuses_end_the_step)
{
    char params[40];
    fixture_init(&f);
    snprintf(params, sizeof params, "{\"status\":%d}", statuses[_i].status);
    jm_job_type *type = fixture_type(definition(JM_TRIAL_PLUGIN, "returns_status", ""));
    type->max_attempts = 2;
    jm_report *report = fixture_run(&f, type, params);
    ck_assert_int_eq(report->end, statuses[_i].end);
    ck_assert_pstr_eq(report->error, statuses[_i].error);
    fixture_fini(&f);
}
END_TEST

static void wait_begun(void)
{
    for (jm_report *report; (report = fixture_next(&f));)
        if (report->n_logs && !strcmp(report->logs[report->n_logs - 1].message, "waiting"))
            return;
}

START_TEST(cancel_reaches_it)
{
    fixture_init(&f);
    jm_chain chain = {0};
    fixture_job(&f, &f.job, fixture_type(definition(JM_TRIAL_PLUGIN, "waits_politely", "")), "{}");
    jm_chain_add(&chain, &f.job.node);
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    wait_begun();
    int64_t before = jm_mono_us();
    jm_runner_stop_job(f.runner, &f.job.id, 1, JM_END_CANCELLED, "by hand");
    jm_report *report = fixture_wait(&f);
    ck_assert_int_eq(report->end, JM_END_CANCELLED);
    ck_assert_str_eq(report->error, "by hand");
    ck_assert_int_lt(jm_mono_us() - before, 400000); /* before the grace of the fixture is over */
    fixture_fini(&f);
}
END_TEST

START_TEST(timeout_of_one_that_listens)
{
    fixture_init(&f);
    jm_report *report = run("waits_politely", ",\"timeout_s\":1", "{}");
    ck_assert_int_eq(report->end, JM_END_FAILED);
    ck_assert_str_eq(report->reason, "timeout");
    ck_assert_str_eq(report->error, "timed out: the step took longer than 1 s");
    fixture_fini(&f);
}
END_TEST

/* Stuck: the job ends, others go on, and what it says when it comes back changes nothing. */
START_TEST(timeout_of_one_that_is_deaf)
{
    char until[] = "/tmp/jm_plugin_XXXXXX", params[80];
    close(mkstemp(until));
    unlink(until);
    snprintf(params, sizeof params, "{\"until\":\"%s\"}", until);
    fixture_init(&f);
    jm_report *report = run("is_deaf", ",\"timeout_s\":1", params);
    ck_assert_int_eq(report->end, JM_END_FAILED);
    ck_assert_str_eq(report->reason, "timeout");
    const fixture_rows *rows = fixture_collect(&f);
    bool told = false;
    for (int i = 0; i < rows->n_logs; i++)
        told = told || strstr(rows->logs[i].message, "its thread is given up");
    ck_assert(told);
    ck_assert_int_eq(run("is_deaf", "", "{}")->end, JM_END_COMPLETED);
    close(open(until, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(run("says_all", "", "{}")->end, JM_END_COMPLETED);
    fixture_fini(&f);
    unlink(until);
}
END_TEST

START_TEST(a_flood_of_logs_is_capped)
{
    fixture_init(&f);
    ck_assert_int_eq(run("floods_logs", "", "{}")->end, JM_END_COMPLETED);
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_int_eq(rows->n_logs, JM_JOURNAL_MAX_LOGS + 2);
    ck_assert_str_eq(rows->logs[9999].message, "line 9999");
    fixture_fini(&f);
}
END_TEST

static const struct {
    const char *plugin, *field, *message;
} refused[] = {
    {"{}", "/steps/0/plugin", "plugin has no path"},
    {"{\"path\":\"/x.so\"}", "/steps/0/plugin", "plugin has no symbol"},
    {"{\"path\":\"x.so\",\"symbol\":\"s\"}", "/steps/0/plugin/path", "path must be absolute"},
    {"{\"path\":\"/no/x.so\",\"symbol\":\"s\"}", "/steps/0/plugin/path",
     "/no/x.so: cannot open shared object file: No such file or directory"},
    {"{\"path\":\"/etc/passwd\",\"symbol\":\"s\"}", "/steps/0/plugin/path", "/etc/passwd: "},
    {"{\"path\":\"" JM_TRIAL_PLUGIN "\",\"symbol\":\"absent\"}", "/steps/0/plugin/symbol",
     "exports no absent: JOBMILL_PLUGIN(absent"},
    {"{\"path\":\"" JM_TRIAL_PLUGIN "\",\"symbol\":\"outdated\"}", "/steps/0/plugin/symbol",
     "outdated is built for plugin interface 7 and this worker has 1"},
    {"{\"path\":\"" JM_TRIAL_PLUGIN "\",\"symbol\":\"empty\"}", "/steps/0/plugin/symbol",
     "empty is no JOBMILL_PLUGIN"},
    {"{\"path\":\"/x.so\",\"symbol\":\"s\",\"config\":[]}", "/steps/0/plugin/config",
     "config must be an object"},
    {"{\"path\":\"/x.so\",\"symbl\":\"s\"}", "/steps/0/plugin/symbl", "did you mean \"symbol\"?"},
};

START_TEST(refused_when_loaded)
{
    char text[1000];
    jm_job_type *type = NULL;
    jm_err err;
    snprintf(text, sizeof text, "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"plugin\":%s}]}",
             refused[_i].plugin);
    ck_assert_int_eq(jm_job_type_parse("t.json", text, strlen(text), &type, &err), JM_ERR_INVALID);
    ck_assert_str_eq(err.field, refused[_i].field);
    ck_assert_msg(strstr(err.msg, refused[_i].message) && !strncmp(err.msg, "t.json:1:", 9), "%s",
                  err.msg);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin");
    TCase *tc = tcase_create("plugin");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_plugin_says_all_that_a_handler_may);
    tcase_add_test(tc, wrong_calls_are_refused_and_told);
    tcase_add_test(tc, values_of_the_input);
    tcase_add_loop_test(tc, statuses_end_the_step, 0, 4);
    tcase_add_test(tc, cancel_reaches_it);
    tcase_add_test(tc, timeout_of_one_that_listens);
    tcase_add_test(tc, timeout_of_one_that_is_deaf);
    tcase_add_test(tc, a_flood_of_logs_is_capped);
    tcase_add_loop_test(tc, refused_when_loaded, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
