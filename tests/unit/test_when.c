/* Conditions of steps: each operator on each kind of value, what is refused and where, and what a
 * runner makes of them. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/runner_fixture.h"
#include "worker/when.h"

static const char *const earlier[] = {"fetch", "load"};

static jm_when *parse(const char *text)
{
    jm_when *when = NULL;
    jm_err err = {0};
    json_t *json = json_loads(text, 0, NULL);
    ck_assert_msg(json != NULL, "%s", text);
    ck_assert_msg(!jm_when_parse(json, "/steps/2/when", earlier, 2, &when, &err), "%s: %s", text,
                  err.msg);
    json_decref(json);
    return when;
}

#define RAW(text)                                                                                  \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

static const jm_when_scope scope = {
    .params = RAW("{\"n\":3,\"r\":2.5,\"big\":9223372036854775807,\"s\":\"b\\u00e4\",\"t\":true,"
                  "\"z\":null,\"l\":[1,\"x\"],\"o\":{\"a/b\":{\"c\":7}},\"f\":3.0,\"e\":\"\"}"),
    .metadata = RAW("{\"region\":\"eu\",\"old\":1}"),
    .set = RAW("{\"region\":\"us\",\"count\":12}"),
    .steps = RAW("{\"fetch\":{\"rows\":[{\"id\":5}]},\"load\":null}"),
    .outcomes = RAW("{\"fetch\":\"success\",\"load\":\"skipped\"}")};

static const struct {
    const char *when;
    bool holds;
    const char *why;
} cases[] = {
    {"{\"/params/n\":3}", true, ""},
    {"{\"/params/n\":3.0}", true, ""},
    {"{\"/params/f\":3}", true, ""},
    {"{\"/params/n\":\"3\"}", false, "/params/n eq \"3\" (it is 3)"},
    {"{\"/params/t\":true}", true, ""},
    {"{\"/params/t\":false}", false, "/params/t eq false (it is true)"},
    {"{\"/params/t\":1}", false, NULL},
    {"{\"/params/z\":null}", true, ""},
    {"{\"/params/none\":null}", false, "/params/none eq null (it is absent)"},
    {"{\"/params/s\":\"b\u00e4\"}", true, ""},
    {"{\"/params/o/a~1b/c\":7}", true, ""},
    {"{\"/params/l/1\":\"x\"}", true, ""},
    {"{\"/params/l/2\":{\"exists\":false}}", true, ""},
    {"{\"/params/l\":{\"eq\":[1,\"x\"]}}", true, ""},
    {"{\"/params/o\":{\"eq\":{\"a/b\":{\"c\":7.0}}}}", true, ""},
    {"{\"/params/n\":{\"ne\":3}}", false, "/params/n ne 3 (it is 3)"},
    {"{\"/params/none\":{\"ne\":3}}", true, ""},
    {"{\"/params/n\":{\"gt\":2.5}}", true, ""},
    {"{\"/params/n\":{\"gt\":3}}", false, NULL},
    {"{\"/params/n\":{\"ge\":3}}", true, ""},
    {"{\"/params/n\":{\"lt\":3}}", false, NULL},
    {"{\"/params/n\":{\"le\":3,\"gt\":2}}", true, ""},
    {"{\"/params/n\":{\"le\":3,\"gt\":3}}", false, "/params/n gt 3 (it is 3)"},
    {"{\"/params/big\":{\"gt\":9223372036854775806}}", true, ""},
    {"{\"/params/s\":{\"gt\":\"b\"}}", true, ""},
    {"{\"/params/s\":{\"gt\":1}}", false, NULL},
    {"{\"/params/none\":{\"lt\":1}}", false, NULL},
    {"{\"/params/t\":{\"ge\":0}}", false, NULL},
    {"{\"/params/n\":{\"in\":[1,2,3]}}", true, ""},
    {"{\"/params/n\":{\"in\":[\"3\"]}}", false, NULL},
    {"{\"/params/none\":{\"in\":[null]}}", false, NULL},
    {"{\"/params/z\":{\"in\":[null]}}", true, ""},
    {"{\"/params/z\":{\"exists\":true}}", true, ""},
    {"{\"/params/none\":{\"exists\":true}}", false, "/params/none exists true (it is absent)"},
    {"{\"/params/s\":{\"matches\":\"^b\"}}", true, ""},
    {"{\"/params/s\":{\"matches\":\"^(a|c)+$\"}}", false, NULL},
    {"{\"/params/e\":{\"matches\":\"^$\"}}", true, ""},
    {"{\"/params/n\":{\"matches\":\"3\"}}", false, NULL},
    {"{\"/metadata/region\":\"us\"}", true, ""}, /* what a step has set counts */
    {"{\"/metadata/old\":1,\"/metadata/count\":{\"ge\":12}}", true, ""},
    {"{\"/steps/fetch/rows/0/id\":5}", true, ""},
    {"{\"/steps/load\":null}", true, ""},
    {"{\"/steps/load/x\":{\"exists\":false}}", true, ""},
    {"{\"/outcomes/fetch\":\"success\",\"/outcomes/load\":\"skipped\"}", true, ""},
    {"{\"/outcomes/load\":\"success\"}", false, NULL},
};

