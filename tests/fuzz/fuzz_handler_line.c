/* Fuzz target of the handler protocol: any bytes on descriptor 3 or standard error give lines that
 * are understood, with pieces of themselves, or a reason; and any bytes become text. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "tests/fuzz/fuzz.h"
#include "worker/capture.h"
#include "worker/handler_protocol.h"
#include "worker/lines.h"
#include "worker/text.h"

static void check_raw(jm_raw raw, const char *line, size_t len)
{
    jm_json json;
    jm_err err;
    if (!raw.p)
        return;
    assert(raw.p >= line && raw.p + raw.len <= line + len);
    int rc = jm_json_scan(&json, raw.p, raw.len, JM_JSON_DEPTH_MAX, &err);
    assert(rc == JM_OK);
    jm_json_fini(&json);
}

static void on_line(void *ctx, const char *text, size_t len, bool cut)
{
    jm_handler_line line;
    jm_err err = {0};
    size_t *max = ctx;
    assert(cut ? len == *max : len <= *max);
    /* A copy of its exact size: a look behind the end shows. */
    char *copy = malloc(len ? len : 1);
    assert(copy);
    memcpy(copy, text, len);
    if (jm_handler_line_parse(copy, len, &line, &err)) {
        assert(err.msg[0]);
        assert(line.is_object == jm_handler_is_object(copy, len));
        assert(line.is_object || !line.has_end);
        assert(!line.end.given && !line.end.error && !line.end.id);
    } else {
        jm_raw key, value;
        check_raw(line.result, copy, len);
        check_raw(line.set, copy, len);
        check_raw(line.log.details, copy, len);
        check_raw(line.step.data, copy, len);
        for (size_t pos = 0;
             line.set.p && jm_raw_next(line.set.p, line.set.len, &pos, &key, &value);) {
            check_raw(key, copy, len);
            check_raw(value, copy, len);
        }
        assert(!line.step.name || line.step.status);
        assert(line.end.given == line.has_end);
        assert(line.end.exit >= 0 && line.end.exit <= 255);
        assert(!line.end.error ||
               (line.end.exit && jm_utf8_is_valid(line.end.error, strlen(line.end.error), NULL)));
        assert(jm_handler_is_object(copy, len));
        jm_handler_line_fini(&line);
    }
    free(copy);
}

static void check_text(const char *bytes, size_t len)
{
    jm_buf out = {0};
    jm_text_clean(&out, bytes, len);
    assert(jm_utf8_is_valid(jm_buf_str(&out), out.len, NULL));
    assert(strlen(jm_buf_str(&out)) == out.len);
    size_t cut = jm_text_cut(bytes, len, len / 2);
    assert(cut <= len / 2);
    jm_buf_fini(&out);
}

static void check_capture(const char *bytes, size_t len)
{
    jm_buf out = {0};
    jm_capture capture = {.cap = 32};
    jm_capture_add(&capture, bytes, len / 3);
    jm_capture_add(&capture, bytes + len / 3, len - len / 3);
    jm_capture_text(&capture, &out);
    assert(capture.total == len);
    assert(jm_utf8_is_valid(jm_buf_str(&out), out.len, NULL));
    jm_buf_fini(&out);
    jm_capture_fini(&capture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t maxima[] = {4, 200, 1 << 20};
    const char *bytes = size ? (const char *)data : "";
    for (size_t i = 0; i < sizeof maxima / sizeof *maxima; i++) {
        size_t max = maxima[i];
        jm_lines lines = {.max = max, .fn = on_line, .ctx = &max};
        jm_lines_add(&lines, bytes, size / 2);
        jm_lines_add(&lines, bytes + size / 2, size - size / 2);
        jm_lines_end(&lines);
        jm_lines_fini(&lines);
    }
    check_text(bytes, size);
    check_capture(bytes, size);
    return 0;
}
