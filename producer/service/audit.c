/* Reading the audit log. */
#include "producer/service/audit.h"

#include <string.h>

#include "common/mem.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/service/audit_mask.h"

static int read_cursor(const char *cursor, jm_uuid *id, jm_err *err)
{
    if (!cursor || jm_uuid_parse(cursor, strlen(cursor), id))
        return JM_OK;
    return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                        cursor);
}

/* One row more than asked for says that there is a next page. */
static char *cut(json_t *items, int64_t limit)
{
    if ((int64_t)json_array_size(items) <= limit)
        return NULL;
    json_array_remove(items, (size_t)limit);
    const json_t *last = json_array_get(items, (size_t)limit - 1);
    return jm_strdup(json_string_value(json_object_get(last, "id")));
}

int jm_audit_list(jm_pg *pg, const jm_audit_filter *filter, json_t **items, char **next,
                  jm_err *err)
{
    jm_uuid before;
    jm_pg_args args;
    size_t i;
    json_t *row;
    *items = NULL;
    *next = NULL;
    int rc = read_cursor(filter->cursor, &before, err);
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, filter->object);
    jm_pg_arg_text(&args, filter->object_id);
    jm_pg_arg_text(&args, filter->actor);
    jm_pg_arg_text(&args, filter->action);
    jm_pg_arg_text(&args, filter->source);
    jm_pg_arg_text(&args, filter->project);
    jm_pg_arg_text(&args, filter->request_id);
    jm_pg_arg_ts(&args, filter->from_us);
    jm_pg_arg_ts(&args, filter->to_us);
    jm_pg_arg_uuid(&args, filter->cursor ? &before : NULL);
    jm_pg_arg_i64(&args, filter->limit + 1);
    jm_pg_arg_i64(&args, filter->offset);
    static const jm_rows_place place = {.limit = 11, .offset = 12, .cursor = {10}};
    rc = jm_rows_page(pg, &jm_sql_audit_list, &args, &place, filter->total, items, err);
    if (rc)
        return rc;
    *next = cut(*items, filter->limit);
    json_array_foreach(*items, i, row)
    {
        jm_audit_mask(json_object_get(row, "before"));
        jm_audit_mask(json_object_get(row, "after"));
    }
    return JM_OK;
}
