/* Importing a document of schedules: one transaction makes the database what it says. Behind the
 * command line, and behind the sync with another system. */
#ifndef JM_SERVICE_SCHEDULE_IMPORT_H
#define JM_SERVICE_SCHEDULE_IMPORT_H

#include <stdint.h>

#include "producer/service/change.h"
#include "producer/service/schedule_changes.h"

struct jm_pg;

typedef struct jm_schedule_import {
    const jm_schedule_document *document;
    /* A sync owns what it makes (source sync): it changes and deletes only that, and a schedule of
     * its document that is somebody else's is a conflict. Otherwise people's are changed, what is
     * added has the source import, and one that a sync owns may not differ. */
    bool sync;
    bool joined;         /* inside a transaction of the caller, who ends it; no prune then */
    bool prune;          /* delete what the document has not: of its projects, or (sync) of ours */
    const char *project; /* all must be in it, and only there is anything deleted; NULL: any */
    int preview;         /* instants shown of each change; 0: none */
    /* Is told how far a stage has come; may be NULL. */
    void (*progress)(void *ctx, const char *stage, size_t done, size_t of);
    void *ctx;
} jm_schedule_import;

/* Finds what is to change, and judges all of it; writes nothing. A definition that leaves no
 * instant to come is no error: it has ended. *out is NULL on failure. Errors: JM_ERR_INVALID with
 * all that is wrong in findings, also where some were there before, of what is no longer in the
 * document; those of the database, in err. */
int jm_schedule_import_find(struct jm_pg *pg, const jm_schedule_import *import,
                            jm_schedule_changes **out, jm_findings *findings, jm_err *err);

/* Does it, all or nothing, with a retry when PostgreSQL gave way to somebody else. change->dry_run:
 * and takes it back. Errors: JM_ERR_CONFLICT when somebody has changed a schedule since it was
 * found; those of the database. */
int jm_schedule_import_apply(struct jm_pg *pg, const jm_schedule_import *import,
                             const jm_schedule_changes *changes, const jm_change *change,
                             jm_err *err);

#endif
