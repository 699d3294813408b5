/* All routes, and finding in them. */
#include "producer/http/routes.h"

#include <stdio.h>
#include <string.h>

const jm_api_route *const jm_route_tables[] = {
    jm_routes_audit,
    jm_routes_calendars,
    jm_routes_cleanup,
    jm_routes_dead_letters,
    jm_routes_documents,
    jm_routes_jobs,
    jm_routes_keys,
    jm_routes_live,
    jm_routes_locks,
    jm_routes_meta,
    jm_routes_projects,
    jm_routes_schedule_documents,
    jm_routes_schedules,
    jm_routes_session,
    jm_routes_types,
    jm_routes_workers,
    NULL,
};

/* Whether the segments are those of a route's path. */
static bool fits(const char *path, char *const *segments, int n)
{
    for (int i = 0; i < n; i++) {
        if (*path++ != '/')
            return false;
        size_t len = strcspn(path, "/");
        if (*path != '{' && (strlen(segments[i]) != len || memcmp(segments[i], path, len) != 0))
            return false;
        path += len;
    }
    return !*path;
}

static void add_method(char methods[64], const char *method)
{
    size_t used = strlen(methods);
    snprintf(methods + used, 64 - used, "%s%s%s", used ? ", " : "", method,
             strcmp(method, "GET") ? "" : ", HEAD");
}

const jm_api_route *jm_route_find(const char *method, char *const *segments, int n,
                                  char methods[64])
{
    const jm_api_route *found = NULL;
    if (!strcmp(method, "HEAD"))
        method = "GET";
    *methods = 0;
    for (const jm_api_route *const *table = jm_route_tables; *table; table++) {
        for (const jm_api_route *route = *table; route->method; route++) {
            if (!fits(route->path, segments, n))
                continue;
            if (strcmp(route->method, method) != 0)
                add_method(methods, route->method);
            else if (!found || !strchr(route->path, '{')) /* /jobs/search is no /jobs/{id} */
                found = route;
        }
    }
    return found;
}

void jm_routes_print(void)
{
    static const char *const scopes[] = {"none", "read", "submit", "admin"};
    for (const jm_api_route *const *table = jm_route_tables; *table; table++)
        for (const jm_api_route *route = *table; route->method; route++)
            printf("%s /api/v1%s %s%s%s\n", route->method, route->path, scopes[route->scope],
                   route->query ? " " : "", route->query ? route->query : "");
}
