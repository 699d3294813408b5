/* Calendars that schedules name, by project and name. */
#include "producer/calendar_cache.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/mem.h"

typedef struct known {
    UT_hash_handle hh;
    char *key; /* project/name: neither has a slash */
    int version;
    jm_calendar *calendar; /* NULL: wrong says why */
    jm_err wrong;
} known;

struct jm_calendar_cache {
    known *all;
};

jm_calendar_cache *jm_calendar_cache_new(void)
{
    return jm_calloc(1, sizeof(jm_calendar_cache));
}

static void forget(jm_calendar_cache *cache, known *entry)
{
    HASH_DEL(cache->all, entry);
    jm_calendar_free(entry->calendar);
    free(entry->key);
    free(entry);
}

void jm_calendar_cache_free(jm_calendar_cache *cache)
{
    if (!cache)
        return;
    while (cache->all)
        forget(cache, cache->all);
    free(cache);
}

static known *find(const jm_calendar_cache *cache, const char *project, const char *name)
{
    jm_buf key = {0};
    known *entry;
    jm_buf_addf(&key, "%s/%s", project, name);
    HASH_FIND(hh, cache->all, key.data, key.len, entry);
    jm_buf_fini(&key);
    return entry;
}

int jm_calendar_cache_get(const jm_calendar_cache *cache, const char *project, const char *name,
                          const jm_calendar **out, jm_err *err)
{
    const known *entry = find(cache, project, name);
    *out = entry ? entry->calendar : NULL;
    if (!entry)
        return jm_err_field(err, "calendar", "project %s has no calendar \"%.100s\"", project,
                            name);
    if (!entry->calendar)
        return jm_err_field(err, "calendar", "\"%.100s\" cannot be understood: %s", name,
                            entry->wrong.msg);
    return 0;
}

void jm_calendar_cache_put(jm_calendar_cache *cache, const char *project, const char *name,
                           int version, const char *definition, size_t len)
{
    known *entry = find(cache, project, name);
    jm_buf key = {0};
    if (entry)
        forget(cache, entry);
    entry = jm_calloc(1, sizeof *entry);
    jm_buf_addf(&key, "%s/%s", project, name);
    size_t key_len = key.len;
    entry->key = jm_buf_take(&key);
    entry->version = version;
    (void)jm_calendar_parse(&entry->calendar, definition, len, &entry->wrong); /* kept, for get */
    HASH_ADD_KEYPTR(hh, cache->all, entry->key, key_len, entry);
}

/* ---- from the database ---- */

static int ask(const jm_calendar_cache *cache, jm_pg *pg, const char *const *projects,
               const char *const *names, size_t n, PGresult **res, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_TEXT, JM_COL_TEXT, JM_COL_I32};
    jm_cols cols;
    jm_pg_args args;
    jm_cols_init(&cols, types, JM_COUNT(types));
    for (size_t i = 0; i < n; i++) {
        const known *entry = find(cache, projects[i], names[i]);
        jm_col_add_str(&cols.col[0], projects[i]);
        jm_col_add_str(&cols.col[1], names[i]);
        jm_col_add_i32(&cols.col[2], entry ? entry->version : 0);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &cols);
    jm_pg_call call = {.sql = &jm_sql_scheduler_calendars, .args = &args, .binary = true};
    int rc = jm_pg_run(pg, &call, 1, err);
    *res = call.res;
    jm_cols_fini(&cols);
    return rc;
}

/* One row about element i: version, and the definition where it is another than the known one. */
static void take(jm_calendar_cache *cache, const PGresult *res, int row, const char *project,
                 const char *name)
{
    size_t len;
    const known *entry = find(cache, project, name);
    const char *definition = jm_pg_get_text(res, row, 2, &len);
    int version = jm_pg_get_i32(res, row, 1);
    if (definition && (!entry || entry->version != version)) /* named twice: once is enough */
        jm_calendar_cache_put(cache, project, name, version, definition, len);
}

int jm_calendar_cache_refresh(jm_calendar_cache *cache, jm_pg *pg, const char *const *projects,
                              const char *const *names, size_t n, jm_err *err)
{
    PGresult *res = NULL;
    if (!n)
        return JM_OK;
    int rc = ask(cache, pg, projects, names, n, &res, err), row = 0, rows = rc ? 0 : PQntuples(res);
    for (size_t i = 0; !rc && i < n; i++) {
        known *gone = find(cache, projects[i], names[i]);
        if (row < rows && jm_pg_get_i64(res, row, 0) == (int64_t)i + 1)
            take(cache, res, row++, projects[i], names[i]);
        else if (gone)
            forget(cache, gone);
    }
    PQclear(res);
    return rc;
}
