/* Reads members of a definition's objects. */
#include "definition.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/nearest.h"

/* With ~ and / of the key escaped. */
void jm_def_pointer(jm_def def, const char *key, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s%s", def.pointer, key ? "/" : "");
    for (; key && *key && n + 3 < size; key++) {
        if (*key == '~' || *key == '/') {
            out[n++] = '~';
            out[n++] = *key == '~' ? '0' : '1';
        } else {
            out[n++] = *key;
        }
        out[n] = 0;
    }
}

int jm_def_error(jm_def def, const char *key, jm_err *err, const char *fmt, ...)
{
    char text[400], pointer[sizeof err->field];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jm_def_pointer(def, key, pointer, sizeof pointer);
    return jm_err_field(err, pointer, "%s", text);
}

int jm_def_int(jm_def def, const char *key, int min, int max, int *out, jm_err *err)
{
    const json_t *value = json_object_get(def.object, key);
    if (!value)
        return JM_OK;
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < min || n > max)
        return jm_def_error(def, key, err, "%s must be a whole number from %d to %d", key, min,
                            max);
    *out = (int)n;
    return JM_OK;
}

int jm_def_number(jm_def def, const char *key, double min, double max, double *out, jm_err *err)
{
    const json_t *value = json_object_get(def.object, key);
    if (!value)
        return JM_OK;
    double n = json_number_value(value);
    if (!json_is_number(value) || n < min || n > max)
        return jm_def_error(def, key, err, "%s must be a number from %g to %g", key, min, max);
    *out = n;
    return JM_OK;
}

int jm_def_string(jm_def def, const char *key, const char **out, jm_err *err)
{
    const json_t *value = json_object_get(def.object, key);
    if (!value)
        return JM_OK;
    if (!json_is_string(value))
        return jm_def_error(def, key, err, "%s must be a string", key);
    *out = json_string_value(value);
    return JM_OK;
}

int jm_def_word(jm_def def, const char *key, const char *const *words, int n, int *out, jm_err *err)
{
    const char *word = NULL;
    if (jm_def_string(def, key, &word, err))
        return err->code;
    if (!word)
        return JM_OK;
    jm_buf list = {0};
    for (int i = 0; i < n; i++) {
        if (!strcmp(words[i], word)) {
            *out = i;
            jm_buf_fini(&list);
            return JM_OK;
        }
        jm_buf_addf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    jm_def_error(def, key, err, "%s must be one of %s", key, list.data);
    jm_buf_fini(&list);
    return err->code;
}

int jm_def_object(jm_def def, const char *key, json_t **out, jm_err *err)
{
    json_t *value = json_object_get(def.object, key);
    if (!value)
        return JM_OK;
    if (!json_is_object(value))
        return jm_def_error(def, key, err, "%s must be an object", key);
    *out = value;
    return JM_OK;
}

int jm_def_strings(jm_def def, const char *key, bool not_empty, json_t **out, jm_err *err)
{
    json_t *list = json_object_get(def.object, key), *item;
    if (!list)
        return JM_OK;
    size_t i;
    bool ok = json_is_array(list) && !(not_empty && !json_array_size(list));
    json_array_foreach(list, i, item) ok = ok && json_is_string(item);
    if (!ok)
        return jm_def_error(def, key, err, "%s must be a%s list of strings", key,
                            not_empty ? " non-empty" : "");
    *out = list;
    return JM_OK;
}

int jm_def_known(jm_def def, const char *const *known, size_t n, jm_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)def.object, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < n && !found; i++)
            found = !strcmp(known[i], key);
        if (found)
            continue;
        const char *near = jm_nearest(key, known, n);
        return jm_def_error(def, key, err, "unknown key \"%.60s\"%s%s%s", key,
                            near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return JM_OK;
}
