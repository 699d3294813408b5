/* Metadata under the keys that a job type declares searchable. */
#include "searchable.h"

#include <jansson.h>
#include <string.h>

#include "worker/raw_json.h"

static void add_row(jm_col col[3], const jm_uuid *job_id, const char *key, const char *value,
                    size_t len)
{
    jm_col_add_uuid(&col[0], job_id);
    jm_col_add_str(&col[1], key);
    jm_col_add_bytes(&col[2], value, len);
}

void jm_searchable_add_keys(jm_col col[3], const jm_uuid *job_id, const char *const *keys,
                            const char *metadata, size_t len)
{
    if (!metadata || !keys)
        return;
    for (const char *const *key = keys; *key; key++) {
        jm_raw value = jm_raw_member(metadata, len, *key);
        if (!value.p || (value.len == 4 && !memcmp(value.p, "null", 4)))
            continue;
        json_t *string =
            *value.p == '"' ? json_loadb(value.p, value.len, JSON_DECODE_ANY, NULL) : NULL;
        if (string)
            add_row(col, job_id, *key, json_string_value(string), json_string_length(string));
        else
            add_row(col, job_id, *key, value.p, value.len);
        json_decref(string);
    }
}

void jm_searchable_add(jm_col col[3], const jm_uuid *job_id, const jm_job_type *type,
                       const char *metadata, size_t len)
{
    if (type)
        jm_searchable_add_keys(col, job_id, (const char *const *)type->searchable, metadata, len);
}
