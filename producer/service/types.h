/* Job types as live workers announce them. */
#ifndef JM_SERVICE_TYPES_H
#define JM_SERVICE_TYPES_H

#include <jansson.h>

#include "common/err.h"

struct jm_pg;

/* Columns of job_types in the newest announcement of each, "workers" that can run it and how many
 * "definitions" differ. name NULL: all. */
int jm_types_list(struct jm_pg *pg, const char *name, json_t **items, jm_err *err);
/* One of them. Errors: JM_ERR_NOT_FOUND: no worker has announced it. */
int jm_types_show(struct jm_pg *pg, const char *name, json_t **type, jm_err *err);

#endif
