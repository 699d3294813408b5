/* The thread between Kafka and PostgreSQL: accepts batches of records and starts waiting jobs, in
 * turn, on one connection. It takes the slots. */
#ifndef JM_STORE_H
#define JM_STORE_H

#include <stdatomic.h>

#include "common/events.h"
#include "common/pg.h"
#include "worker/intake.h"
#include "worker/meters.h"
#include "worker/runner.h"
#include "worker/slots.h"
#include "worker/type_dir.h"

typedef struct jm_store jm_store;

typedef struct jm_store_options {
    jm_uuid worker_id;
    const char *conninfo, *schema;
    jm_db_clock *clock;
    const char *const *queues; /* NULL-terminated; borrowed */
    const int *weights;        /* of each queue; borrowed */
    jm_type_dir *types;
    jm_slots *slots;
    jm_runner *runner;
    const _Atomic int64_t *locks_until_us; /* jm_boot_us() until which jobs with a lock may start */
    /* Asked before anything is accepted or started: whether too much waits to be recorded. */
    bool (*is_behind)(void *ctx);
    jm_meters *meters; /* may be NULL, and so may pulse */
    jm_pulse *pulse;
    jm_events *events; /* NULL: none */
    int max_waiting;   /* waiting jobs of a queue above which it is paused */
    /* Called from the store's thread when a batch has been accepted: its offsets may be stored. The
     * callee owns the batch. */
    void (*accepted)(void *ctx, jm_batch *batch);
    void *ctx;
} jm_store_options;

jm_store *jm_store_new(const jm_store_options *options);
int jm_store_start(jm_store *store, jm_err *err);
/* Lets it begin to claim: the worker's lease is there (from the lease thread). */
void jm_store_set_registered(jm_store *store);

/* Any thread. */
jm_intake jm_store_intake(jm_store *store); /* where the consumer's batches go */
void jm_store_wake(jm_store *store);        /* something may have become ready */
/* Wakes it if jobs may wait for slots of this class. */
void jm_store_slots_freed(jm_store *store, jm_slot_class slot_class);
void jm_store_ready_at(jm_store *store, int64_t db_us); /* a job will be ready then */
bool jm_store_is_up(jm_store *store);                   /* whether it reaches the database */

typedef struct jm_store_counts {
    _Atomic int64_t accepted, started, waiting, known, dead; /* records and jobs since the start */
} jm_store_counts;
const jm_store_counts *jm_store_get_counts(const jm_store *store);

/* Stops accepting and starting; a statement in flight may take within_ms more. Does not wait. Said
 * again with less, it is less. */
void jm_store_close(jm_store *store, int within_ms);
bool jm_store_is_done(jm_store *store);
/* Closes it if that was not done and waits for the thread's end. Batches not accepted are dropped:
 * Kafka has them. */
void jm_store_stop(jm_store *store);
void jm_store_free(jm_store *store);

#endif
