/* Loads and compares JSON values. */
#include "json_value.h"

#include <stdint.h>
#include <string.h>

json_t *jm_json_load(const char *text, size_t len)
{
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    return value ? value : json_loadb(text, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
}

static int sign(double x)
{
    return (x > 0) - (x < 0);
}

static int compare_numbers(const json_t *a, const json_t *b)
{
    if (!json_is_integer(a) || !json_is_integer(b))
        return sign(json_number_value(a) - json_number_value(b));
    json_int_t x = json_integer_value(a), y = json_integer_value(b);
    return (x > y) - (x < y);
}

static int compare_strings(const json_t *a, const json_t *b)
{
    size_t x = json_string_length(a), y = json_string_length(b);
    int order = memcmp(json_string_value(a), json_string_value(b), x < y ? x : y);
    return order ? order : (x > y) - (x < y);
}

bool jm_json_value_compare(const json_t *a, const json_t *b, int *order)
{
    if (json_is_number(a) && json_is_number(b))
        *order = compare_numbers(a, b);
    else if (json_is_string(a) && json_is_string(b))
        *order = compare_strings(a, b);
    else
        return false;
    return true;
}

static bool equal_lists(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!jm_json_value_equal(json_array_get(a, i), json_array_get(b, i)))
            return false;
    return true;
}

static bool equal_objects(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || !jm_json_value_equal(value, other))
            return false;
    }
    return true;
}

bool jm_json_value_equal(const json_t *a, const json_t *b)
{
    int order;
    if (jm_json_value_compare(a, b, &order))
        return !order;
    if (json_is_array(a) && json_is_array(b))
        return equal_lists(a, b);
    if (json_is_object(a) && json_is_object(b))
        return equal_objects(a, b);
    return a && b && json_typeof(a) == json_typeof(b) && !json_is_number(a) && !json_is_string(a);
}
