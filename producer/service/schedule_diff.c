/* What differs between two definitions of a schedule. */
#include "producer/service/schedule_diff.h"

#include <stdlib.h>

#include "common/json_exact.h"
#include "producer/schedule_columns.h"

static void add_value(jm_buf *out, const json_t *value)
{
    char *text = value ? jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    jm_buf_adds(out, text ? text : "-");
    free(text);
}

void jm_schedule_diff(const json_t *before, const json_t *after, jm_buf *out)
{
    size_t began = out->len;
    for (const jm_schedule_column *c = jm_schedule_column_table; c->name; c++) {
        const json_t *was = json_object_get(before, c->name), *is = json_object_get(after, c->name);
        if (!c->defined || (!was && !is) || (was && is && json_equal(was, is)))
            continue;
        jm_buf_addf(out, "%s%s ", out->len > began ? ", " : "", c->name);
        if (json_is_object(before)) {
            add_value(out, was);
            jm_buf_adds(out, " -> ");
        }
        add_value(out, is);
    }
}
