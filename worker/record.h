/* The thread that writes down what attempts had to say: fenced updates of jobs with their steps and
 * logs, a batch a transaction, on a connection of its own. It owns started jobs once they are
 * reported. While the database is away it keeps reports in memory and then in a spool file, and it
 * replays what workers that are gone have left in theirs. */
#ifndef JM_RECORD_H
#define JM_RECORD_H

#include <stdatomic.h>

#include "common/events.h"
#include "common/pg.h"
#include "common/queue.h"
#include "worker/backlog.h"
#include "worker/meters.h"
#include "worker/recent.h"

typedef struct jm_recorder jm_recorder;

typedef struct jm_record_options {
    jm_uuid worker_id;
    const char *conninfo, *schema;
    jm_db_clock *clock;
    int batch_rows;    /* most jobs a transaction */
    jm_meters *meters; /* may be NULL, and so may recent and pulse */
    jm_recent *recent;
    jm_events *events; /* NULL: none */
    jm_pulse *pulse;
    int lease_s;
    const char *spool_dir;   /* or NULL */
    int64_t spool_max_bytes; /* of this worker's file */
    int64_t memory_bytes;    /* of reports waiting in memory */
    /* Called when a job was put back to be started again at db_us. */
    void (*ready_at)(void *ctx, int64_t db_us);
    /* Called when jobs of a queue that waited for others, or for a lock, have become ready to
     * start. */
    void (*queue_ready)(void *ctx, const char *queue);
    int (*running)(void *ctx); /* jobs in flight, whose reports may follow; NULL: none */
    /* When the lease was renewed last (monotonic, ms; 0: never), and a request to renew it now. */
    int64_t (*renewed_ms)(void *ctx);
    void (*renew)(void *ctx);
    void *ctx;
} jm_record_options;

typedef struct jm_record_counts {
    _Atomic int64_t completed, failed, retried, returned, superseded;
} jm_record_counts;

jm_recorder *jm_recorder_new(const jm_record_options *options);
jm_queue *jm_recorder_queue(jm_recorder *recorder); /* of jm_report; borrowed */
/* Makes the spool file as well: not before the process has forked its helpers, which would hold its
 * lock. */
int jm_recorder_start(jm_recorder *recorder, jm_err *err);
const jm_record_counts *jm_recorder_get_counts(const jm_recorder *recorder);
const jm_spool_counts *jm_recorder_get_spool_counts(const jm_recorder *recorder);
/* So much waits that nothing new should be accepted. Any thread. */
bool jm_recorder_is_behind(jm_recorder *recorder);

/* Refuses further reports and lets the thread end once those there are recorded, or, when the
 * database is away or does not answer for patience_ms, in the spool; and in any case after
 * timeout_ms. Does not wait. */
void jm_recorder_close(jm_recorder *recorder, int timeout_ms, int patience_ms);
void jm_recorder_hurry(jm_recorder *recorder); /* what waits for the database waits no longer */
bool jm_recorder_is_done(const jm_recorder *recorder);
/* What is left when it is done. */
typedef struct jm_record_rest {
    int64_t spooled;    /* reports in the spool */
    int64_t unrecorded; /* reports that are lost with this process */
} jm_record_rest;
/* Waits for the thread's end. */
jm_record_rest jm_recorder_stop(jm_recorder *recorder);
void jm_recorder_free(jm_recorder *recorder);

#endif
