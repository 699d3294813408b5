/* Schemas of params: the public test suite for what it covers, what is refused at load and where,
 * what messages say, and the check at the start of an attempt. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_value.h"
#include "common/params_schema.h"
#include "tests/unit/runner_fixture.h"

static const char *const suite_dir = "/usr/share/json-schema-test-suite/tests/draft7";

static json_t *load(const char *text)
{
    json_t *value = jm_json_load(text, strlen(text));
    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

/* ---- the public suite (Debian's json-schema-test-suite) ---- */

typedef struct tally {
    int groups, tests, refused;
} tally;

static void run_group(const char *file, const json_t *group, tally *t)
{
    jm_params_schema *schema = NULL;
    jm_err err;
    const json_t *tests = json_object_get(group, "tests");
    if (jm_params_schema_compile(json_object_get(group, "schema"), "", &schema, &err)) {
        t->refused++;
        return;
    }
    t->groups++;
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        bool valid = !jm_params_schema_check(schema, json_object_get(test, "data"), &err);
        ck_assert_msg(valid == json_is_true(json_object_get(test, "valid")), "%s: %s: %s: %s", file,
                      json_string_value(json_object_get(group, "description")),
                      json_string_value(json_object_get(test, "description")),
                      valid ? "fits" : err.msg);
        t->tests++;
    }
    jm_params_schema_free(schema);
}

