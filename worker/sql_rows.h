/* Rows of a result as a step's data: JSON, capped in rows and bytes. */
#ifndef JM_SQL_ROWS_H
#define JM_SQL_ROWS_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "common/buf.h"

/* {0} with its bounds set; embedded. */
typedef struct jm_sql_rows {
    long long max_rows;
    size_t max_bytes;
    jm_buf names; /* of the columns: "name": each, NUL-terminated one after the other */
    jm_buf json;  /* the rows so far, with commas between */
    long long n, kept;
    bool is_rows; /* the statement gives rows, be it none */
} jm_sql_rows;

/* Takes the rows of one PGresult; with no rows in it, its columns. */
void jm_sql_rows_add(jm_sql_rows *rows, const PGresult *result);
/* Appends {"rows":[…],"row_count":n} with "truncated":true where not all were kept; or, of a
 * statement without rows, {"rows_affected":n} as the command's tag says. */
void jm_sql_rows_finish(const jm_sql_rows *rows, const PGresult *last, jm_buf *out);
void jm_sql_rows_fini(jm_sql_rows *rows);

#endif
