/* Results of one JSON column as jansson values, and pages of lists. */
#ifndef JM_ROWS_H
#define JM_ROWS_H

#include <jansson.h>
#include <stdint.h>

#include "common/pg.h"

/* Which rows of a list. */
typedef struct jm_page {
    int64_t limit, offset;
    const char *cursor; /* as the page before gave it as next; NULL: from the first on */
    int64_t *total; /* where to put how many there are in all, up to JM_ROWS_COUNTED; NULL: nobody
                       asks */
} jm_page;

enum { JM_ROWS_COUNTED = 10000 };

/* Which parameters of a list's query say where the page is; 0: none. Of limit and offset they are
 * bigints, those of the cursor may be null. */
typedef struct jm_rows_place {
    int limit, offset, cursor[4];
} jm_rows_place;

/* Runs a query whose only column is JSON: all rows as an array. */
int jm_rows_list(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, json_t **items, jm_err *err);
/* The same, and where total is not NULL how many rows the query has when it is asked for all of
 * them: not the page, but no more than JM_ROWS_COUNTED. */
int jm_rows_page(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, const jm_rows_place *place,
                 int64_t *total, json_t **items, jm_err *err);
int jm_rows_count(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, const jm_rows_place *place,
                  int64_t *total, jm_err *err);
/* Of a page that was asked for with one row more than it has: cuts that off, and gives what is then
 * the last. NULL: there is no further page. Borrowed. */
const json_t *jm_rows_cut(json_t *items, int64_t limit);
/* The first row, or JM_ERR_NOT_FOUND with no message set: the caller says what there is not. */
int jm_rows_one(jm_pg *pg, const jm_sql *sql, const jm_pg_args *args, json_t **value, jm_err *err);

#endif
