/* The tables of routes, one a noun. */
#ifndef JM_HTTP_ROUTES_H
#define JM_HTTP_ROUTES_H

#include "producer/http/request.h"

extern const jm_api_route jm_routes_audit[];
extern const jm_api_route jm_routes_calendars[];
extern const jm_api_route jm_routes_jobs[];
extern const jm_api_route jm_routes_keys[];
extern const jm_api_route jm_routes_cleanup[];
extern const jm_api_route jm_routes_dead_letters[];
extern const jm_api_route jm_routes_documents[];
extern const jm_api_route jm_routes_live[];
extern const jm_api_route jm_routes_locks[];
extern const jm_api_route jm_routes_meta[];
extern const jm_api_route jm_routes_projects[];
extern const jm_api_route jm_routes_session[];
extern const jm_api_route jm_routes_schedule_documents[];
extern const jm_api_route jm_routes_schedules[];
extern const jm_api_route jm_routes_types[];
extern const jm_api_route jm_routes_workers[];

/* All of them; ended by NULL. */
extern const jm_api_route *const jm_route_tables[];

/* Finds the route of a path below /api/v1, whose segments are decoded, n of them. NULL: there is
 * none; *methods (may be NULL) then names those that the path takes, or is "". */
const jm_api_route *jm_route_find(const char *method, char *const *segments, int n,
                                  char methods[64]);
/* Writes a line for each: method, path, scope, and the parameters it takes. */
void jm_routes_print(void);

#endif
