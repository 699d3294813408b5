/* Publishes events about jobs and schedules to <prefix>.events, best effort: a bounded queue into a
 * thread with a Kafka producer of its own. Nobody waits for it; what is dropped is counted. */
#ifndef JM_EVENTS_H
#define JM_EVENTS_H

#include <stdbool.h>

#include "common/config.h"
#include "common/job_event.h"
#include "common/metrics.h"
#include "common/watchdog.h"

typedef struct jm_events jm_events;

/* [events] publish */
typedef enum jm_events_level { JM_EVENTS_NONE, JM_EVENTS_ENDED, JM_EVENTS_ALL } jm_events_level;

typedef struct jm_events_options {
    const jm_config *config; /* [topics], [kafka], [events]; borrowed */
    jm_metrics *metrics;     /* may be NULL, and so may pulse */
    jm_pulse *pulse;
} jm_events_options;

/* With publish = none there is nothing: NULL, which all functions take. Starts no thread. */
jm_events *jm_events_new(const jm_events_options *options);
/* Does not wait for Kafka. Errors: JM_ERR_INVALID naming a property of [kafka]. */
int jm_events_start(jm_events *events, jm_err *err);
jm_events_level jm_events_level_of(const jm_events *events);

/* Events on their way; filled by one thread. */
typedef struct jm_event_batch jm_event_batch;
/* NULL where there are no events. */
jm_event_batch *jm_events_open(jm_events *events);
void jm_event_batch_add(jm_event_batch *batch, const jm_job_event *event); /* copies */
/* An event that is written already; subject: events about it are in order where that is kept. */
void jm_event_batch_add_text(jm_event_batch *batch, const jm_uuid *subject, const char *text,
                             size_t len);
/* Hands the batch over (any thread, never blocks); drops it when too much waits already. */
void jm_events_push(jm_events *events, jm_event_batch *batch);

/* Sends what is there for up to timeout_ms, drops the rest, ends the thread. */
void jm_events_stop(jm_events *events, int timeout_ms);
void jm_events_free(jm_events *events);

#endif
