/* A row of the audit log for a change, in the transaction of the change. */
#ifndef JM_SERVICE_CHANGE_AUDIT_H
#define JM_SERVICE_CHANGE_AUDIT_H

#include <jansson.h>

#include "common/err.h"
#include "producer/service/change.h"

struct jm_pg;
struct jm_pg_args;

/* What was changed. Strings are borrowed; before and after are JSON or NULL. */
typedef struct jm_audit_entry {
    const char *object, *object_id, *action;
    const char *project; /* NULL: the one that after or before names, if any */
    int version;         /* 0: the change made none */
    const char *before, *after;
} jm_audit_entry;

/* As it is: what makes a version must give it back unchanged. */
int jm_change_audit(struct jm_pg *pg, const jm_change *change, const jm_audit_entry *entry,
                    jm_err *err);
/* For what makes no version: before and after are these (or NULL), with secrets masked. */
int jm_change_audit_values(struct jm_pg *pg, const jm_change *change, const jm_audit_entry *entry,
                           const json_t *before, const json_t *after, jm_err *err);
/* The parameters of audit_insert that follow the time: from where the change came. */
void jm_change_audit_origin(struct jm_pg_args *args, const jm_change *change, const char *project);

#endif
