/* What waits to be recorded, in order: reports in memory, and while the database is away in the
 * worker's spool file. Record thread only, counts aside. */
#ifndef JM_BACKLOG_H
#define JM_BACKLOG_H

#include <stdatomic.h>

#include "common/clock.h"
#include "worker/batch.h"
#include "worker/outcome.h"
#include "worker/spool.h"

typedef struct jm_backlog jm_backlog;

/* Of the spool and what is kept instead of it; readable from any thread. */
typedef struct jm_spool_counts {
    _Atomic int64_t bytes;        /* now in this worker's spool file */
    _Atomic int64_t waiting;      /* reports that wait now, in memory or in the file */
    _Atomic int64_t spooled;      /* reports written to the file since the start */
    _Atomic int64_t replayed;     /* reports recorded from spool files, of other workers as well */
    _Atomic int64_t dropped_logs; /* log rows that there was no room for */
    _Atomic int64_t errors;       /* batches that the disk did not take */
} jm_spool_counts;

typedef struct jm_backlog_options {
    jm_uuid worker_id;
    const char *dir;      /* of spools; NULL: none, everything waits in memory */
    int64_t spool_bytes;  /* most that the file may hold */
    int64_t memory_bytes; /* waiting in memory above which log rows are dropped */
    const jm_db_clock *clock;
    jm_spool_counts *counts; /* borrowed */
} jm_backlog_options;

jm_backlog *jm_backlog_new(const jm_backlog_options *options);
void jm_backlog_free(jm_backlog *backlog); /* what is in memory is lost, the file stays */

/* Makes the file, if there is a directory. A failure is logged and tried again later. */
void jm_backlog_open(jm_backlog *backlog);
void jm_backlog_add(jm_backlog *backlog, jm_chain *reports); /* takes them all */
bool jm_backlog_is_empty(const jm_backlog *backlog);
bool jm_backlog_is_spooled(const jm_backlog *backlog); /* older reports are to be replayed first */
size_t jm_backlog_in_memory(const jm_backlog *backlog);

/* Keeps what waits through an outage: in the file, when now is set or there is much of it; if that
 * cannot be, in memory, without log rows as far as there is too much. */
void jm_backlog_keep(jm_backlog *backlog, bool now);

/* The next reports, of distinct jobs, at most max, in the order of waiting. They are the caller's
 * until jm_backlog_settle, which frees those that are done and keeps the others where they were. */
int jm_backlog_next(jm_backlog *backlog, jm_report **reports, int max);
void jm_backlog_settle(jm_backlog *backlog, jm_report **reports, const bool *done, int n);

/* Of another worker's spool: reads up to max reports of distinct jobs. */
int jm_backlog_read(jm_spool *spool, jm_report **reports, int max);

#endif
