/* What a worker counts: the families of metrics that its threads count into, a batch at a time. */
#ifndef JM_METERS_H
#define JM_METERS_H

#include "common/metrics.h"
#include "worker/outcome.h"

/* Kinds of transactions. */
typedef enum jm_meter_tx { JM_TX_ACCEPT, JM_TX_START, JM_TX_RECORD, JM_TX_KINDS } jm_meter_tx;

typedef struct jm_meters {
    jm_metric *submitted; /* queue, type, source */
    jm_metric *finished;  /* queue, type, status */
    jm_metric *attempts;  /* type, outcome */
    jm_metric *duration;  /* type */
    jm_metric *wait;      /* queue */
    jm_metric *dead;      /* reason */
    jm_metric *lag;       /* topic, partition */
    jm_metric *pending;   /* state */
    jm_metric *queue;     /* queue, status */
    jm_metric *oldest;    /* queue */
    jm_series *fenced;
    jm_series *rows[JM_TX_KINDS], *seconds[JM_TX_KINDS]; /* of a transaction */
} jm_meters;

jm_meters *jm_meters_new(jm_metrics *metrics);
void jm_meters_free(jm_meters *meters); /* NULL is fine, as in all that follows */

/* A transaction of so many jobs, sent at since_us (monotonic), has been answered. */
void jm_meters_transaction(jm_meters *meters, jm_meter_tx kind, int rows, int64_t since_us);

/* Reports after their commit; passed says which passed the fence. Record thread. */
void jm_meters_recorded(jm_meters *meters, jm_report *const *reports, const bool *passed, int n);

/* How long a job has waited until now_us (database clock) without its deliberate delay: since it
 * was submitted, by its id, or since its run_at. A job that was tried before has waited on purpose:
 * -1. */
int64_t jm_meters_wait_us(const jm_job *job, int64_t now_us);

/* For labels: a type that no file here defines is "other", so that no message can add series. */
const char *jm_meters_type(const struct jm_job_type *type);

#endif
