/* Fuzz target of the job message: any bytes, read in each of the three forms, give a job that
 * survives being written and read again, or a reason. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/job_message.h"
#include "common/json_scan.h"
#include "tests/fuzz/fuzz.h"

static const int64_t now_ms = 1795357800000;

static void check_again(const jm_job *job)
{
    jm_buf first = {0}, second = {0};
    const char *reason;
    jm_err err;
    jm_job again;
    jm_arena *arena = jm_arena_new(4096);
    jm_job_message_write(job, &first);
    jm_record record = {
        .topic = "t", .timestamp_ms = now_ms, .value = first.data, .value_len = first.len};
    jm_message_limits limits = {.max_bytes = first.len, .now_ms = now_ms};
    int rc = jm_job_message_parse(&record, &limits, arena, &again, &reason, &err);
    assert(rc == JM_OK);
    if (job->external_id)
        again.id = job->id;
    jm_job_message_write(&again, &second);
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    jm_buf_fini(&first);
    jm_buf_fini(&second);
    jm_arena_free(arena);
}

static void read_as(const uint8_t *data, size_t size, const jm_header *headers, size_t n_headers)
{
    const char *reason = NULL;
    jm_err err = {0};
    jm_job job;
    jm_arena *arena = jm_arena_new(4096);
    jm_message_limits limits = {.now_ms = now_ms};
    jm_record record = {.topic = "t",
                        .timestamp_ms = now_ms,
                        .key = data,
                        .key_len = size < 8 ? size : 8,
                        .value = data,
                        .value_len = size,
                        .headers = headers,
                        .n_headers = n_headers};
    if (jm_job_message_parse(&record, &limits, arena, &job, &reason, &err) == JM_OK) {
        assert(job.type && job.params && job.project);
        check_again(&job);
    } else {
        assert(reason && err.msg[0]);
        assert(jm_utf8_is_valid(err.msg, strlen(err.msg), NULL));
        assert(jm_utf8_is_valid(err.field, strlen(err.field), NULL));
    }
    jm_arena_free(arena);
}

static void walk(const jm_json_value *value)
{
    jm_json_iter iter;
    jm_json_value name, inner;
    if (value->kind != JM_JSON_ARRAY && value->kind != JM_JSON_OBJECT)
        return;
    jm_json_iter_init(&iter, value);
    while (jm_json_iter_next(&iter, &name, &inner)) {
        assert(inner.at >= value->at && inner.at + inner.len <= value->at + value->len);
        walk(&inner);
    }
}

/* A second opinion on what is JSON. Texts are short enough that no integer overflows a double,
 * which jansson would refuse and we do not. */
static void compare_with_jansson(const uint8_t *data, size_t size, bool accepted, const jm_err *err)
{
    if (size > 300 || memchr(data, 0, size)) /* a NUL ends the text for jansson */
        return;
    json_t *other =
        json_loadb((const char *)data, size,
                   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    assert(!accepted || other);
    if (other && !accepted)
        assert(strstr(err->msg, "nested deeper") || strstr(err->msg, "exponent"));
    json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const jm_header structured[] = {{"content-type", "application/cloudevents+json", 28}};
    const jm_header binary[] = {{"ce_specversion", "1.0", 3},
                                {"ce_type", "noop", 4},
                                {"ce_source", "s", 1},
                                {"ce_id", data, size < 16 ? size : 16},
                                {"traceparent", data, size < 64 ? size : 64},
                                {"ce_expirytime", data, size < 32 ? size : 0}};
    /* A copy of its exact size: a look behind the end shows. */
    uint8_t *copy = malloc(size ? size : 1);
    jm_json json;
    assert(copy);
    memcpy(copy, data, size);
    jm_err err = {0};
    bool accepted = jm_json_scan(&json, (const char *)copy, size, JM_JSON_DEPTH_MAX, &err) == JM_OK;
    if (accepted)
        walk(&json.root);
    compare_with_jansson(copy, size, accepted, &err);
    jm_json_fini(&json);
    read_as(copy, size, NULL, 0);
    read_as(copy, size, structured, 1);
    read_as(copy, size, binary, size % 2 ? 6 : 4);
    free(copy);
    return 0;
}
