/* The parser of job messages: the corpus, what no corpus can say, and what the writer gives back.
 */
#include <check.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/job_fields.h"
#include "common/job_message.h"
#include "common/json_scan.h"

enum { HEADERS_MAX = 16 };

static const int64_t now_ms = 1795357800000; /* 2026-11-22T14:30:00Z, the corpus' present */
static const char v7[] = "019adc44-5b80-7abc-8def-0123456789ab";

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* ---- one case of the corpus ---- */

typedef struct fixture {
    jm_record record;
    jm_header headers[HEADERS_MAX];
    jm_buf value, key;
} fixture;

static void add_base64(jm_buf *out, const char *text)
{
    size_t len = strlen(text);
    unsigned char *to = (unsigned char *)jm_buf_reserve(out, len);
    int n = EVP_DecodeBlock(to, (const unsigned char *)text, (int)len);
    ck_assert_int_ge(n, 0);
    for (size_t i = len; i > 0 && text[i - 1] == '='; i--)
        n--;
    out->len += (size_t)n;
}

static void add_parts(jm_buf *out, const json_t *parts)
{
    for (size_t i = 0; i + 1 < json_array_size(parts); i += 2) {
        const char *text = json_string_value(json_array_get(parts, i));
        json_int_t times = json_integer_value(json_array_get(parts, i + 1));
        while (times--)
            jm_buf_adds(out, text);
    }
}

static void build_value(fixture *f, const json_t *test)
{
    const json_t *value = json_object_get(test, "value");
    if (value && json_is_null(value))
        return;
    jm_buf_adds(&f->value, "");
    if (value)
        jm_buf_adds(&f->value, json_string_value(value));
    else if (json_object_get(test, "base64"))
        add_base64(&f->value, text_of(test, "base64"));
    else
        add_parts(&f->value, json_object_get(test, "parts"));
    f->record.value = f->value.data;
    f->record.value_len = f->value.len;
}

static void build(fixture *f, const json_t *test)
{
    const char *name;
    json_t *value;
    *f = (fixture){.record = {.topic = "jobmill.jobs.default", .partition = 3, .offset = 17}};
    const json_t *at = json_object_get(test, "timestamp_ms");
    f->record.timestamp_ms = at ? json_integer_value(at) : now_ms;
    build_value(f, test);
    if (text_of(test, "key_base64"))
        add_base64(&f->key, text_of(test, "key_base64"));
    else if (text_of(test, "key"))
        jm_buf_adds(&f->key, text_of(test, "key"));
    f->record.key = f->key.data;
    f->record.key_len = f->key.len;
    json_object_foreach(json_object_get(test, "headers"), name, value)
    {
        ck_assert_uint_lt(f->record.n_headers, HEADERS_MAX);
        jm_header *h = &f->headers[f->record.n_headers++];
        *h = (jm_header){name, json_string_value(value), json_string_length(value)};
    }
    f->record.headers = f->headers;
}

static void fini(fixture *f)
{
    jm_buf_fini(&f->value);
    jm_buf_fini(&f->key);
}

static const char *member_of(const jm_job *job, const char *name)
{
    if (!strcmp(name, "type"))
        return job->type;
    if (!strcmp(name, "params"))
        return job->params;
    if (!strcmp(name, "metadata"))
        return job->metadata;
    if (!strcmp(name, "project"))
        return job->project;
    if (!strcmp(name, "profile"))
        return job->profile;
    if (!strcmp(name, "external_id"))
        return job->external_id;
    if (!strcmp(name, "key"))
        return job->key;
    if (!strcmp(name, "dedup_key"))
        return job->dedup_key;
    if (!strcmp(name, "callback_url"))
        return job->callback_url;
    if (!strcmp(name, "trace_context"))
        return job->trace_context;
    ck_abort_msg("the corpus expects %s, which is no member", name);
    return NULL;
}

static int64_t integer_of(const jm_job *job, const char *name)
{
    if (!strcmp(name, "priority"))
        return job->priority;
    if (!strcmp(name, "timeout_s"))
        return job->timeout_s;
    if (!strcmp(name, "max_attempts"))
        return job->max_attempts;
    if (!strcmp(name, "run_at_us"))
        return job->run_at_us;
    if (!strcmp(name, "start_by_us"))
        return job->start_by_us;
    ck_abort_msg("the corpus expects %s, which is no integer member", name);
    return 0;
}

static bool is_expected(const jm_job *job, const char *name, const json_t *value)
{
    char id[JM_UUID_TEXT];
    jm_uuid_format(&job->id, id);
    if (!strcmp(name, "id"))
        return !strcasecmp(id, json_string_value(value));
    if (!strcmp(name, "from_relay"))
        return job->from_relay == json_is_true(value);
    if (json_is_integer(value))
        return integer_of(job, name) == json_integer_value(value);
    const char *text = member_of(job, name);
    if (json_is_null(value))
        return text == NULL;
    return text && !strcmp(text, json_string_value(value));
}