START_TEST(holds_or_not)
{
    jm_when *when = parse(cases[_i].when);
    jm_buf why = {0};
    bool holds = jm_when_holds(when, &scope, &why);
    ck_assert_msg(holds == cases[_i].holds, "%s", cases[_i].when);
    ck_assert_int_eq(holds, why.len == 0);
    if (cases[_i].why)
        ck_assert_str_eq(jm_buf_str(&why), cases[_i].why);
    jm_buf_fini(&why);
    jm_when_free(when);
}
END_TEST

START_TEST(a_scope_of_nothing)
{
    jm_when *when = parse("{\"/metadata/x\":{\"exists\":false},\"/params/y\":{\"ne\":1}}");
    jm_buf why = {0};
    ck_assert(jm_when_holds(when, &(jm_when_scope){0}, &why));
    jm_when_free(when);
}
END_TEST

static const struct {
    const char *when, *field, *message;
} refused[] = {
    {"[]", "", "when must be an object of conditions"},
    {"{}", "", "when must be an object of conditions"},
    {"{\"x\":1}", "/x", "is a JSON pointer such as"},
    {"{\"/params/~\":1}", "/~1params~1~0", "is a JSON pointer such as"},
    {"{\"/parms/x\":1}", "/~1parms~1x", "did you mean \"/params\"?"},
    {"{\"/steps\":1}", "/~1steps", "it names no step: /steps/NAME"},
    {"{\"/steps/fetsh/x\":1}", "/~1steps~1fetsh~1x",
     "there is no step \"fetsh\" before this one, did you mean \"fetch\"?"},
    {"{\"/outcomes/me\":\"success\"}", "/~1outcomes~1me", "there is no step \"me\" before"},
    {"{\"/params/x\":[1]}", "/~1params~1x", "a condition is a scalar or an object of operators"},
    {"{\"/params/x\":{}}", "/~1params~1x", "the condition has no operator"},
    {"{\"/params/x\":{\"gte\":1}}", "/~1params~1x/gte", "did you mean \"gt\"?"},
    {"{\"/params/x\":{\"gt\":true}}", "/~1params~1x/gt", "gt takes a number or a string"},
    {"{\"/params/x\":{\"in\":[]}}", "/~1params~1x/in", "in takes a list"},
    {"{\"/params/x\":{\"in\":3}}", "/~1params~1x/in", "in takes a list"},
    {"{\"/params/x\":{\"exists\":1}}", "/~1params~1x/exists", "exists is true or false"},
    {"{\"/params/x\":{\"matches\":1}}", "/~1params~1x/matches", "a regular expression"},
    {"{\"/params/x\":{\"matches\":\"(\"}}", "/~1params~1x/matches", "matches: Unmatched ("},
};

