/* A round of the sync with another system: fetch its document of schedules, and make ours, those
 * that the sync owns, what it says. */
#ifndef JM_SERVICE_SCHEDULE_SYNC_ROUND_H
#define JM_SERVICE_SCHEDULE_SYNC_ROUND_H

#include <stdatomic.h>

#include "common/config.h"
#include "producer/service/schedule_changes.h"

struct jm_pg;

typedef struct jm_sync_options {
    const char *source;       /* http(s) URL, directory or file */
    const char *headers_file; /* for a URL; NULL: none */
    const char *project;      /* all must be in it; NULL: any */
    int max_deletes_percent;  /* of what the sync owns; more, and more than 5, are refused */
    int interval_s;           /* only when the last round was so long ago; 0: now */
    bool always_compare;      /* also when nothing has changed upstream since the last success */
    bool allow_deletes;       /* however many */
    bool dry_run;
    const _Atomic bool *stop; /* gives up fetching once it is set; or NULL */
    /* Is given what is about to be done (or would be, or is refused); may be NULL. */
    void (*show)(void *ctx, const jm_schedule_changes *changes);
    void *ctx;
} jm_sync_options;

typedef enum jm_sync_outcome {
    JM_SYNC_CHANGED,
    JM_SYNC_UNCHANGED,
    JM_SYNC_REFUSED, /* too many deletions: nothing was changed */
    JM_SYNC_FAILED,  /* nothing was changed; message says why */
    JM_SYNC_BUSY,    /* somebody else is at it */
    JM_SYNC_NOT_DUE
} jm_sync_outcome;

typedef struct jm_sync_result {
    jm_sync_outcome outcome;
    bool told; /* the round before failed for the same reason */
    size_t added, changed, deleted;
    int64_t wait_ms; /* JM_SYNC_NOT_DUE: until it is */
    jm_buf message;  /* of a failure: lines; of a refusal: a sentence */
} jm_sync_result;

/* As the section [schedule_sync] says; source is NULL where there is no sync. Borrows config. */
void jm_sync_options_init(jm_sync_options *options, const jm_config *config);

/* One round; blocks for the fetch (30 s) and the transaction. One program at a time acts, whichever
 * has the advisory lock; what came of it is kept in table schedule_syncs unless it is a dry run.
 * The caller ends the result with jm_sync_result_fini, also after an error. Errors: those of the
 * database; all others are an outcome. */
int jm_schedule_sync_round(struct jm_pg *pg, const jm_sync_options *options, jm_sync_result *result,
                           jm_err *err);
void jm_sync_result_fini(jm_sync_result *result);

#endif
