/* Strings with ${...}: what is refused when a type is loaded, and what comes out of the others. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/template.h"

static const char params[] =
    "{\"s\":\"a "
    "b/c?\\u00e4\\\"\",\"n\":12345678901234567890.10,\"t\":true,\"z\":null,\"empty\":\"\","
    "\"o\":{\"list\":[1,{\"x\":\"deep\"}]},\"crlf\":\"a\\r\\nX: y\"}";

static int secret(void *ctx, const char *name, const char **value, size_t *len, jm_err *err)
{
    (void)ctx;
    if (strcmp(name, "TOKEN") != 0)
        return jm_err_set(err, JM_ERR_NOT_FOUND, "secret %s: no such file", name);
    *value = "s3cr\"et";
    *len = strlen(*value);
    return JM_OK;
}

static const jm_job *job(void)
{
    static jm_job one = {.type = "t",
                         .project = "p",
                         .queue = "default",
                         .metadata = "{\"m\":\"meta\"}",
                         .metadata_len = 12,
                         .attempt = 3};
    jm_uuid_parse("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", 36, &one.id);
    return &one;
}

static jm_template_scope scope(void)
{
    return (jm_template_scope){.job = job(),
                               .params = params,
                               .params_len = sizeof params - 1,
                               .steps_data = "{\"a.b\":{\"c\":7},\"plain\":[true],\"none\":null}",
                               .step = "call",
                               .try = 2,
                               .secret = secret};
}

static const struct {
    const char *text;
    jm_place place;
    const char *want; /* NULL: it fails, ... */
    const char *says; /* ... and says so */
} cases[] = {
    {"plain $ text $5 }", JM_PLACE_TEXT, "plain $ text $5 }", NULL},
    {"", JM_PLACE_TEXT, "", NULL},
    {"$${params.s}", JM_PLACE_TEXT, "${params.s}", NULL},
    {"<${params.s}>", JM_PLACE_TEXT, "<a b/c?\xc3\xa4\">", NULL},
    {"${params.s}", JM_PLACE_PATH, "a%20b%2Fc%3F%C3%A4%22", NULL},
    {"q=${params.s}&x", JM_PLACE_QUERY, "q=a%20b%2Fc%3F%C3%A4%22&x", NULL},
    {"${params.n}", JM_PLACE_QUERY, "12345678901234567890.10", NULL},
    {"${params.t}${params.n}", JM_PLACE_HEADER, "true12345678901234567890.10", NULL},
    {"${params.o.list.1.x}", JM_PLACE_TEXT, "deep", NULL},
    {"${params.o}", JM_PLACE_TEXT, "{\"list\":[1,{\"x\":\"deep\"}]}", NULL},
    {"${params.o}", JM_PLACE_HEADER, NULL, "${params.o} is an object"},
    {"${params.o.list}", JM_PLACE_PATH, NULL, "${params.o.list} is an object or array"},
    {"${params.crlf}", JM_PLACE_HEADER, NULL, "${params.crlf} has a line break"},
    {"${params.crlf}", JM_PLACE_QUERY, "a%0D%0AX%3A%20y", NULL},
    {"${params.empty}", JM_PLACE_PATH, NULL, "${params.empty} is empty"},
    {"${params.empty}", JM_PLACE_QUERY, "", NULL},
    {"${params.absent}", JM_PLACE_TEXT, NULL, "${params.absent} is missing"},
    {"${params.z}", JM_PLACE_TEXT, NULL, "${params.z} is null"},
    {"${params.absent:-d f}", JM_PLACE_TEXT, "d f", NULL},
    {"${params.absent:-d f}", JM_PLACE_QUERY, "d%20f", NULL},
    {"${params.z:-}", JM_PLACE_TEXT, "", NULL},
    {"${params.s.deeper}", JM_PLACE_TEXT, NULL, "is missing"},
    {"${metadata.m}", JM_PLACE_TEXT, "meta", NULL},
    {"${metadata.other:-x}", JM_PLACE_TEXT, "x", NULL},
    {"${steps.a.b.c}", JM_PLACE_TEXT, "7", NULL},
    {"${steps.a.b}", JM_PLACE_TEXT, "{\"c\":7}", NULL},
    {"${steps.plain.0}", JM_PLACE_TEXT, "true", NULL},
    {"${steps.plain.1}", JM_PLACE_TEXT, NULL, "is missing"},
    {"${steps.none}", JM_PLACE_TEXT, NULL, "is null"},
    {"${steps.other.x}", JM_PLACE_TEXT, NULL, "${steps.other.x} is missing"},
    {"${job.id}/${job.attempt}/${job.type}", JM_PLACE_TEXT,
     "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/3/t", NULL},
    {"${job.due_at}", JM_PLACE_TEXT, NULL, "is missing"},
    {"${job.schedule_id:-none}", JM_PLACE_TEXT, "none", NULL},
    {"${step.name} ${step.attempt}", JM_PLACE_TEXT, "call 2", NULL},
    {"Bearer ${secret:TOKEN}", JM_PLACE_HEADER, "Bearer s3cr\"et", NULL},
    {"${secret:TOKEN}", JM_PLACE_QUERY, "s3cr%22et", NULL},
    {"${secret:OTHER}", JM_PLACE_TEXT, NULL, "no such file"},
};

