/* Job types as live workers announce them. */
#ifndef JM_SERVICE_TYPES_H
#define JM_SERVICE_TYPES_H

#include <jansson.h>

#include "common/err.h"

struct jm_pg;
struct jm_page;

/* Columns of job_types in the newest announcement of each, "workers" that can run it and how many
 * "definitions" differ. By name. *next as that
 * of jm_audit_list. */
int jm_types_list(struct jm_pg *pg, const struct jm_page *page, json_t **items, char **next,
                  jm_err *err);
/* One of them. Errors: JM_ERR_NOT_FOUND: no worker has announced it. */
int jm_types_show(struct jm_pg *pg, const char *name, json_t **type, jm_err *err);

#endif
