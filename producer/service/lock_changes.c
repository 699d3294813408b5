/* Changes of locks that go to the audit log. */
#include "producer/service/lock_changes.h"

#include "common/buf.h"
#include "common/locks.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/service/change_audit.h"
#include "producer/tx.h"

enum { HOLDERS = 100 /* of a lock, as the audit log shows it */ };

static int note(jm_pg *pg, const char *project, const char *name, const char *action,
                const json_t *before, const json_t *after, const jm_change *change, jm_err *err)
{
    jm_buf id = {0};
    jm_buf_addf(&id, "%s/%s", project, name);
    jm_audit_entry entry = {
        .object = "lock", .object_id = jm_buf_str(&id), .project = project, .action = action};
    int rc = jm_change_audit_values(pg, change, &entry, before, after, err);
    jm_buf_fini(&id);
    return rc;
}

int jm_lock_changes_set(jm_pg *pg, const char *project, const char *name, int64_t capacity,
                        const jm_change *change, jm_err *err)
{
    json_t *before = NULL, *after = json_pack("{s:I}", "capacity", (json_int_t)capacity);
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (!rc) {
        rc = jm_locks_list(pg, project, name, &(jm_page){.limit = HOLDERS}, &before, NULL, err);
        if (!rc)
            rc = jm_locks_set(pg, project, name, capacity, err);
        if (!rc)
            rc = note(pg, project, name, "set", before, after, change, err);
        rc = jm_tx_end(pg, rc, !change->dry_run, err);
    }
    json_decref(before);
    json_decref(after);
    return rc;
}

int jm_lock_changes_force(jm_pg *pg, const char *project, const char *name, const jm_change *change,
                          jm_err *err)
{
    json_t *before = NULL;
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (rc)
        return rc;
    rc = jm_locks_list(pg, project, name, &(jm_page){.limit = HOLDERS}, &before, NULL, err);
    if (!rc)
        rc = jm_locks_force(pg, project, name, err);
    if (!rc)
        rc = note(pg, project, name, "force_release", before, NULL, change, err);
    json_decref(before);
    return jm_tx_end(pg, rc, !change->dry_run, err);
}
