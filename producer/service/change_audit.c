/* Rows of the audit log. */
#include "producer/service/change_audit.h"

#include <stdlib.h>

#include "common/json_exact.h"
#include "common/pg.h"
#include "producer/service/audit_mask.h"

void jm_change_audit_origin(jm_pg_args *args, const jm_change *change, const char *project)
{
    jm_pg_arg_text(args, change->address);
    jm_pg_arg_text(args, change->request_id);
    jm_pg_arg_text(args, project);
}

int jm_change_audit(jm_pg *pg, const jm_change *change, const jm_audit_entry *entry, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, entry->object);
    jm_pg_arg_text(&args, entry->object_id);
    if (entry->version)
        jm_pg_arg_i32(&args, entry->version);
    else
        jm_pg_arg_text(&args, NULL);
    jm_pg_arg_text(&args, entry->action);
    jm_pg_arg_text(&args, entry->before);
    jm_pg_arg_text(&args, entry->after);
    jm_pg_arg_text(&args, change->actor);
    jm_pg_arg_text(&args, change->source);
    jm_pg_arg_text(&args, change->reason);
    jm_pg_arg_text(&args, NULL); /* now */
    jm_change_audit_origin(&args, change, entry->project);
    return jm_pg_query(pg, &jm_sql_audit_insert, &args, NULL, err);
}

/* NULL gives NULL; the caller frees. */
static char *masked_text(const json_t *value)
{
    if (!value)
        return NULL;
    json_t *copy = json_deep_copy(value);
    jm_audit_mask(copy);
    char *text = jm_json_exact_dump(copy, JSON_COMPACT);
    json_decref(copy);
    return text;
}

int jm_change_audit_values(jm_pg *pg, const jm_change *change, const jm_audit_entry *entry,
                           const json_t *before, const json_t *after, jm_err *err)
{
    char *was = masked_text(before), *is = masked_text(after);
    jm_audit_entry row = *entry;
    row.before = was;
    row.after = is;
    int rc = jm_change_audit(pg, change, &row, err);
    free(was);
    free(is);
    return rc;
}
