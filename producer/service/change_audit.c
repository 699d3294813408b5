/* Rows of the audit log. */
#include "producer/service/change_audit.h"

#include "common/pg.h"

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
    return jm_pg_query(pg, &jm_sql_audit_insert, &args, NULL, err);
}
