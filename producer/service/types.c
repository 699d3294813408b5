/* Job types as live workers announce them. */
#include "producer/service/types.h"

#include "common/mem.h"
#include "common/pg.h"
#include "common/rows.h"

static int list(jm_pg *pg, const char *name, const jm_page *page, json_t **items, jm_err *err)
{
    static const jm_rows_place place = {.limit = 3, .offset = 4, .cursor = {2}};
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, name);
    jm_pg_arg_text(&args, page->cursor);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    return jm_rows_page(pg, &jm_sql_type_list, &args, &place, page->total, items, err);
}

int jm_types_list(jm_pg *pg, const jm_page *page, json_t **items, char **next, jm_err *err)
{
    *next = NULL;
    int rc = list(pg, NULL, page, items, err);
    const json_t *last = rc ? NULL : jm_rows_cut(*items, page->limit);
    if (last)
        *next = jm_strdup(json_string_value(json_object_get(last, "name")));
    return rc;
}

int jm_types_show(jm_pg *pg, const char *name, json_t **type, jm_err *err)
{
    json_t *items;
    *type = NULL;
    int rc = list(pg, name, &(jm_page){.limit = 1}, &items, err);
    if (rc)
        return rc;
    *type = json_incref(json_array_get(items, 0));
    json_decref(items);
    return *type ? JM_OK
                 : jm_err_set(err, JM_ERR_NOT_FOUND,
                              "no worker has announced a type %s; jobmill type list shows those "
                              "that there are",
                              name);
}