START_TEST(public_suite)
{
    tally t = {0};
    DIR *dir = opendir(suite_dir);
    if (!dir) {
        ck_assert_msg(!getenv("CI"), "json-schema-test-suite is not installed");
        printf("skipped: json-schema-test-suite is not installed\n");
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[400];
        size_t len = strlen(entry->d_name);
        if (len < 6 || strcmp(entry->d_name + len - 5, ".json") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", suite_dir, entry->d_name);
        json_t *groups = json_load_file(path, JSON_ALLOW_NUL, NULL);
        for (size_t i = 0; i < json_array_size(groups); i++)
            run_group(entry->d_name, json_array_get(groups, i), &t);
        json_decref(groups);
    }
    closedir(dir);
    printf("public suite: %d tests in %d groups, %d groups have keywords that are refused\n",
           t.tests, t.groups, t.refused);
    ck_assert_int_ge(t.tests, 250);
}
END_TEST

/* ---- what is refused at load ---- */

static const struct {
    const char *schema, *field, *message;
} refused[] = {
    {"[]", "", "a schema is an object, true or false"},
    {"{\"typ\":\"string\"}", "/typ", "did you mean \"type\"?"},
    {"{\"type\":\"strin\"}", "/type", "type must be null, boolean"},
    {"{\"type\":[]}", "/type", "type must be"},
    {"{\"enum\":[]}", "/enum", "at least one value"},
    {"{\"format\":\"email\"}", "/format", "format is not checked: use pattern or enum"},
    {"{\"$ref\":\"#\"}", "/$ref", "\"$ref\" is not among the keywords"},
    {"{\"properties\":{\"a/b\":{\"minimum\":\"1\"}}}", "/properties/a~1b/minimum",
     "minimum must be a number"},
    {"{\"properties\":{\"a\":[]}}", "/properties/a", "a schema is an object"},
    {"{\"items\":[{}]}", "/items", "a schema is an object"},
    {"{\"anyOf\":[{},{\"pattern\":\"(\"}]}", "/anyOf/1/pattern", "pattern: Unmatched ("},
    {"{\"allOf\":{}}", "/allOf", "a list of at least one schema"},
    {"{\"required\":\"a\"}", "/required", "required must be a list of names"},
    {"{\"required\":[1]}", "/required", "required must be a list of names"},
    {"{\"minLength\":-1}", "/minLength", "a whole number from 0"},
    {"{\"maxItems\":1.5}", "/maxItems", "a whole number from 0"},
    {"{\"multipleOf\":0}", "/multipleOf", "a number above 0"},
    {"{\"uniqueItems\":1}", "/uniqueItems", "true or false"},
    {"{\"not\":3}", "/not", "a schema is an object"},
};

START_TEST(refused_with_its_place)
{
    jm_params_schema *schema = NULL;
    jm_err err;
    json_t *json = load(refused[_i].schema);
    ck_assert_int_eq(jm_params_schema_compile(json, "/params_schema", &schema, &err),
                     JM_ERR_INVALID);
    ck_assert_msg(!strncmp(err.field, "/params_schema", 14) &&
                      !strcmp(err.field + 14, refused[_i].field),
                  "%s", err.field);
    ck_assert_msg(strstr(err.msg, refused[_i].message) != NULL, "%s", err.msg);
    json_decref(json);
}
END_TEST

START_TEST(a_definition_says_line_and_column)
{
    static const char text[] = "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"noop\":{}}],\n"
                               " \"params_schema\":{\"properties\":{\"n\":\n"
                               "  {\"minimun\":1}}}}";
    jm_job_type *type = NULL;
    jm_err err;
    ck_assert_int_eq(jm_job_type_parse("t.json", text, sizeof text - 1, &type, &err),
                     JM_ERR_INVALID);
    ck_assert_msg(!strncmp(err.msg, "t.json:3:14: /params_schema/properties/n/minimun: ", 50), "%s",
                  err.msg);
}
END_TEST

/* ---- what messages say ---- */

static const struct {
    const char *schema, *value, *field, *message;
} violations[] = {
    {"{\"type\":\"object\"}", "3", "", "must be object, and is 3"},
    {"{\"type\":[\"integer\",\"null\"]}", "\"x\"", "", "must be null or integer, and is \"x\""},
    {"{\"type\":\"integer\"}", "1.5", "", "must be integer, and is 1.5"},
    {"{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", "", "\"b\" is missing"},
    {"{\"properties\":{\"l\":{\"items\":{\"type\":\"string\"}}}}", "{\"l\":[\"a\",7]}", "/l/1",
     "must be string, and is 7"},
    {"{\"properties\":{\"region\":{}},\"additionalProperties\":false}", "{\"regoin\":1}", "/regoin",
     "there is no such member, did you mean \"region\"?"},
    {"{\"additionalProperties\":{\"maximum\":3}}", "{\"a/b\":4}", "/a~1b",
     "must be at most 3, and is 4"},
    {"{\"exclusiveMinimum\":3}", "3", "", "must be above 3, and is 3"},
    {"{\"pattern\":\"^[a-z]+$\"}", "\"A1\"", "", "must match ^[a-z]+$, and is \"A1\""},
    {"{\"maxLength\":2}", "\"\\u00e4\\u00e4\\u00e4\"", "", "at most 2 characters, and has 3"},
    {"{\"enum\":[\"a\",\"b\"]}", "\"c\"", "", "must be one of [\"a\",\"b\"], and is \"c\""},
    {"{\"const\":{\"a\":1}}", "{\"a\":2}", "", "must be {\"a\":1}, and is {\"a\":2}"},
    {"{\"uniqueItems\":true}", "[1,2,1.0]", "", "has 1.0 at 0 and 2"},
    {"{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}", "5", "", "and fits 2: it is 5"},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", "5", "", "fits none of the 2"},
    {"{\"not\":{\"type\":\"null\"}}", "null", "", "must not be null"},
    {"{\"properties\":{\"x\":false}}", "{\"x\":1}", "/x", "nothing may stand here"},
    {"{\"multipleOf\":0.01}", "0.015", "", "must be a multiple of 0.01"},
};

START_TEST(violation_names_place_and_expectation)
{
    jm_params_schema *schema = NULL;
    jm_err err;
    json_t *json = load(violations[_i].schema), *value = load(violations[_i].value);
    ck_assert(!jm_params_schema_compile(json, "", &schema, &err));
    ck_assert_int_eq(jm_params_schema_check(schema, value, &err), JM_ERR_INVALID);
    ck_assert_str_eq(err.field, violations[_i].field);
    ck_assert_msg(strstr(err.msg, violations[_i].message) != NULL, "%s", err.msg);
    jm_params_schema_free(schema);
    json_decref(value);
    json_decref(json);
}
END_TEST

/* ---- at the start of an attempt ---- */

static const char *const checked =
    "{\"type\":\"t\",\"max_attempts\":5,\"profiles\":{\"p\":{\"region\":\"eu\"},\"bad\":{"
    "\"region\":"
    "5}},\"params_schema\":{\"type\":\"object\",\"required\":[\"region\"],\"properties\":{"
    "\"region\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}},\"steps\":[{\"name\":\"run\","
    "\"noop\":{}}]}";

static const struct {
    const char *profile, *params, *error;
} attempts[] = {
    {NULL, "{\"region\":\"us\"}", NULL},
    {"p", "{}", NULL},
    {"p", "{\"n\":123456789012345678901234567890}", NULL},
    {NULL, "{}", "params do not fit params_schema: /params: \"region\" is missing"},
    {"bad", "{}", "params do not fit params_schema: /params/region: must be string, and is 5"},
    {"p", "{\"n\":1.5}", "params do not fit params_schema: /params/n: must be integer, and is 1.5"},
};

START_TEST(params_are_checked_with_the_profile)
{
    fixture f;
    fixture_init(&f);
    fixture_job(&f, &f.job, fixture_type(checked), attempts[_i].params);
    f.job.profile = attempts[_i].profile;
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, attempts[_i].error ? JM_END_FAILED : JM_END_COMPLETED);
    ck_assert_pstr_eq(report->error, attempts[_i].error);
    ck_assert_int_eq(fixture_collect(&f)->n_steps, attempts[_i].error ? 0 : 1);
    fixture_fini(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("params_schema");
    TCase *tc = tcase_create("params_schema");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, public_suite);
    tcase_add_loop_test(tc, refused_with_its_place, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tc, a_definition_says_line_and_column);
    tcase_add_loop_test(tc, violation_names_place_and_expectation, 0,
                        sizeof violations / sizeof *violations);
    tcase_add_loop_test(tc, params_are_checked_with_the_profile, 0,
                        sizeof attempts / sizeof *attempts);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
