/* Compares JSON values and says where they differ. */
#include "json_diff.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/json_value.h"

static void add_value(jm_buf *out, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS |
                                               JSON_REAL_PRECISION(15))
                       : NULL;
    jm_buf_adds(out, text ? text : "nothing");
    free(text);
}

static bool differ(const json_t *expected, const json_t *actual, const char *pointer, jm_buf *out)
{
    jm_buf_addf(out, "%s: expected ", *pointer ? pointer : "/");
    add_value(out, expected);
    jm_buf_adds(out, ", got ");
    add_value(out, actual);
    jm_buf_addc(out, '\n');
    return false;
}

static bool member(const json_t *expected, const json_t *actual, const char *pointer,
                   const char *key, bool partial, jm_buf *out)
{
    jm_buf at = {0};
    jm_buf_addf(&at, "%s/%s", pointer, key);
    bool same = jm_json_diff(expected, actual, at.data, partial, out);
    jm_buf_fini(&at);
    return same;
}

static bool diff_objects(const json_t *expected, const json_t *actual, const char *pointer,
                         bool partial, jm_buf *out)
{
    const char *key;
    json_t *value;
    bool same = true;
    json_object_foreach((json_t *)(uintptr_t)expected, key, value) same &=
        member(value, json_object_get(actual, key), pointer, key, partial, out);
    json_object_foreach((json_t *)(uintptr_t)actual, key, value)
    {
        if (!partial && !json_object_get(expected, key))
            same &= member(NULL, value, pointer, key, partial, out);
    }
    return same;
}

static bool diff_lists(const json_t *expected, const json_t *actual, const char *pointer,
                       bool partial, jm_buf *out)
{
    size_t n = json_array_size(expected), m = json_array_size(actual);
    bool same = true;
    for (size_t i = 0; i < n || i < m; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        same &= member(json_array_get(expected, i), json_array_get(actual, i), pointer, key,
                       partial, out);
    }
    return same;
}

bool jm_json_diff(const json_t *expected, const json_t *actual, const char *pointer, bool partial,
                  jm_buf *out)
{
    if (json_is_object(expected) && json_is_object(actual))
        return diff_objects(expected, actual, pointer, partial, out);
    if (json_is_array(expected) && json_is_array(actual))
        return diff_lists(expected, actual, pointer, partial, out);
    if (expected && actual && jm_json_value_equal(expected, actual))
        return true;
    return differ(expected, actual, pointer, out);
}
