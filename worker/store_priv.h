/* What accept, start and store share. Store thread only, atomics aside. */
#ifndef JM_STORE_PRIV_H
#define JM_STORE_PRIV_H

#include <pthread.h>

#include "worker/shares.h"
#include "worker/store.h"

enum { JM_SLOT_CLASSES = JM_SLOT_ASYNC + 1, JM_ALL_CLASSES = (1 << JM_SLOT_CLASSES) - 1 };

struct jm_store {
    jm_store_options options;
    jm_pg *pg;
    jm_queue *batches;
    pthread_t thread;
    bool started_thread;
    _Atomic bool stopping, done, registered, up;
    /* Sets of slot classes. */
    _Atomic unsigned starved;      /* jobs may be waiting for want of slots: freed ones are news */
    _Atomic unsigned woken;        /* somebody says that jobs may be ready */
    _Atomic int64_t next_ready_us; /* database clock; INT64_MAX: nothing known */
    _Atomic bool *paused;          /* by queue */
    jm_store_counts counts;

    int64_t claim_seq;
    int n_queues;
    jm_shares *shares[JM_SLOT_CLASSES]; /* of the queues in the slots of each class */
    bool accept_first;                  /* whose turn it is when slots are short */
    unsigned maybe_ready;               /* slot classes: something may be ready to start */
    int64_t started_us;                 /* monotonic: when jobs were last looked for */
    int64_t polled_ms;                  /* monotonic: last look at what waits */
    int64_t gauged_ms;                  /* likewise: last look for the gauges */
    char **projects;                    /* sorted; NULL-terminated */
    int n_projects;
    int64_t projects_ms; /* monotonic: when they were read */
};

/* accept.c: decides every record of the batch, commits, hands the started jobs to the runner and
 * the batch to options.accepted. Returns JM_ERR_CLOSED when stopping, with the batch given back. */
int jm_accept(jm_store *store, jm_batch *batch);

/* start.c: starts waiting jobs of all queues as far as slots allow; *more: there may be more at
 * once. */
int jm_start(jm_store *store, unsigned classes, unsigned *more, jm_err *err);

/* Sets the runtime fields of a job that has been started and puts it into chain. */
void jm_store_begin(jm_job *job, jm_claim *claim, jm_job_type *type, jm_chain *chain);

/* Jobs from the columns that start_ready, accept_take and accept_recall give; strings go into
 * arena. */
void jm_store_read_job(const PGresult *res, int row, jm_arena *arena, jm_job *job);
/* For retried jobs: done_steps. */
int jm_store_read_done_steps(jm_store *store, jm_job **jobs, int n, jm_arena *arena, jm_err *err);

/* documents.c: for jobs that have been started and whose types name documents, the newest version
 * of each; returns once it has them, or when stopping. */
void jm_store_give_documents(jm_store *store, const jm_chain *jobs, jm_arena *arena);

/* Waits out a loss of the database or a retriable error. false when stopping. */
bool jm_store_wait_db(jm_store *store);
bool jm_store_wait_ms(jm_store *store, int ms);

#endif
