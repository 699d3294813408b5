/* Tests of the text of events. */
#include "common/job_event.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const jm_uuid id = {
    {0x01, 0x9a, 0xdc, 0x44, 0x5b, 0x80, 0x7a, 0xbc, 0x8d, 0xef, 1, 2, 3, 4, 5, 6}};

static jm_job_event smallest(void)
{
    return (jm_job_event){.what = "completed",
                          .at_us = 1763821800123456,
                          .id = &id,
                          .status = "completed",
                          .project = "p",
                          .type = "t",
                          .queue = "q",
                          .attempt = 1,
                          .duration_ms = -1,
                          .items_total = -1,
                          .items_ok = -1,
                          .items_failed = -1};
}

#define HEAD                                                                                       \
    "{\"specversion\":\"1.0\",\"id\":\"019adc44-5b80-7abc-8def-010203040506.1.completed\","        \
    "\"source\":\"/jobmill/p\",\"type\":\"jobmill.job.completed\","                                \
    "\"subject\":\"019adc44-5b80-7abc-8def-010203040506\","                                        \
    "\"time\":\"2025-11-22T14:30:00.123456Z\",\"datacontenttype\":\"application/json\","
#define DATA                                                                                       \
    "\"data\":{\"id\":\"019adc44-5b80-7abc-8def-010203040506\",\"project\":\"p\",\"type\":\"t\","  \
    "\"queue\":\"q\",\"status\":\"completed\",\"attempt\":1"

START_TEST(what_there_is_not_is_left_out)
{
    jm_buf out = {0};
    jm_event_time time = {0};
    jm_job_event event = smallest();
    jm_job_event_write(&out, &time, &event);
    ck_assert_str_eq(out.data, HEAD DATA "}}");
    jm_buf_fini(&out);
}
END_TEST

START_TEST(all_of_it)
{
    jm_buf out = {0};
    jm_event_time time = {0};
    jm_job_event event = smallest();
    event.external_id = "a\"b\\\n";
    event.schedule_id = &id;
    event.due_at_us = 1763821800000000;
    event.started_at_us = 1763821799000001;
    event.completed_at_us = 1763821800123456;
    event.run_at_us = 1763821801000000;
    event.duration_ms = 0;
    event.items_total = 10;
    event.items_ok = 9;
    event.items_failed = 1;
    event.error = "ü\t";
    event.result = "[1.50]";
    event.trace_context = "00-x";
    jm_job_event_write(&out, &time, &event);
    ck_assert_str_eq(out.data,
                     HEAD "\"traceparent\":\"00-x\"," DATA ",\"external_id\":\"a\\\"b\\\\\\n\","
                          "\"schedule_id\":\"019adc44-5b80-7abc-8def-010203040506\","
                          "\"due_at\":\"2025-11-22T14:30:00.000000Z\","
                          "\"started_at\":\"2025-11-22T14:29:59.000001Z\","
                          "\"completed_at\":\"2025-11-22T14:30:00.123456Z\","
                          "\"run_at\":\"2025-11-22T14:30:01.000000Z\",\"duration_ms\":0,"
                          "\"items_total\":10,\"items_ok\":9,\"items_failed\":1,\"error\":\"ü\\t\","
                          "\"result\":[1.50]}}");
    jm_buf_fini(&out);
}
END_TEST

/* Events stand one behind the other, and names may hold what JSON escapes. */
START_TEST(odd_values)
{
    jm_buf out = {0};
    jm_event_time time = {0};
    jm_job_event event = smallest();
    char *large = malloc(JM_EVENT_RESULT_MAX + 2);
    memset(large, '1', JM_EVENT_RESULT_MAX + 1);
    large[JM_EVENT_RESULT_MAX + 1] = 0;
    event.project = "\"\n\\";
    event.what = "progress";
    event.result = large;
    jm_buf_adds(&out, "before");
    jm_job_event_write(&out, &time, &event);
    json_error_t error;
    json_t *json = json_loadb(out.data + 6, out.len - 6, 0, &error);
    ck_assert_msg(json != NULL, "%s", error.text);
    ck_assert_str_eq(json_string_value(json_object_get(json, "source")), "/jobmill/\"\n\\");
    ck_assert_str_eq(json_string_value(json_object_get(json, "id")),
                     "019adc44-5b80-7abc-8def-010203040506.1.progress.1763821800123456");
    const json_t *data = json_object_get(json, "data");
    ck_assert(json_is_true(json_object_get(data, "result_omitted")));
    ck_assert_ptr_null(json_object_get(data, "result"));
    json_decref(json);
    free(large);
    jm_buf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job_event");
    TCase *tcase = tcase_create("job_event");
    tcase_add_test(tcase, what_there_is_not_is_left_out);
    tcase_add_test(tcase, all_of_it);
    tcase_add_test(tcase, odd_values);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
