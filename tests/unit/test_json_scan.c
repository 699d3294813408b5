/* The strict scanner: what it accepts, where it says an error is, and walking what it has passed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json_scan.h"
#include "common/mem.h"

/* Scans a copy on the heap that ends exactly where the text ends, so that a look behind it shows.
 */
static int scan_n(const char *text, size_t len, jm_err *err)
{
    jm_json json;
    char *copy = jm_malloc(len ? len : 1);
    memcpy(copy, text, len);
    int rc = jm_json_scan(&json, copy, len, JM_JSON_DEPTH_MAX, err);
    jm_json_fini(&json);
    free(copy);
    return rc;
}

static bool is_valid(const char *text)
{
    jm_err err;
    return scan_n(text, strlen(text), &err) == JM_OK;
}

START_TEST(accepts)
{
    static const char *const texts[] = {"{}",
                                        "[]",
                                        " [ ] ",
                                        "0",
                                        "-1.5e-3",
                                        "\"\"",
                                        "null",
                                        "true",
                                        "false",
                                        "[[[]],{},\"\",0]",
                                        "{\"a\":{\"b\":[{\"c\":null}]}}",
                                        "\"\\u00e9\\ud83d\\ude00\"",
                                        "\"12345678\"",
                                        "\"1234567\\\"\"",
                                        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(is_valid(texts[i]), "%s", texts[i]);
}
END_TEST

/* Whatever is cut off a text, or set in front of its end, is an error: no prefix is a whole. */
START_TEST(refuses_every_prefix)
{
    static const char text[] =
        "{\"a\":[1.5e+3,\"x\\u00e9\\ud83d\\ude00\\n\",true,null,{\"\xc3\xa9\":"
        "-0}],\"b\":{},\"long enough for words\":\"long enough for words\"}";
    jm_err err;
    ck_assert(is_valid(text));
    for (size_t len = 0; len < sizeof text - 1; len++)
        ck_assert_msg(scan_n(text, len, &err) == JM_ERR_INVALID, "%zu bytes", len);
}
END_TEST

/* Any byte set at any place gives a verdict, never a read outside (the sanitizers watch). */
START_TEST(survives_every_byte_anywhere)
{
    static const char text[] =
        "{\"a\\u0041\":[1.5e+3,\"x\xc3\xa9 and eight\",true],\"b\":{\"c\":0}}";
    char copy[sizeof text];
    jm_err err;
    for (size_t at = 0; at < sizeof text - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy(copy, text, sizeof text);
            copy[at] = (char)byte;
            int rc = scan_n(copy, sizeof text - 1, &err);
            ck_assert(rc == JM_OK || err.msg[0]);
        }
}
END_TEST

static void check_error(const char *text, size_t byte, int line, const char *field,
                        const char *what)
{
    jm_err err = {0};
    char place[48];
    ck_assert_msg(scan_n(text, strlen(text), &err) == JM_ERR_INVALID, "%s", text);
    snprintf(place, sizeof place, "byte %zu, line %d: ", byte, line);
    ck_assert_msg(!strncmp(err.msg, place, strlen(place)), "%s: %s", text, err.msg);
    ck_assert_msg(strstr(err.msg, what) != NULL, "%s: %s", text, err.msg);
    ck_assert_str_eq(err.field, field);
}

START_TEST(says_where)
{
    check_error("", 0, 1, "", "expected a value, but the text ends");
    check_error("{\"a\":1,\n\"b\":x}", 12, 2, "b", "expected a value, found 'x'");
    check_error("[1,2,[3,}]", 8, 1, "[2][1]", "found '}'");
    check_error("{\"a\":{\"b\":[0,{\"c\":01}]}}", 18, 1, "a.b[1].c", "must not begin with 0");
    check_error("{\"a\":1,\"b\":2,\"a\":3}", 13, 1, "a", "stands twice");
    check_error("{\"a\":[{\"x\":1},{\"y\":1,\"y\":2}]}", 21, 1, "a[1].y", "stands twice");
    check_error("\"a\tb\"", 2, 1, "", "0x09 must be escaped");
    check_error("\"\xff\"", 1, 1, "", "0xFF is not valid UTF-8");
    check_error("[1] \x01", 4, 1, "", "found byte 0x01");
}
END_TEST

START_TEST(finds_members)
{
    const char *text = "{\"a\":1,\"b\\u0062\":{\"c\":[1,{}]},\"d\":\"x\\ny\"}";
    jm_json json;
    jm_err err;
    ck_assert_int_eq(jm_json_scan(&json, text, strlen(text), 32, &err), JM_OK);
    ck_assert_int_eq(json.root.kind, JM_JSON_OBJECT);
    ck_assert_uint_eq(json.root.len, strlen(text));
    ck_assert_uint_eq(json.n_members, 3);
    ck_assert(jm_json_equals(&json.members[1].name, "bb", 2));
    ck_assert(!jm_json_equals(&json.members[1].name, "bbb", 3));
    ck_assert(!jm_json_equals(&json.members[1].name, "b", 1));
    ck_assert_int_eq(memcmp(json.members[1].value.at, "{\"c\":[1,{}]}", json.members[1].value.len),
                     0);
    char out[8];
    ck_assert_uint_eq(jm_json_unescape(&json.members[2].value, out), 3);
    ck_assert_str_eq(out, "x\ny");
    ck_assert_uint_eq(jm_json_chars(&json.members[2].value), 3);
    jm_json_fini(&json);
}
END_TEST

START_TEST(walks)
{
    const char *text =
        " [ 1 , \"a]\\\"\" , { \"b\" : [ ] , \"c\" : { \"d\" : \"}\" } } , null , true,false ] ";
    static const jm_json_kind kinds[] = {JM_JSON_NUMBER, JM_JSON_STRING, JM_JSON_OBJECT,
                                         JM_JSON_NULL,   JM_JSON_TRUE,   JM_JSON_FALSE};
    jm_json json;
    jm_json_iter iter, inner;
    jm_json_value value, name;
    jm_err err;
    size_t n = 0;
    ck_assert_int_eq(jm_json_scan(&json, text, strlen(text), 32, &err), JM_OK);
    jm_json_iter_init(&iter, &json.root);
    for (; jm_json_iter_next(&iter, NULL, &value); n++) {
        ck_assert_uint_lt(n, sizeof kinds / sizeof *kinds);
        ck_assert_int_eq(value.kind, kinds[n]);
        if (value.kind != JM_JSON_OBJECT)
            continue;
        jm_json_iter_init(&inner, &value);
        ck_assert(jm_json_iter_next(&inner, &name, &value));
        ck_assert(jm_json_equals(&name, "b", 1) && value.kind == JM_JSON_ARRAY);
        ck_assert(jm_json_iter_next(&inner, &name, &value));
        ck_assert(jm_json_equals(&name, "c", 1) && value.len == strlen("{ \"d\" : \"}\" }"));
        ck_assert(!jm_json_iter_next(&inner, &name, &value));
    }
    ck_assert_uint_eq(n, 6);
    jm_json_fini(&json);
}
END_TEST

START_TEST(integers)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},     {"-0", true, 0},        {"17", true, 17},
        {"-5", true, -5},   {"4.0", true, 4},       {"4e2", true, 400},
        {"4.5", false, 0},  {"1e300", false, 0},    {"99999999999999999999", false, 0},
        {"1e-5", false, 0}, {"-2.50e1", true, -25}, {"9007199254740992e0", true, 9007199254740992}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jm_json json;
        int64_t v = 0;
        ck_assert_int_eq(jm_json_scan(&json, cases[i].text, strlen(cases[i].text), 1, NULL), JM_OK);
        ck_assert_msg(jm_json_int(&json.root, &v) == cases[i].ok, "%s", cases[i].text);
        if (cases[i].ok)
            ck_assert_int_eq(v, cases[i].value);
        jm_json_fini(&json);
    }
}
END_TEST