/* What the relay would publish is read as the same job. */
static void check_round_trip(const char *name, const jm_job *job)
{
    const char *reason = NULL;
    jm_err err = {0};
    jm_job again;
    jm_buf out = {0}, second = {0};
    jm_arena *arena = jm_arena_new(0);
    jm_job_message_write(job, &out);
    jm_record record = {
        .topic = "t", .timestamp_ms = now_ms, .value = out.data, .value_len = out.len};
    jm_message_limits limits = {.max_bytes = out.len, .now_ms = now_ms};
    int rc = jm_job_message_parse(&record, &limits, arena, &again, &reason, &err);
    ck_assert_msg(rc == JM_OK, "%s: written as %.200s: %s", name, out.data, err.msg);
    if (job->external_id)
        again.id = job->id;
    jm_job_message_write(&again, &second);
    ck_assert_msg(out.len == second.len && !memcmp(out.data, second.data, out.len),
                  "%s: written as %.200s, then as %.200s", name, out.data, second.data);
    jm_buf_fini(&out);
    jm_buf_fini(&second);
    jm_arena_free(arena);
}

static void check_valid(const char *name, const json_t *test, const jm_job *job)
{
    const char *member;
    json_t *value;
    json_object_foreach(json_object_get(test, "expect"), member, value)
        ck_assert_msg(is_expected(job, member, value), "%s: %s is not as expected", name, member);
    if (job->from_relay)
        return;
    ck_assert_msg(job->type && job->project && job->params, "%s: no defaults", name);
    ck_assert_uint_eq(job->params_len, strlen(job->params));
    ck_assert(job->id.b[6] >> 4 == 7);
    check_round_trip(name, job);
}

static void check_invalid(const char *name, const json_t *test, const char *reason,
                          const jm_err *err)
{
    ck_assert_msg(reason && !strcmp(reason, text_of(test, "reason")), "%s: reason %s (%s)", name,
                  reason, err->msg);
    ck_assert_msg(!strcmp(err->field, text_of(test, "field")), "%s: field \"%s\" (%s)", name,
                  err->field, err->msg);
    ck_assert_msg(err->msg[0] && jm_utf8_is_valid(err->msg, strlen(err->msg), NULL), "%s: message",
                  name);
    ck_assert_msg(jm_utf8_is_valid(err->field, strlen(err->field), NULL), "%s: field", name);
    const json_t *nearest = json_object_get(test, "nearest");
    if (!nearest)
        return;
    char want[64];
    snprintf(want, sizeof want, "the nearest is \"%s\"",
             json_is_null(nearest) ? "" : json_string_value(nearest));
    if (json_is_null(nearest))
        ck_assert_msg(!strstr(err->msg, "nearest"), "%s: %s", name, err->msg);
    else
        ck_assert_msg(strstr(err->msg, want), "%s: %s", name, err->msg);
}

static void check_case(const json_t *test)
{
    const char *name = text_of(test, "name"), *reason = NULL;
    jm_message_limits limits = {.now_ms = now_ms};
    jm_err err = {0};
    jm_job job;
    fixture f;
    build(&f, test);
    jm_arena *arena = jm_arena_new(0);
    int rc = jm_job_message_parse(&f.record, &limits, arena, &job, &reason, &err);
    bool valid = json_is_true(json_object_get(test, "valid"));
    ck_assert_msg((rc == JM_OK) == valid, "%s: %s", name, rc ? err.msg : "accepted");
    if (valid)
        check_valid(name, test, &job);
    else
        check_invalid(name, test, reason, &err);
    jm_arena_free(arena);
    fini(&f);
}

START_TEST(corpus)
{
    FILE *file = fopen(JM_SOURCE_DIR "/tests/corpus/message/cases.jsonl", "re");
    char *line = NULL;
    size_t cap = 0, n = 0;
    ck_assert_ptr_nonnull(file);
    for (; getline(&line, &cap, file) > 0; n++) {
        json_error_t error;
        json_t *test = json_loads(line, 0, &error);
        ck_assert_msg(test != NULL, "case %zu: %s", n, error.text);
        check_case(test);
        json_decref(test);
    }
    ck_assert_uint_ge(n, 150);
    free(line);
    fclose(file);
}
END_TEST

/* ---- what no corpus can say ---- */

static int parse(const char *text, jm_arena *arena, jm_job *job)
{
    const char *reason;
    jm_record record = {.topic = "t",
                        .partition = 1,
                        .offset = 2,
                        .timestamp_ms = now_ms,
                        .value = text,
                        .value_len = strlen(text)};
    return jm_job_message_parse(&record, NULL, arena, job, &reason, NULL);
}

