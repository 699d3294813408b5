/* The thread that writes down what attempts had to say: fenced updates of jobs with their steps and
 * logs, a batch a transaction, on a connection of its own. It owns started jobs once they are
 * reported. */
#ifndef JM_RECORD_H
#define JM_RECORD_H

#include <stdatomic.h>

#include "common/pg.h"
#include "common/queue.h"
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
    jm_pulse *pulse;
    /* Called when a job was put back to be started again at db_us. */
    void (*ready_at)(void *ctx, int64_t db_us);
    /* Called when jobs of a queue that waited for others have become ready to start. */
    void (*queue_ready)(void *ctx, const char *queue);
    void *ctx;
} jm_record_options;

typedef struct jm_record_counts {
    _Atomic int64_t completed, failed, retried, returned, superseded;
} jm_record_counts;

jm_recorder *jm_recorder_new(const jm_record_options *options);
jm_queue *jm_recorder_queue(jm_recorder *recorder); /* of jm_report; borrowed */
int jm_recorder_start(jm_recorder *recorder, jm_err *err);
const jm_record_counts *jm_recorder_get_counts(const jm_recorder *recorder);
/* Refuses further reports and waits until those there are recorded, at most timeout_ms; then gives
 * up. Returns how many were not recorded. */
int jm_recorder_stop(jm_recorder *recorder, int timeout_ms);
void jm_recorder_free(jm_recorder *recorder);

#endif
