/* Turns rows into JSON. */
#include "sql_rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "worker/text.h"

enum { NESTING = 3 }; /* of rows in the data: object, list, object */

/* Types whose text may be JSON as it is (pg_type.oid; they never change). */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802
};

static bool is_sound(const char *text, size_t len)
{
    jm_json json;
    bool is = !jm_json_scan(&json, text, len, JM_JSON_DEPTH_MAX - NESTING, NULL);
    jm_json_fini(&json);
    return is;
}

static void add_string(jm_buf *out, const char *text, size_t len)
{
    jm_buf clean = {0};
    jm_text_clean(&clean, text, len);
    jm_buf_add_json(out, jm_buf_str(&clean), clean.len);
    jm_buf_fini(&clean);
}

/* NaN and Infinity are no JSON, nor is everything that the type json takes: strings, then. */
static void add_value(jm_buf *out, Oid type, const char *text, size_t len)
{
    switch (type) {
    case OID_BOOL:
        jm_buf_adds(out, *text == 't' ? "true" : "false");
        return;
    case OID_INT8:
    case OID_INT2:
    case OID_INT4:
    case OID_OID:
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
    case OID_JSON:
    case OID_JSONB:
        if (is_sound(text, len)) {
            jm_buf_add(out, text, len);
            return;
        }
        break;
    default:
        break;
    }
    add_string(out, text, len);
}

static bool is_taken(const PGresult *result, int column, const char *name)
{
    for (int i = 0; i < column; i++)
        if (!strcmp(PQfname(result, i), name))
            return true;
    return false;
}

/* A name that comes twice gets its column's number behind it: a member must be there once. */
static void add_names(jm_sql_rows *rows, const PGresult *result)
{
    for (int i = 0; i < PQnfields(result); i++) {
        jm_buf name = {0};
        jm_buf_adds(&name, PQfname(result, i));
        if (is_taken(result, i, PQfname(result, i)))
            jm_buf_addf(&name, "_%d", i + 1);
        add_string(&rows->names, name.data, name.len);
        jm_buf_add(&rows->names, ":", 2);
        jm_buf_fini(&name);
    }
}

static void add_row(jm_sql_rows *rows, const PGresult *result, int row)
{
    const char *name = jm_buf_str(&rows->names);
    size_t before = rows->json.len;
    jm_buf_adds(&rows->json, rows->kept ? ",{" : "{");
    for (int i = 0; i < PQnfields(result); i++, name += strlen(name) + 1) {
        jm_buf_addf(&rows->json, "%s%s", i ? "," : "", name);
        if (PQgetisnull(result, row, i))
            jm_buf_adds(&rows->json, "null");
        else
            add_value(&rows->json, PQftype(result, i), PQgetvalue(result, row, i),
                      (size_t)PQgetlength(result, row, i));
    }
    jm_buf_addc(&rows->json, '}');
    if (rows->json.len <= rows->max_bytes) {
        rows->kept++;
        return;
    }
    rows->json.len = before;
    rows->json.data[before] = 0;
    rows->max_rows = rows->kept; /* what comes later is not kept either */
}

void jm_sql_rows_add(jm_sql_rows *rows, const PGresult *result)
{
    rows->is_rows = true;
    if (!rows->names.len)
        add_names(rows, result);
    for (int i = 0; i < PQntuples(result); i++) {
        rows->n++;
        if (rows->kept < rows->max_rows)
            add_row(rows, result, i);
    }
}

void jm_sql_rows_finish(const jm_sql_rows *rows, const PGresult *last, jm_buf *out)
{
    if (!rows->is_rows) {
        jm_buf_addf(out, "{\"rows_affected\":%lld}",
                    strtoll(PQcmdTuples((PGresult *)(uintptr_t)last), NULL, 10));
        return;
    }
    jm_buf_addf(out, "{\"rows\":[%s],\"row_count\":%lld%s}", jm_buf_str(&rows->json), rows->n,
                rows->kept < rows->n ? ",\"truncated\":true" : "");
}

void jm_sql_rows_fini(jm_sql_rows *rows)
{
    jm_buf_fini(&rows->names);
    jm_buf_fini(&rows->json);
}
