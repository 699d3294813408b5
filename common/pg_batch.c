/* Parameters of queries in PostgreSQL's binary formats. */
#include "pg_batch.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* Type oids as in PostgreSQL's pg_type.dat; they never change. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
    OID_JSONB = 3802
};

static const struct {
    uint32_t elem, array;
} oids[] = {
    [JM_COL_BOOL] = {OID_BOOL, 1000},   [JM_COL_I16] = {OID_INT2, 1005},
    [JM_COL_I32] = {OID_INT4, 1007},    [JM_COL_I64] = {OID_INT8, 1016},
    [JM_COL_TEXT] = {OID_TEXT, 1009},   [JM_COL_JSONB] = {OID_JSONB, 3807},
    [JM_COL_UUID] = {OID_UUID, 2951},   [JM_COL_TS] = {OID_TIMESTAMPTZ, 1185},
    [JM_COL_BYTEA] = {OID_BYTEA, 1001},
};

#define EPOCH_2000_US INT64_C(946684800000000) /* PostgreSQL counts from 2000-01-01 */

/* The header of an array: dimensions, has-null flag, element oid, length, lower bound. */
enum { HEADER_BYTES = 20 };

void jm_col_init(jm_col *col, jm_col_type type)
{
    *col = (jm_col){.type = type};
    jm_col_reset(col);
}

void jm_col_fini(jm_col *col)
{
    jm_buf_fini(&col->buf);
}

void jm_col_reset(jm_col *col)
{
    static const char zero[HEADER_BYTES];
    jm_buf_clear(&col->buf);
    jm_buf_add(&col->buf, zero, sizeof zero);
    col->n = 0;
    col->has_null = false;
}

/* Room for one element of len bytes, its length word written. */
static char *element(jm_col *col, size_t len)
{
    char *p = jm_buf_reserve(&col->buf, len + 4);
    uint32_t be = htobe32((uint32_t)len);
    memcpy(p, &be, 4);
    col->buf.len += len + 4;
    col->buf.data[col->buf.len] = 0;
    col->n++;
    return p + 4;
}

void jm_col_add_null(jm_col *col)
{
    uint32_t be = UINT32_MAX;
    jm_buf_add(&col->buf, &be, 4);
    col->n++;
    col->has_null = true;
}

void jm_col_add_bool(jm_col *col, bool v)
{
    assert(col->type == JM_COL_BOOL);
    *element(col, 1) = (char)v;
}

void jm_col_add_i32(jm_col *col, int32_t v)
{
    if (col->type == JM_COL_I16) {
        uint16_t be = htobe16((uint16_t)v);
        memcpy(element(col, 2), &be, 2);
        return;
    }
    assert(col->type == JM_COL_I32);
    uint32_t be = htobe32((uint32_t)v);
    memcpy(element(col, 4), &be, 4);
}

static void add_8(jm_col *col, int64_t v)
{
    uint64_t be = htobe64((uint64_t)v);
    memcpy(element(col, 8), &be, 8);
}

void jm_col_add_i64(jm_col *col, int64_t v)
{
    assert(col->type == JM_COL_I64);
    add_8(col, v);
}

void jm_col_add_ts(jm_col *col, int64_t us)
{
    assert(col->type == JM_COL_TS);
    add_8(col, us - EPOCH_2000_US);
}

void jm_col_add_time(jm_col *col, int64_t us)
{
    if (us)
        jm_col_add_ts(col, us);
    else
        jm_col_add_null(col);
}

void jm_col_add_uuid(jm_col *col, const jm_uuid *id)
{
    assert(col->type == JM_COL_UUID);
    if (id)
        memcpy(element(col, 16), id->b, 16);
    else
        jm_col_add_null(col);
}

void jm_col_add_bytes(jm_col *col, const void *p, size_t len)
{
    if (!p) {
        jm_col_add_null(col);
        return;
    }
    if (col->type == JM_COL_JSONB) {
        char *to = element(col, len + 1);
        to[0] = 1; /* version of the binary format of jsonb */
        memcpy(to + 1, p, len);
        return;
    }
    assert(col->type == JM_COL_TEXT || col->type == JM_COL_BYTEA);
    char *to = element(col, len);
    if (len)
        memcpy(to, p, len);
}

void jm_col_add_str(jm_col *col, const char *s)
{
    jm_col_add_bytes(col, s, s ? strlen(s) : 0);
}

void jm_cols_init(jm_cols *cols, const jm_col_type *types, int n)
{
    assert(n <= JM_COLS_MAX);
    cols->n = n;
    for (int i = 0; i < n; i++)
        jm_col_init(&cols->col[i], types[i]);
}

void jm_cols_fini(jm_cols *cols)
{
    for (int i = 0; i < cols->n; i++)
        jm_col_fini(&cols->col[i]);
}

void jm_pg_args_init(jm_pg_args *args)
{
    args->n = 0;
}

static void add(jm_pg_args *args, const char *value, size_t len, int format, uint32_t type)
{
    assert(args->n < JM_PG_ARGS_MAX);
    int i = args->n++;
    args->values[i] = value;
    args->lengths[i] = (int)len;
    args->formats[i] = format;
    args->types[i] = type;
}

void jm_pg_arg_text(jm_pg_args *args, const char *s)
{
    add(args, s, s ? strlen(s) : 0, 0, 0);
}

/* Copies len bytes into the scratch of the next argument. */
static const char *keep(jm_pg_args *args, const void *p, size_t len)
{
    assert(args->n < JM_PG_ARGS_MAX);
    memcpy(args->scratch[args->n], p, len);
    return (const char *)args->scratch[args->n];
}

void jm_pg_arg_bool(jm_pg_args *args, bool v)
{
    add(args, keep(args, &(char){(char)v}, 1), 1, 1, OID_BOOL);
}

void jm_pg_arg_i32(jm_pg_args *args, int32_t v)
{
    uint32_t be = htobe32((uint32_t)v);
    add(args, keep(args, &be, 4), 4, 1, OID_INT4);
}

static void arg_8(jm_pg_args *args, int64_t v, uint32_t type)
{
    uint64_t be = htobe64((uint64_t)v);
    add(args, keep(args, &be, 8), 8, 1, type);
}

void jm_pg_arg_i64(jm_pg_args *args, int64_t v)
{
    arg_8(args, v, OID_INT8);
}

void jm_pg_arg_ts(jm_pg_args *args, int64_t us)
{
    if (us)
        arg_8(args, us - EPOCH_2000_US, OID_TIMESTAMPTZ);
    else
        add(args, NULL, 0, 1, OID_TIMESTAMPTZ);
}

void jm_pg_arg_uuid(jm_pg_args *args, const jm_uuid *id)
{
    add(args, id ? keep(args, id->b, 16) : NULL, id ? 16 : 0, 1, OID_UUID);
}

void jm_pg_arg_col(jm_pg_args *args, jm_col *col)
{
    uint32_t head[5] = {htobe32(1), htobe32(col->has_null), htobe32(oids[col->type].elem),
                        htobe32((uint32_t)col->n), htobe32(1)};
    memcpy(col->buf.data, head, sizeof head);
    add(args, col->buf.data, col->buf.len, 1, oids[col->type].array);
}

void jm_pg_arg_cols(jm_pg_args *args, jm_cols *cols)
{
    for (int i = 0; i < cols->n; i++)
        jm_pg_arg_col(args, &cols->col[i]);
}
