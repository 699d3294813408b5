/* Results of one JSON column as jansson values. */
#ifndef JM_ROWS_H
#define JM_ROWS_H

#include <jansson.h>

#include "common/pg.h"

/* Runs a query whose only column is JSON: all rows as an array. */
int jm_rows_list(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, json_t **items, jm_err *err);
/* The first row, or JM_ERR_NOT_FOUND with no message set: the caller says what there is not. */
int jm_rows_one(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, json_t **value, jm_err *err);

#endif
