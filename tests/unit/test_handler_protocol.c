/* The handler protocol: the line on stdin, lines on descriptor 3, and the streams they come from.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "worker/capture.h"
#include "worker/handler_protocol.h"
#include "worker/lines.h"
#include "worker/text.h"

START_TEST(input_is_one_line)
{
    jm_job_type *type;
    ck_assert_int_eq(jm_job_type_builtin("noop", &type, NULL), 0);
    static const char params[] = "{\n \"n\" : 12345678901234567890,\r\n \"s\":\"a\\nb\"}";
    static const char metadata[] = "{\"k\":1.10}";
    jm_job job = {.type = "noop",
                  .project = "default",
                  .job_type = type,
                  .attempt = 2,
                  .metadata = metadata,
                  .metadata_len = strlen(metadata)};
    ck_assert(jm_uuid_parse("0198c0de-0000-7000-8000-000000000001", 36, &job.id));
    jm_step_run run = {.job = &job,
                       .def = &type->steps[0],
                       .params = params,
                       .params_len = strlen(params),
                       .steps_data = "{\"a\":{\"x\":1}}",
                       .try = 3};
    jm_buf out = {0};
    jm_handler_input(&out, &run);
    ck_assert_str_eq(
        out.data,
        "{\"job\":{\"id\":\"0198c0de-0000-7000-8000-000000000001\",\"type\":\"noop\","
        "\"attempt\":2,\"project\":\"default\",\"params\":{  \"n\" : 12345678901234567890,  "
        " \"s\":\"a\\nb\"},\"metadata\":{\"k\":1.10},\"schedule_id\":null,\"due_at\":null,"
        "\"traceparent\":null,\"output_dir\":null,\"lock_token\":null},\"step\":{\"name\":\"run\","
        "\"attempt\":3},"
        "\"steps\":{\"a\":{\"x\":1}},\"documents\":{}}\n");
    jm_buf_clear(&out);
    job.has_schedule = true;
    job.schedule_id = job.id;
    job.due_at_us = 1795444200000000;
    jm_handler_input(&out, &run);
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "\"schedule_id\":\"0198c0de-0000-7000-8000-000000000001\","
                                 "\"due_at\":\"2026-11-23T14:30:00Z\""));
    jm_buf_fini(&out);
    jm_job_type_unref(type);
}
END_TEST

static jm_handler_line parse(const char *text)
{
    jm_handler_line line;
    jm_err err;
    ck_assert_msg(!jm_handler_line_parse(text, strlen(text), &line, &err), "%s: %s", text, err.msg);
    return line;
}

static void assert_raw(jm_raw raw, const char *want)
{
    ck_assert_ptr_nonnull(raw.p);
    ck_assert_uint_eq(raw.len, strlen(want));
    ck_assert_mem_eq(raw.p, want, raw.len);
}

START_TEST(lines_are_understood)
{
    jm_handler_line line = parse("{\"log\":{\"level\":\"Warning\",\"message\":\"m\",\"details\":{"
                                 "\"n\":12345678901234567890}}}");
    ck_assert_int_eq(line.log.level, JM_WARNING);
    ck_assert_str_eq(line.log.message, "m");
    assert_raw(line.log.details, "{\"n\":12345678901234567890}");
    jm_handler_line_fini(&line);

    line = parse("{\"log\":{\"message\":\"m\",\"level\":\"CRITICAL\"},\"progress\":{\"total\":10,"
                 "\"ok\":0}}");
    ck_assert_int_eq(line.log.level, JM_ERROR);
    ck_assert(line.has_progress);
    ck_assert_int_eq(line.total, 10);
    ck_assert_int_eq(line.ok, 0);
    ck_assert_int_eq(line.failed, -1);
    jm_handler_line_fini(&line);

    line = parse("{\"step\":{\"name\":\"s\",\"status\":\"failed\",\"error\":\"e\",\"data\":[1]}}");
    ck_assert_str_eq(line.step.name, "s");
    ck_assert_str_eq(line.step.status, "failed");
    ck_assert_str_eq(line.step.error, "e");
    assert_raw(line.step.data, "[1]");
    jm_handler_line_fini(&line);

    line = parse("{\"step\":{\"name\":\"s\"}}");
    ck_assert_str_eq(line.step.status, "success");
    ck_assert_ptr_null(line.step.data.p);
    jm_handler_line_fini(&line);

    line = parse(" {\"result\" : {\"rows\":1e2} , \"set\":{\"a\":1,\"b\":null}} ");
    assert_raw(line.result, "{\"rows\":1e2}");
    assert_raw(line.set, "{\"a\":1,\"b\":null}");
    jm_handler_line_fini(&line);

    line = parse("{\"end\":{\"exit\":0}}");
    ck_assert(line.end.given && line.has_end && !line.end.exit && !line.end.error && !line.end.id);
    jm_handler_line_fini(&line);
    line = parse("{\"end\":{}}");
    ck_assert(line.end.given && !line.end.exit);
    jm_handler_line_fini(&line);
    line = parse("{\"result\":1,\"end\":{\"error\":\"no\",\"id\":\"i\"}}");
    ck_assert_int_eq(line.end.exit, 1);
    ck_assert_str_eq(line.end.error, "no");
    ck_assert_str_eq(line.end.id, "i");
    assert_raw(line.result, "1");
    jm_handler_line_fini(&line);

    line = parse("{\"result\":null}");
    ck_assert_ptr_null(line.result.p);
    jm_handler_line_fini(&line);
    line = parse("{}");
    jm_handler_line_fini(&line);
}
END_TEST

static const struct {
    const char *text, *message;
} broken[] = {
    {"", ""},
    {"hello", ""},
    {"{", ""},
    {"[]", "no JSON object"},
    {"\"x\"", "no JSON object"},
    {"{\"log\":{\"message\":\"\\u0000\"}}", ""},
    {"{\"log\":{\"message\":\"\xff\"}}", ""},
    {"{\"log\":{\"message\":\"\\ud800\"}}", ""},
    {"{\"result\":1e999}", ""},
    {"{\"result\":{\"a\":1,\"a\":2}}", ""},
    {"{\"result\":1} x", ""},
    {"{\"log\":\"m\"}", "log must be an object with a string message"},
    {"{\"log\":{}}", "log must be an object"},
    {"{\"log\":{\"message\":5}}", "string message"},
    {"{\"log\":{\"message\":\"m\",\"level\":\"loud\"}}", "log.level must be"},
    {"{\"log\":{\"message\":\"m\",\"level\":30}}", "log.level must be"},
    {"{\"progress\":5}", "progress must be an object"},
    {"{\"progress\":{\"ok\":-1}}", "progress.ok must be"},
    {"{\"progress\":{\"ok\":0.5}}", "progress.ok must be"},
    {"{\"progress\":{\"ok\":1e300}}", "progress.ok must be"},
    {"{\"set\":[]}", "set must be an object"},
    {"{\"set\":{\"a\":{}}}", "set.a must be"},
    {"{\"step\":{}}", "name"},
    {"{\"step\":{\"name\":\"\"}}", "name"},
    {"{\"step\":{\"name\":\"s\",\"status\":\"done\"}}", "step.status must be"},
    {"{\"step\":{\"name\":\"s\",\"error\":5}}", "step.error must be"},
    {"{\"end\":5}", "end must be an object"},
    {"{\"end\":{\"exit\":256}}", "end.exit must be"},
    {"{\"end\":{\"exit\":-1}}", "end.exit must be"},
    {"{\"end\":{\"exit\":\"0\"}}", "end.exit must be"},
    {"{\"end\":{\"exit\":0.5}}", "end.exit must be"},
    {"{\"end\":{\"error\":5}}", "end.error must be a string"},
    {"{\"end\":{\"id\":5}}", "end.id must be a string"},
    {"{\"end\":{\"exit\":0,\"error\":\"e\"}}", "exit of 0 that says success"},
    {"{\"end\":{\"status\":0}}", "unknown key end.status"},
    {"{\"logs\":{}}", "unknown key \"logs\", did you mean \"log\"?"},
};

START_TEST(broken_lines)
{
    jm_handler_line line;
    jm_err err = {0};
    const char *text = broken[_i].text;
    ck_assert_int_eq(jm_handler_line_parse(text, strlen(text), &line, &err), JM_ERR_INVALID);
    ck_assert_msg(strstr(err.msg, broken[_i].message) != NULL, "%s: %s", text, err.msg);
    ck_assert(*err.msg);
}
END_TEST

/* ---- streams ---- */

