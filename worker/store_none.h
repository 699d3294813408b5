/* The store without a database (promise 8): jobs run straight from their records, at least once. A
 * record counts as read when the outcome of its job, or its dead letter, has been acknowledged by
 * Kafka; offsets follow contiguously. What waits for a slot or for its retry waits in memory. */
#ifndef JM_STORE_NONE_H
#define JM_STORE_NONE_H

#include "common/clock.h"
#include "common/config.h"
#include "worker/intake.h"
#include "worker/runner.h"
#include "worker/slots.h"
#include "worker/store.h"
#include "worker/type_dir.h"

typedef struct jm_store_none jm_store_none;

typedef struct jm_store_none_options {
    const jm_config *config;
    jm_uuid worker_id;
    const jm_db_clock *clock;
    const char *const *queues; /* NULL-terminated; borrowed */
    jm_type_dir *types;
    jm_slots *slots;
    jm_runner *runner;
    struct jm_meters *meters;
    struct jm_recent *recent;
    struct jm_pulse *pulse;
    int max_waiting; /* jobs in memory above which no more batches are taken */
    /* Called from the store's thread: everything of the partition before next_offset is done. */
    void (*done)(void *ctx, int queue, int32_t partition, int64_t next_offset);
    void *ctx;
} jm_store_none_options;

typedef struct jm_store_none_counts {
    _Atomic int64_t completed, failed, retried, expired, dead;
} jm_store_none_counts;

/* The queue of reports for the runner; borrowed, made before the store because the runner comes
 * first. */
int jm_store_none_new(const jm_store_none_options *options, jm_queue *reports, jm_store_none **out,
                      jm_err *err);
int jm_store_none_start(jm_store_none *none, jm_err *err);

/* Any thread. */
jm_intake jm_store_none_intake(jm_store_none *none);
void jm_store_none_slots_freed(jm_store_none *none);
const jm_store_none_counts *jm_store_none_get_counts(const jm_store_none *none);

/* Takes and starts nothing more from its return on; what waits is let go, since Kafka has it.
 * Reports and acknowledgements are still served. Blocks for a moment. */
void jm_store_none_quiesce(jm_store_none *none);
/* The runner has ended all jobs: waits up to timeout_ms for what is still to be acknowledged, then
 * ends the thread. Returns how many outcomes were not; their jobs will run again. */
int jm_store_none_stop(jm_store_none *none, int timeout_ms);
void jm_store_none_free(jm_store_none *none);

#endif
