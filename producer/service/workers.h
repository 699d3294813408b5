/* Workers and producers that have registered. */
#ifndef JM_SERVICE_WORKERS_H
#define JM_SERVICE_WORKERS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

struct jm_pg;
struct jm_page;

/* Columns of workers and "alive". all: also those that have stopped or are lost. Workers first,
 * those that started earlier first. *next as that of jm_audit_list. */
int jm_workers_list(struct jm_pg *pg, bool all, const struct jm_page *page, json_t **items,
                    char **next, jm_err *err);
/* One of them, whatever has become of it. Errors: JM_ERR_NOT_FOUND. */
int jm_workers_show(struct jm_pg *pg, const char *id, json_t **worker, jm_err *err);

#endif