static void join(void *ctx, const char *line, size_t len, bool cut)
{
    jm_buf *all = ctx;
    jm_buf_addf(all, "%s%.*s|", cut ? "cut:" : "", (int)len, line);
}

START_TEST(lines_however_they_are_cut)
{
    static const char text[] = "one\ntwo\r\n\nthe long line here\nfive\n0123456789\nlast";
    static const char want[] = "one|two||cut:the long l|five|0123456789|last|";
    jm_buf all = {0};
    jm_lines lines = {.max = 10, .fn = join, .ctx = &all};
    for (size_t from = 0; from < strlen(text); from += (size_t)_i)
        jm_lines_add(&lines, text + from,
                     strlen(text) - from < (size_t)_i ? strlen(text) - from : (size_t)_i);
    jm_lines_end(&lines);
    ck_assert_str_eq(all.data, want);
    jm_lines_fini(&lines);
    jm_buf_fini(&all);
}
END_TEST

START_TEST(text_is_made_valid)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *want;
    } cases[] = {
        {"plain", 5, "plain"},
        {"a\0b", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3\xa4\xf0\x9f\x8c\x8d", 6, "\xc3\xa4\xf0\x9f\x8c\x8d"},
        {"\xff", 1, "\xef\xbf\xbd"},
        {"\xc0\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    jm_buf out = {0};
    jm_text_clean(&out, cases[_i].bytes, cases[_i].len);
    ck_assert_str_eq(jm_buf_str(&out), cases[_i].want);
    jm_buf_fini(&out);
}
END_TEST

START_TEST(cut_keeps_characters_whole)
{
    ck_assert_uint_eq(jm_text_cut("abc", 3, 5), 3);
    ck_assert_uint_eq(jm_text_cut("a\xc3\xa4", 3, 2), 1);
    ck_assert_uint_eq(jm_text_cut("\xf0\x9f\x8c\x8dx", 5, 3), 0);
    ck_assert_uint_eq(jm_text_cut("\xf0\x9f\x8c\x8dx", 5, 4), 4);
}
END_TEST

START_TEST(capture_keeps_both_ends)
{
    jm_capture capture = {.cap = 10};
    jm_buf out = {0};
    jm_capture_add(&capture, "0123456789", 10);
    jm_capture_text(&capture, &out);
    ck_assert_str_eq(out.data, "0123456789");
    jm_capture_add(&capture, "abcdefghijklmnopqrstuvw", 23);
    for (const char *p = "xyz"; *p; p++)
        jm_capture_add(&capture, p, 1);
    jm_buf_clear(&out);
    jm_capture_text(&capture, &out);
    ck_assert_str_eq(out.data, "01234\n[... 26 bytes left out, the cap is 10 ...]\nvwxyz");
    jm_buf_fini(&out);
    jm_capture_fini(&capture);
}
END_TEST

START_TEST(capture_bounds_memory)
{
    char block[1000];
    memset(block, 'x', sizeof block);
    jm_capture capture = {.cap = 4096};
    for (int i = 0; i < 10000; i++)
        jm_capture_add(&capture, block, sizeof block);
    ck_assert_uint_lt(capture.head.cap + capture.tail.cap, 5 * 4096);
    ck_assert_uint_eq(capture.total, 10000000);
    jm_capture_fini(&capture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handler_protocol");
    TCase *tc = tcase_create("handler_protocol");
    tcase_add_test(tc, input_is_one_line);
    tcase_add_test(tc, lines_are_understood);
    tcase_add_loop_test(tc, broken_lines, 0, sizeof broken / sizeof *broken);
    tcase_add_loop_test(tc, lines_however_they_are_cut, 1, 60);
    tcase_add_loop_test(tc, text_is_made_valid, 0, 8);
    tcase_add_test(tc, cut_keeps_characters_whole);
    tcase_add_test(tc, capture_keeps_both_ends);
    tcase_add_test(tc, capture_bounds_memory);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