START_TEST(expands)
{
    jm_template *template;
    jm_template_scope s = scope();
    jm_buf out = {0};
    jm_err err = {0};
    ck_assert_msg(!jm_template_text(cases[_i].text, cases[_i].place, &template, &err), "%s",
                  err.msg);
    int rc = jm_template_expand(template, &s, &out, &err);
    if (cases[_i].want) {
        ck_assert_msg(!rc, "%s", err.msg);
        ck_assert_str_eq(jm_buf_str(&out), cases[_i].want);
    } else {
        ck_assert_int_ne(rc, 0);
        ck_assert_msg(strstr(err.msg, cases[_i].says) != NULL, "%s", err.msg);
    }
    jm_buf_fini(&out);
    jm_template_free(template);
}
END_TEST

static const struct {
    const char *text, *says;
} refused[] = {
    {"${parms.x}", "did you mean \"params\""},
    {"${x}", "there is no \"x\""},
    {"${}", "there is no \"\""},
    {"${params.}", "nothing stands behind the dot"},
    {"${params..x}", "single dots"},
    {"${params.x.}", "single dots"},
    {"${params.a b}", "single dots"},
    {"${params.a/b}", "single dots"},
    {"${params.x", "no closing brace"},
    {"${job.idd}", "did you mean \"id\""},
    {"${job}", "there is no \"\""},
    {"${job.id.x}", "there is no \"id.x\""},
    {"${step.nam}", "did you mean \"name\""},
    {"${steps}", "which step?"},
    {"${secret:}", "a secret's name"},
    {"${secret:../x}", "a secret's name"},
    {"${secret:.hidden}", "a secret's name"},
    {"${secret:A:-b}", "a secret's name"},
    {"${secret.A}", "${secret:NAME}"},
    {"${PARAMS.x}", "there is no \"PARAMS\""},
};

START_TEST(refuses)
{
    jm_template *template;
    jm_err err = {0};
    ck_assert_int_eq(jm_template_text(refused[_i].text, JM_PLACE_TEXT, &template, &err),
                     JM_ERR_INVALID);
    ck_assert_msg(strstr(err.msg, refused[_i].says) != NULL, "%s", err.msg);
}
END_TEST

static const struct {
    const char *json, *want, *says;
} bodies[] = {
    {"{\"a\":[1,1.5,0.1,-2e300,true,false,null,\"x\\\"\"],\"b\":{}}",
     "{\"a\":[1,1.5,0.1,-2e+300,true,false,null,\"x\\\"\"],\"b\":{}}", NULL},
    {"\"${params}\"", params, NULL},
    {"{\"v\":\"${params.n}\"}", "{\"v\":12345678901234567890.10}", NULL},
    {"{\"v\":\"n is ${params.n}\"}", "{\"v\":\"n is 12345678901234567890.10\"}", NULL},
    {"{\"v\":\"${params.s}\"}", "{\"v\":\"a b/c?\\u00e4\\\"\"}", NULL},
    {"{\"v\":\"<${params.s}>\"}", "{\"v\":\"<a b/c?\xc3\xa4\\\">\"}", NULL},
    {"{\"v\":\"<${params.crlf}>\"}", "{\"v\":\"<a\\u000d\\nX: y>\"}", NULL},
    {"{\"v\":\"${params.z}\"}", "{\"v\":null}", NULL},
    {"{\"v\":\"x${params.z}\"}", NULL, "is null"},
    {"{\"v\":\"${params.no}\"}", NULL, "${params.no} is missing"},
    {"{\"v\":\"${params.no:-[1, 2]}\"}", "{\"v\":[1, 2]}", NULL},
    {"{\"v\":\"${params.no:-two words}\"}", "{\"v\":\"two words\"}", NULL},
    {"{\"v\":\"${params.no:-\\\"}\"}", "{\"v\":\"\\\"\"}", NULL},
    {"{\"v\":\"${params.o.list}\"}", "{\"v\":[1,{\"x\":\"deep\"}]}", NULL},
    {"{\"v\":\"o: ${params.o}\"}", "{\"v\":\"o: {\\\"list\\\":[1,{\\\"x\\\":\\\"deep\\\"}]}\"}",
     NULL},
    {"{\"v\":\"${secret:TOKEN}\"}", "{\"v\":\"s3cr\\\"et\"}", NULL},
    {"{\"${params.s}\":\"$${x}\"}", "{\"${params.s}\":\"${x}\"}", NULL},
    {"[\"${job.id}\",\"${job.attempt}\"]", "[\"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\",3]", NULL},
};