START_TEST(refused_with_its_place)
{
    char field[100], definition[400];
    jm_when *when = NULL;
    jm_err err;
    json_t *json = json_loads(refused[_i].when, 0, NULL);
    ck_assert_int_eq(jm_when_parse(json, "/steps/2/when", earlier, 2, &when, &err), JM_ERR_INVALID);
    json_decref(json);
    snprintf(field, sizeof field, "/steps/2/when%s", refused[_i].field);
    ck_assert_str_eq(err.field, field);
    ck_assert_msg(strstr(err.msg, refused[_i].message) != NULL, "%s", err.msg);

    jm_job_type *type = NULL;
    snprintf(definition, sizeof definition,
             "{\"type\":\"t\",\"steps\":[{\"name\":\"fetch\",\"noop\":{}},{\"name\":\"load\","
             "\"noop\":{}},\n{\"name\":\"me\",\"noop\":{},\"when\":%s}]}",
             refused[_i].when);
    ck_assert_int_eq(jm_job_type_parse("t.json", definition, strlen(definition), &type, &err),
                     JM_ERR_INVALID);
    ck_assert_msg(!strncmp(err.msg, "t.json:2:", 9), "%s", err.msg);
}
END_TEST

/* ---- in the runner ---- */

static const char *const branching =
    "{\"type\":\"t\",\"max_attempts\":1,\"steps\":["
    "{\"name\":\"a\",\"exec\":{\"argv\":[\"/bin/echo\",\"{\\\"n\\\":7}\"]},\"set\":{\"n\":\"/n\"}},"
    "{\"name\":\"b\",\"noop\":{},\"when\":{\"/params/go\":true}},"
    "{\"name\":\"c\",\"noop\":{},\"when\":{\"/metadata/n\":{\"gt\":5},\"/steps/a/n\":7,"
    "\"/outcomes/b\":\"skipped\"}},"
    "{\"name\":\"d\",\"noop\":{},\"when\":{\"/outcomes/c\":\"success\",\"/steps/b\":{\"exists\":"
    "false}}}]}";

static void statuses(fixture *f, char *out)
{
    const fixture_rows *rows = fixture_collect(f);
    *out = 0;
    for (int i = 0; i < rows->n_steps; i++)
        out += snprintf(out, 100, "%s %s %d,", rows->steps[i].name, rows->steps[i].status,
                        rows->steps[i].attempts);
}

START_TEST(steps_are_skipped_and_recorded)
{
    fixture f;
    char text[400];
    fixture_init(&f);
    ck_assert_int_eq(fixture_run(&f, fixture_type(branching), "{}")->end, JM_END_COMPLETED);
    statuses(&f, text);
    ck_assert_str_eq(text, "a success 1,b skipped 0,c success 1,d success 1,");
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_str_eq(rows->logs[1].message,
                     "step b: skipped, when does not hold: /params/go eq true (it is absent)");
    ck_assert_str_eq(rows->logs[1].step, "b");
    ck_assert_int_gt(rows->steps[1].ended_us, 0);

    ck_assert_int_eq(fixture_run(&f, fixture_type(branching), "{\"go\":true}")->end,
                     JM_END_COMPLETED);
    statuses(&f, text);
    ck_assert_str_eq(text, "a success 1,b success 1,c skipped 0,d skipped 0,");
    fixture_fini(&f);
}
END_TEST

/* What succeeded before stays; what was skipped is asked again. */
START_TEST(a_resumed_job_asks_again)
{
    fixture f;
    char text[400];
    fixture_init(&f);
    jm_job_type *type = fixture_type(branching);
    fixture_job(&f, &f.job, type, "{}");
    f.job.attempt = 2;
    f.job.done_steps = "{\"a\":{\"n\":7}}";
    f.job.metadata = "{\"n\":7}";
    f.job.metadata_len = strlen(f.job.metadata);
    ck_assert_int_eq(fixture_run_job(&f)->end, JM_END_COMPLETED);
    statuses(&f, text);
    ck_assert_str_eq(text, "b skipped 0,c success 1,d success 1,");
    fixture_fini(&f);
}
END_TEST

START_TEST(all_skipped_is_completed)
{
    fixture f;
    fixture_init(&f);
    jm_report *report =
        fixture_run(&f,
                    fixture_type("{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"fail\":{},\"when\":"
                                 "{\"/params/x\":1}}]}"),
                    "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_ptr_null(report->result);
    ck_assert_int_eq(fixture_collect(&f)->n_steps, 1);
    fixture_fini(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("when");
    TCase *tc = tcase_create("when");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, holds_or_not, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, a_scope_of_nothing);
    tcase_add_loop_test(tc, refused_with_its_place, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tc, steps_are_skipped_and_recorded);
    tcase_add_test(tc, a_resumed_job_asks_again);
    tcase_add_test(tc, all_skipped_is_completed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
