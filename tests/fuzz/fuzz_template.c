/* Fuzz target of strings with ${...}: any text is refused or compiles; what it expands to fits the
 * place where it stands, and nothing of a secret is left when it has been masked. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "worker/mask.h"
#include "worker/template.h"

static const char secret_text[] = "p\"s/S\xc3\xb6";

static int secret(void *ctx, const char *name, const char **value, size_t *len, jm_err *err)
{
    (void)ctx, (void)name, (void)err;
    *value = secret_text;
    *len = sizeof secret_text - 1;
    return JM_OK;
}

static const jm_job job = {
    .type = "t", .project = "p", .queue = "q", .metadata = "{\"a\":\"m\"}", .metadata_len = 9};

static const jm_template_scope scope = {
    .job = &job,
    .params = "{\"a\":\"x\\r\\ny\",\"b\":{\"c\":[1,null,\"\\u0001\"]}}",
    .params_len = sizeof "{\"a\":\"x\\r\\ny\",\"b\":{\"c\":[1,null,\"\\u0001\"]}}" - 1,
    .steps_data = "{\"s.t\":{\"u\":1},\"s\":null}",
    .step = "s",
    .secret = secret};

static void check_text(const char *text, jm_place place)
{
    jm_template *template;
    jm_err err = {0};
    jm_buf out = {0}, masked = {0};
    if (jm_template_text(text, place, &template, &err)) {
        assert(err.code == JM_ERR_INVALID && *err.msg);
        return;
    }
    if (jm_template_expand(template, &scope, &out, &err))
        assert(*err.msg);
    else if (jm_template_is_literal(template))
        assert(out.len <= strlen(text));
    else if (place == JM_PLACE_HEADER && !strpbrk(text, "\r\n"))
        assert(!strpbrk(out.data, "\r\n"));
    jm_mask mask = {0};
    jm_mask_add(&mask, secret_text, sizeof secret_text - 1);
    jm_mask_text(&mask, jm_buf_str(&out), out.len, &masked);
    assert(!memmem(jm_buf_str(&masked), masked.len, secret_text, sizeof secret_text - 1));
    jm_mask_fini(&mask);
    jm_buf_fini(&out);
    jm_buf_fini(&masked);
    jm_template_free(template);
}

static bool is_sound(const jm_buf *text, jm_err *err)
{
    jm_json json;
    bool sound = !jm_json_scan(&json, jm_buf_str(text), text->len, JM_JSON_DEPTH_MAX, err);
    jm_json_fini(&json);
    return sound;
}

static void check_masked(const jm_buf *json)
{
    jm_err err = {0};
    jm_buf masked = {0};
    jm_mask mask = {0};
    jm_mask_add(&mask, secret_text, sizeof secret_text - 1);
    jm_mask_json(&mask, json->data, json->len, &masked);
    assert(is_sound(&masked, &err) || strstr(err.msg, "twice"));
    jm_mask_fini(&mask);
    jm_buf_fini(&masked);
}

static void check_json(const char *text, size_t len)
{
    jm_template *template;
    jm_err err = {0};
    jm_buf out = {0};
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (value && !jm_template_json(value, &template, &err)) {
        if (!jm_template_expand(template, &scope, &out, &err)) {
            json_t *back =
                json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
            assert(back);
            json_decref(back);
            if (is_sound(&out, &err))
                check_masked(&out);
        }
        jm_template_free(template);
    }
    json_decref(value);
    jm_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = jm_strndup((const char *)data, size);
    for (int place = JM_PLACE_TEXT; place <= JM_PLACE_JSON_TEXT; place++)
        check_text(text, (jm_place)place);
    check_json(text, size);
    free(text);
    return 0;
}
