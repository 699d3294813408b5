/* A row of the audit log for a change, in the transaction of the change. */
#ifndef JM_SERVICE_CHANGE_AUDIT_H
#define JM_SERVICE_CHANGE_AUDIT_H

#include "common/err.h"
#include "producer/service/change.h"

struct jm_pg;

/* What was changed. Strings are borrowed; before and after are JSON or NULL. */
typedef struct jm_audit_entry {
    const char *object, *object_id, *action;
    int version; /* 0: the change made none */
    const char *before, *after;
} jm_audit_entry;

int jm_change_audit(struct jm_pg *pg, const jm_change *change, const jm_audit_entry *entry,
                    jm_err *err);

#endif
