/* Events about the jobs of a worker, from what it has committed. */
#ifndef JM_JOB_EVENTS_H
#define JM_JOB_EVENTS_H

#include "common/clock.h"
#include "common/events.h"
#include "worker/outcome.h"

/* Reports after their commit; passed says which passed the fence. events NULL is fine. */
void jm_job_events_recorded(jm_events *events, const jm_db_clock *clock, jm_report *const *reports,
                            const bool *passed, int n);
/* Jobs that have been claimed and are about to run; published with [events] publish = all. */
void jm_job_events_started(jm_events *events, const jm_db_clock *clock, const jm_chain *jobs);

/* The text of the event that ends a job, for a worker that has no database to say it. */
void jm_job_events_write(jm_buf *out, const jm_db_clock *clock, const jm_report *report);
void jm_job_events_write_expired(jm_buf *out, const jm_db_clock *clock, const jm_job *job);

#endif
