/* What record (the thread) and record_tx (one transaction) share. Record thread only. */
#ifndef JM_RECORD_PRIV_H
#define JM_RECORD_PRIV_H

#include <pthread.h>

#include "common/dependents.h"
#include "worker/backlog.h"
#include "worker/record.h"

struct jm_recorder {
    jm_record_options options;
    jm_pg *pg;
    jm_queue *queue;
    pthread_t thread;
    bool started_thread;
    _Atomic bool closing, done;
    _Atomic int64_t give_up_ms;  /* monotonic: the end, whatever is left; INT64_MAX: never */
    _Atomic int64_t patience_ms; /* monotonic: the end if nothing is recorded before */
    _Atomic int64_t in_backlog;  /* reports in memory, for jm_recorder_is_behind */
    _Atomic bool spooled;        /* older reports are to be replayed first */
    bool in_doubt;       /* the answer to a commit was lost: what is tried again may be recorded */
    int64_t recorded_us; /* monotonic: when the last transaction began */
    int64_t unrecorded;
    jm_record_counts counts;
    jm_spool_counts spool_counts;
    jm_backlog *backlog;
    jm_dependents dependents; /* of jobs that have been recorded as ended */
    int64_t away_ms;          /* monotonic: since when the database is away; 0: it is not */
    int64_t back_ms;          /* monotonic: since when it is back and the lease not renewed; 0 */
    jm_spool *orphan;         /* of a worker that is gone, being recorded; or NULL */
    int64_t orphan_reports;
    int64_t orphan_renew_ms; /* monotonic: when to renew its worker's lease again */
    int64_t scan_ms;         /* monotonic: when to look for the next one */
};

/* Reports of distinct jobs, in the order of their ids once run. */
typedef struct jm_record_group {
    jm_recorder *recorder;
    const jm_uuid *worker_id; /* whose attempts they were: part of the fence */
    jm_report **reports;
    bool *passed; /* of each: its job passed the fence */
    bool *done;   /* of each: recorded, or nothing is left to do about it */
    int n;
} jm_record_group;

/* Records the group. false: the database was lost or does not want it now; those that are not done
 * are to be tried again, which is safe in any case. */
bool jm_record_group_run(jm_record_group *g);
/* An instant of the report by PostgreSQL's clock. */
int64_t jm_record_at(const jm_recorder *recorder, const jm_report *report, int64_t us);

#endif
