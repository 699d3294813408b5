/* Reading the audit log. change_audit.h writes it. */
#ifndef JM_SERVICE_AUDIT_H
#define JM_SERVICE_AUDIT_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"

struct jm_pg;

/* Every member may be NULL or 0: any. */
typedef struct jm_audit_filter {
    const char *object, *object_id, *actor, *action, *source, *project, *request_id;
    int64_t from_us, to_us; /* from then on; before then */
    const char *cursor;     /* as *next of the page before */
    int64_t limit, offset;
    int64_t *total; /* as of jm_page */
} jm_audit_filter;

/* Newest first, with the columns of audit_log, secrets masked. *next: where the next page begins,
 * the caller frees; NULL: there is none. Errors: JM_ERR_INVALID with field "cursor". */
int jm_audit_list(struct jm_pg *pg, const jm_audit_filter *filter, json_t **items, char **next,
                  jm_err *err);

#endif