/* Names that only differ by how they are escaped, in objects small and large. */
START_TEST(finds_duplicates)
{
    for (int n = 2; n < 200; n += 7)
        for (int twice = 0; twice < n - 1; twice += 5) {
            jm_buf text = {0};
            jm_err err;
            for (int i = 0; i < n - 1; i++)
                jm_buf_addf(&text, "%s\"k%d\":%d", i ? "," : "{", i, i);
            jm_buf_addc(&text, '}');
            ck_assert_int_eq(scan_n(text.data, text.len, &err), JM_OK);
            text.len--;
            jm_buf_addf(&text, ",\"\\u006b%d\":0}", twice);
            ck_assert_int_eq(scan_n(text.data, text.len, &err), JM_ERR_INVALID);
            ck_assert_ptr_nonnull(strstr(err.msg, "twice"));
            jm_buf_fini(&text);
        }
}
END_TEST

/* An object with 100,000 members is not quadratic: that would take minutes. */
START_TEST(large_objects_are_quick)
{
    jm_buf text = {0};
    jm_err err;
    for (int i = 0; i < 100000; i++)
        jm_buf_addf(&text, "%s\"%x\":0", i ? "," : "{", i);
    jm_buf_addc(&text, '}');
    int64_t began = jm_mono_ms();
    ck_assert_int_eq(scan_n(text.data, text.len, &err), JM_OK);
    ck_assert_int_lt(jm_mono_ms() - began, 10000);
    jm_buf_fini(&text);
}
END_TEST

START_TEST(shows_names_whole)
{
    const char *text = "\"\xc3\xa9\xc3\xa9\\n\\u20ac\"";
    jm_json json;
    char out[16], few[4];
    ck_assert_int_eq(jm_json_scan(&json, text, strlen(text), 1, NULL), JM_OK);
    jm_json_show(&json.root, out, sizeof out);
    ck_assert_str_eq(out, "\xc3\xa9\xc3\xa9?\xe2\x82\xac");
    jm_json_show(&json.root, few, sizeof few);
    ck_assert_str_eq(few, "\xc3\xa9");
    jm_json_fini(&json);
}
END_TEST

START_TEST(utf8)
{
    size_t chars = 0;
    ck_assert(jm_utf8_is_valid("a\xc3\xa9\xf0\x9f\x98\x80", 7, &chars) && chars == 3);
    ck_assert(jm_utf8_is_valid("", 0, &chars) && chars == 0);
    ck_assert(!jm_utf8_is_valid("\xc3", 1, NULL));
    ck_assert(!jm_utf8_is_valid("\xed\xa0\x80", 3, NULL));
    ck_assert(jm_utf8_is_valid("\xf4\x8f\xbf\xbf", 4, NULL));
    ck_assert(!jm_utf8_is_valid("\xf4\x90\x80\x80", 4, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_scan");
    TCase *tc = tcase_create("json_scan");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, accepts);
    tcase_add_test(tc, refuses_every_prefix);
    tcase_add_test(tc, survives_every_byte_anywhere);
    tcase_add_test(tc, says_where);
    tcase_add_test(tc, finds_members);
    tcase_add_test(tc, walks);
    tcase_add_test(tc, integers);
    tcase_add_test(tc, finds_duplicates);
    tcase_add_test(tc, large_objects_are_quick);
    tcase_add_test(tc, shows_names_whole);
    tcase_add_test(tc, utf8);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
