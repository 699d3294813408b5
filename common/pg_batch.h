/* Parameters of queries in PostgreSQL's binary formats: scalars, and columns of a batch as arrays.
 */
#ifndef JM_PG_BATCH_H
#define JM_PG_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/uuid7.h"

typedef enum jm_col_type {
    JM_COL_BOOL,
    JM_COL_I16,
    JM_COL_I32,
    JM_COL_I64,
    JM_COL_TEXT,
    JM_COL_JSONB,
    JM_COL_UUID,
    JM_COL_TS /* timestamptz */,
    JM_COL_BYTEA
} jm_col_type;

/* One column: becomes one array parameter. Embedded; init once, reset and fill for each batch. */
typedef struct jm_col {
    jm_buf buf;
    jm_col_type type;
    int32_t n;
    bool has_null;
} jm_col;

void jm_col_init(jm_col *col, jm_col_type type);
void jm_col_fini(jm_col *col);
void jm_col_reset(jm_col *col);
void jm_col_add_null(jm_col *col);
void jm_col_add_bool(jm_col *col, bool v);
void jm_col_add_i32(jm_col *col, int32_t v); /* also for JM_COL_I16 */
void jm_col_add_i64(jm_col *col, int64_t v);
void jm_col_add_ts(jm_col *col, int64_t us);                   /* microseconds since 1970 */
void jm_col_add_time(jm_col *col, int64_t us);                 /* the same; 0: null */
void jm_col_add_uuid(jm_col *col, const jm_uuid *id);          /* NULL: null */
void jm_col_add_bytes(jm_col *col, const void *p, size_t len); /* text, jsonb, bytea; NULL: null */
void jm_col_add_str(jm_col *col, const char *s);               /* NUL-terminated; NULL: null */

#define JM_COLS_MAX     32
#define JM_COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* The columns of one statement. Embedded. */
typedef struct jm_cols {
    jm_col col[JM_COLS_MAX];
    int n;
} jm_cols;

void jm_cols_init(jm_cols *cols, const jm_col_type *types, int n);
void jm_cols_fini(jm_cols *cols);

#define JM_PG_ARGS_MAX 48

/* The parameters of one statement in order $1, $2, ... Embedded; borrows strings and columns. */
typedef struct jm_pg_args {
    int n;
    const char *values[JM_PG_ARGS_MAX];
    int lengths[JM_PG_ARGS_MAX];
    int formats[JM_PG_ARGS_MAX];
    uint32_t types[JM_PG_ARGS_MAX];
    uint64_t scratch[JM_PG_ARGS_MAX][2];
} jm_pg_args;

void jm_pg_args_init(jm_pg_args *args);
void jm_pg_arg_text(jm_pg_args *args,
                    const char *s); /* text; NULL: null. The type is left to the server */
void jm_pg_arg_bool(jm_pg_args *args, bool v);
void jm_pg_arg_i32(jm_pg_args *args, int32_t v);
void jm_pg_arg_i64(jm_pg_args *args, int64_t v);
void jm_pg_arg_ts(jm_pg_args *args, int64_t us);          /* microseconds since 1970; 0: null */
void jm_pg_arg_uuid(jm_pg_args *args, const jm_uuid *id); /* NULL: null */
void jm_pg_arg_col(jm_pg_args *args, jm_col *col);
void jm_pg_arg_cols(jm_pg_args *args, jm_cols *cols); /* each of them in turn */

#endif
