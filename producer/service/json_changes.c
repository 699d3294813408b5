/* Compares two JSON values place by place. */
#include "producer/service/json_changes.h"

#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"

/* jansson counts references also in values that nobody changes. */
static json_t *shared(const json_t *value)
{
    return json_incref((json_t *)(uintptr_t)value);
}

/* was NULL: it is added; is NULL: removed. */
static void add_change(json_t *list, const char *path, const json_t *was, const json_t *is)
{
    json_t *change = json_object();
    json_object_set_new(change, "op", json_string(!was ? "add" : is ? "replace" : "remove"));
    json_object_set_new(change, "path", json_string(path));
    if (is)
        json_object_set_new(change, "value", shared(is));
    if (was)
        json_object_set_new(change, "was", shared(was));
    json_array_append_new(list, change);
}

static void compare(json_t *list, jm_buf *path, const json_t *was, const json_t *is);

/* As compare, of a member. */
static void compare_member(json_t *list, jm_buf *path, const char *key, const json_t *was,
                           const json_t *is)
{
    size_t len = path->len;
    jm_buf_addc(path, '/');
    for (const char *p = key; *p; p++) {
        if (*p == '~' || *p == '/')
            jm_buf_adds(path, *p == '~' ? "~0" : "~1");
        else
            jm_buf_addc(path, *p);
    }
    compare(list, path, was, is);
    path->len = len;
    path->data[len] = 0;
}

static void compare_objects(json_t *list, jm_buf *path, const json_t *was, const json_t *is)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)was, key, value)
        compare_member(list, path, key, value, json_object_get(is, key));
    json_object_foreach((json_t *)(uintptr_t)is, key, value)
    {
        if (!json_object_get(was, key))
            compare_member(list, path, key, NULL, value);
    }
}

/* What goes is removed from the end on, so that no removal moves another's place. */
static void compare_lists(json_t *list, jm_buf *path, const json_t *was, const json_t *is)
{
    size_t n = json_array_size(was), m = json_array_size(is);
    char key[24];
    for (size_t i = 0; i < m; i++) {
        snprintf(key, sizeof key, "%zu", i);
        compare_member(list, path, key, json_array_get(was, i), json_array_get(is, i));
    }
    for (size_t i = n; i > m; i--) {
        snprintf(key, sizeof key, "%zu", i - 1);
        compare_member(list, path, key, json_array_get(was, i - 1), NULL);
    }
}

static void compare(json_t *list, jm_buf *path, const json_t *was, const json_t *is)
{
    if (json_is_object(was) && json_is_object(is))
        compare_objects(list, path, was, is);
    else if (json_is_array(was) && json_is_array(is))
        compare_lists(list, path, was, is);
    else if (!was || !is || !json_equal(was, is))
        add_change(list, jm_buf_str(path), was, is);
}

json_t *jm_json_changes(const json_t *was, const json_t *is)
{
    json_t *list = json_array();
    jm_buf path = {0};
    compare(list, &path, was, is);
    jm_buf_fini(&path);
    return list;
}
