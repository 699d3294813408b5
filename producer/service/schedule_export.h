/* Exporting schedules: what jm_schedule_import_find compares with. */
#ifndef JM_SERVICE_SCHEDULE_EXPORT_H
#define JM_SERVICE_SCHEDULE_EXPORT_H

#include <jansson.h>

#include "common/err.h"

struct jm_pg;

/* The document of a project's schedules and calendars (NULL: of all), in the order of project and
 * name. The caller drops the reference. Errors: JM_ERR_NOT_FOUND (project), those of the database.
 */
int jm_schedule_export(struct jm_pg *pg, const char *project, json_t **document, jm_err *err);

#endif