START_TEST(makes_json)
{
    jm_template *template;
    jm_template_scope s = scope();
    jm_buf out = {0};
    jm_err err = {0};
    json_t *value = json_loads(bodies[_i].json, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(value);
    ck_assert_msg(!jm_template_json(value, &template, &err), "%s", err.msg);
    int rc = jm_template_expand(template, &s, &out, &err);
    if (bodies[_i].want) {
        ck_assert_msg(!rc, "%s", err.msg);
        ck_assert_str_eq(jm_buf_str(&out), bodies[_i].want);
        json_t *back = json_loads(out.data, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
        ck_assert_ptr_nonnull(back);
        json_decref(back);
    } else {
        ck_assert_int_ne(rc, 0);
        ck_assert_msg(strstr(err.msg, bodies[_i].says) != NULL, "%s", err.msg);
    }
    jm_buf_fini(&out);
    jm_template_free(template);
    json_decref(value);
}
END_TEST

START_TEST(gives_values)
{
    static const struct {
        const char *text, *want;
    } values[] = {{"${params.s}", "a b/c?\xc3\xa4\""},
                  {"${params.n}", "12345678901234567890.10"},
                  {"${params.z}", NULL},
                  {"${params.o.list}", "[1,{\"x\":\"deep\"}]"},
                  {"x ${params.t}", "x true"},
                  {"${params.z:-d}", "d"}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        jm_template *template;
        jm_template_scope s = scope();
        jm_buf out = {0};
        jm_err err = {0};
        bool is_null;
        ck_assert_int_eq(jm_template_text(values[i].text, JM_PLACE_TEXT, &template, &err), 0);
        ck_assert_int_eq(jm_template_value(template, &s, &out, &is_null, &err), 0);
        ck_assert_int_eq(is_null, !values[i].want);
        if (values[i].want)
            ck_assert_str_eq(out.data, values[i].want);
        jm_buf_fini(&out);
        jm_template_free(template);
    }
}
END_TEST

START_TEST(says_what_it_is)
{
    jm_template *template;
    jm_err err;
    ck_assert_int_eq(jm_template_text("${params.a}", JM_PLACE_TEXT, &template, &err), 0);
    ck_assert(jm_template_is_reference(template) && !jm_template_is_literal(template) &&
              !jm_template_has_secret(template));
    jm_template_free(template);
    ck_assert_int_eq(jm_template_text("a$${b}", JM_PLACE_TEXT, &template, &err), 0);
    ck_assert(!jm_template_is_reference(template) && jm_template_is_literal(template));
    jm_template_free(template);
    ck_assert_int_eq(jm_template_text("a${secret:B}", JM_PLACE_TEXT, &template, &err), 0);
    ck_assert(jm_template_has_secret(template) && !jm_template_is_reference(template));
    jm_template_free(template);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("template");
    TCase *tcase = tcase_create("template");
    tcase_add_loop_test(tcase, expands, 0, sizeof cases / sizeof *cases);
    tcase_add_loop_test(tcase, refuses, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(tcase, makes_json, 0, sizeof bodies / sizeof *bodies);
    tcase_add_test(tcase, gives_values);
    tcase_add_test(tcase, says_what_it_is);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
