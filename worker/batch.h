/* A batch: the records of one queue on their way from Kafka to PostgreSQL, parsed and sorted; and
 * the claim, which is what remains of it while the jobs that it started run. */
#ifndef JM_BATCH_H
#define JM_BATCH_H

#include <librdkafka/rdkafka.h>

#include "common/job_message.h"
#include "common/queue.h"

/* What became of a record; the store decides. */
typedef enum jm_fate {
    JM_FATE_OPEN,    /* not decided yet */
    JM_FATE_STARTED, /* its job runs here */
    JM_FATE_WAITS,   /* its job waits in pending_jobs */
    JM_FATE_KNOWN, /* a redelivery, a duplicate, or a relay's record of a job that is taken: nothing
                      to do */
    JM_FATE_DEAD   /* a dead letter */
} jm_fate;

typedef struct jm_batch_record {
    rd_kafka_message_t *message; /* owned by the batch */
    jm_job *job;                 /* in the arena; NULL if the record could not be parsed */
    jm_uuid id;                  /* the job's, or that of the dead letter */
    jm_fate fate;
    int place;   /* in the order in which records came: within a partition, that of their offsets */
    bool again;  /* names a job that another record has made: only compared with it */
    bool by_key; /* ... by its dedup_key alone: it need not be the same job */
    jm_uuid known_as;   /* the id of that job */
    const char *reason; /* dead letters: code */
    const char *field;  /* dead letters: or NULL */
    const char *detail; /* dead letters */
} jm_batch_record;

typedef struct jm_batch {
    jm_node node;
    int queue; /* index into the worker's queues */
    jm_arena *arena;
    jm_batch_record *records;
    int n, cap;
    size_t bytes;
} jm_batch;

jm_batch *jm_batch_new(int queue);
/* Takes the message, parses it. limits as jm_job_message_parse has them. */
void jm_batch_add(jm_batch *batch, rd_kafka_message_t *message, const jm_message_limits *limits);
/* Sorts by id and marks all but the first record of each id. */
void jm_batch_sort(jm_batch *batch);
/* The record of an id, or NULL. The batch must be sorted; hint is where the last search ended. */
jm_batch_record *jm_batch_find(jm_batch *batch, const jm_uuid *id, int *hint);
void jm_batch_mark_dead(jm_batch *batch, jm_batch_record *record, const char *reason,
                        const jm_err *err);
void jm_batch_free(jm_batch *batch);

/* Jobs started together: a row of claims, or several. The store makes it, the record thread owns it
 * afterwards. */
typedef struct jm_claim {
    int64_t seq;     /* key of its first row, with the worker's id; the others follow */
    int n_seqs;      /* rows: one a transaction, and a batch that was halved took several */
    int left;        /* jobs not yet recorded in full */
    jm_arena *arena; /* where the jobs live */
} jm_claim;

jm_claim *jm_claim_new(int64_t seq, int n_seqs, jm_arena *arena); /* takes the arena */
void jm_claim_free(jm_claim *claim);

#endif
