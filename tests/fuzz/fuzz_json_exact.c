/* Fuzz target of JSON that keeps every digit: what is loaded is written as something that loads to
 * the same value, and nothing that is no JSON is loaded. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value, *again;
    jm_err err = {0};
    if (jm_json_exact_load((const char *)data, size, &value, &err)) {
        assert(err.code == JM_ERR_INVALID && err.msg[0]);
        return 0;
    }
    char *text = jm_json_exact_dump(value, JSON_COMPACT);
    assert(text);
    assert(jm_json_exact_load(text, strlen(text), &again, &err) == JM_OK);
    assert(json_equal(value, again));
    json_decref(value);
    json_decref(again);
    free(text);
    return 0;
}