START_TEST(id_is_the_records)
{
    jm_arena *arena = jm_arena_new(0);
    jm_job job, again, external, failed;
    ck_assert_int_eq(parse("{\"type\":\"noop\"}", arena, &job), JM_OK);
    ck_assert_int_eq(parse("{\"type\":\"noop\"}", arena, &again), JM_OK);
    ck_assert_int_eq(jm_uuid_cmp(&job.id, &again.id), 0);
    ck_assert(!job.has_id && jm_uuid7_is(&job.id));
    ck_assert_int_eq(jm_uuid7_ms(&job.id), now_ms);
    ck_assert_int_eq(parse("{\"type\":\"noop\",\"id\":\"a\"}", arena, &external), JM_OK);
    ck_assert(!external.has_id && jm_uuid_cmp(&job.id, &external.id) != 0);
    /* A dead letter has an id of its record, whatever the message says. */
    char text[100];
    snprintf(text, sizeof text, "{\"id\":\"%s\"}", v7);
    ck_assert_int_eq(parse(text, arena, &failed), JM_ERR_INVALID);
    ck_assert(!failed.has_id && jm_uuid7_ms(&failed.id) == now_ms);
    jm_arena_free(arena);
}
END_TEST

START_TEST(nothing_is_borrowed)
{
    jm_arena *arena = jm_arena_new(0);
    jm_job job;
    char *text = jm_strdup("{\"type\":\"noop\",\"params\":{\"a\":1},\"metadata\":{\"b\":2},"
                           "\"key\":\"k\",\"depends_on\":[{\"external_id\":\"x\"}]}");
    ck_assert_int_eq(parse(text, arena, &job), JM_OK);
    memset(text, '!', strlen(text));
    free(text);
    ck_assert_str_eq(job.type, "noop");
    ck_assert_str_eq(job.params, "{\"a\":1}");
    ck_assert_str_eq(job.metadata, "{\"b\":2}");
    ck_assert_str_eq(job.key, "k");
    ck_assert_str_eq(job.depends_on, "[{\"external_id\":\"x\"}]");
    jm_arena_free(arena);
}
END_TEST

START_TEST(limit_of_bytes)
{
    const char *reason = NULL, text[] = "{\"type\":\"noop\"}";
    jm_arena *arena = jm_arena_new(0);
    jm_job job;
    jm_err err;
    jm_record record = {.topic = "t", .value = text, .value_len = sizeof text - 1};
    jm_message_limits limits = {.max_bytes = sizeof text - 1};
    ck_assert_int_eq(jm_job_message_parse(&record, &limits, arena, &job, &reason, &err), JM_OK);
    limits.max_bytes--;
    ck_assert_int_eq(jm_job_message_parse(&record, &limits, arena, &job, &reason, &err),
                     JM_ERR_INVALID);
    ck_assert_str_eq(reason, "too_large");
    jm_arena_free(arena);
}
END_TEST

START_TEST(writes_what_is_set)
{
    jm_buf out = {0};
    jm_job job = {.type = "report",
                  .project = "default",
                  .params = "{}",
                  .params_len = 2,
                  .priority = JM_PRIORITY_DEFAULT};
    jm_job_message_write(&job, &out);
    ck_assert_str_eq(jm_buf_str(&out), "{\"type\":\"report\"}");
    jm_buf_clear(&out);
    jm_uuid_parse(v7, strlen(v7), &job.id);
    job.project = "acme";
    job.priority = 0;
    job.params = "{\"a\":1}";
    job.params_len = 7;
    job.key = "a \"b\"\n";
    job.run_at_us = now_ms * 1000 + 5;
    job.max_attempts = 1;
    jm_job_message_write(&job, &out);
    ck_assert_str_eq(jm_buf_str(&out),
                     "{\"type\":\"report\",\"id\":\"019adc44-5b80-7abc-8def-0123456789ab\","
                     "\"params\":{\"a\":1},\"project\":\"acme\",\"priority\":0,"
                     "\"key\":\"a \\\"b\\\"\\n\",\"run_at\":\"2026-11-22T14:30:00.000005Z\","
                     "\"max_attempts\":1}");
    jm_buf_clear(&out);
    job.external_id = "order-17";
    jm_job_message_write(&job, &out);
    ck_assert_ptr_nonnull(strstr(jm_buf_str(&out), "\"id\":\"order-17\""));
    jm_buf_fini(&out);
}
END_TEST

START_TEST(table_of_fields)
{
    for (int i = 0; i < JM_JOB_FIELDS; i++) {
        const jm_field *f = &jm_job_fields[i];
        ck_assert_uint_eq(strlen(f->name), f->name_len);
        ck_assert_int_le(f->min, f->max);
        ck_assert(f->help[0] && f->help[strlen(f->help) - 1] != '.');
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job_message");
    TCase *tc = tcase_create("job_message");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, corpus);
    tcase_add_test(tc, id_is_the_records);
    tcase_add_test(tc, nothing_is_borrowed);
    tcase_add_test(tc, limit_of_bytes);
    tcase_add_test(tc, writes_what_is_set);
    tcase_add_test(tc, table_of_fields);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
