/* Workers and producers that have registered. */
#include "producer/service/workers.h"

#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/pg.h"
#include "common/rows.h"

/* Where a page begins: behind this one. */
typedef struct place {
    const char *kind; /* NULL: from the first on */
    int64_t started_us;
    jm_uuid id;
} place;

/* "kind/started_at/id". */
static int read_cursor(const char *cursor, place *at, jm_err *err)
{
    const char *first = cursor ? strchr(cursor, '/') : NULL;
    const char *second = first ? strchr(first + 1, '/') : NULL;
    *at = (place){0};
    if (second &&
        !jm_rfc3339_parse(first + 1, (size_t)(second - first - 1), &at->started_us, err) &&
        jm_uuid_parse(second + 1, strlen(second + 1), &at->id))
        at->kind = !strncmp(cursor, "worker/", 7)     ? "worker"
                   : !strncmp(cursor, "producer/", 9) ? "producer"
                                                      : NULL;
    return !cursor || at->kind
               ? JM_OK
               : jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                              cursor);
}

static char *cursor_of(const json_t *last)
{
    jm_buf cursor = {0};
    if (!last)
        return NULL;
    jm_buf_addf(&cursor, "%s/%s/%s", json_string_value(json_object_get(last, "kind")),
                json_string_value(json_object_get(last, "started_at")),
                json_string_value(json_object_get(last, "id")));
    return jm_buf_take(&cursor);
}

int jm_workers_list(jm_pg *pg, bool all, const jm_page *page, json_t **items, char **next,
                    jm_err *err)
{
    static const jm_rows_place where = {.limit = 5, .offset = 6, .cursor = {2, 3, 4}};
    place at;
    jm_pg_args args;
    *items = NULL;
    *next = NULL;
    int rc = read_cursor(page->cursor, &at, err);
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_bool(&args, all);
    jm_pg_arg_text(&args, at.kind);
    jm_pg_arg_ts(&args, at.started_us);
    jm_pg_arg_uuid(&args, at.kind ? &at.id : NULL);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    rc = jm_rows_page(pg, &jm_sql_worker_list, &args, &where, page->total, items, err);
    *next = cursor_of(rc ? NULL : jm_rows_cut(*items, page->limit));
    return rc;
}

int jm_workers_show(jm_pg *pg, const char *id, json_t **worker, jm_err *err)
{
    jm_uuid given;
    jm_pg_args args;
    int rc = JM_ERR_NOT_FOUND;
    *worker = NULL;
    if (jm_uuid_parse(id, strlen(id), &given)) {
        jm_pg_args_init(&args);
        jm_pg_arg_uuid(&args, &given);
        rc = jm_rows_one(pg, &jm_sql_worker_show, &args, worker, err);
    }
    return rc == JM_ERR_NOT_FOUND ? jm_err_set(err, rc, "there is no worker \"%.100s\"", id) : rc;
}
