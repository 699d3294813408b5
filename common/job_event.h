/* The text of an event about a job: CloudEvents 1.0, structured mode, as schema/asyncapi.yaml has
 * it. */
#ifndef JM_JOB_EVENT_H
#define JM_JOB_EVENT_H

#include "common/buf.h"
#include "common/uuid7.h"

#define JM_EVENT_CONTENT_TYPE "application/cloudevents+json"

enum { JM_EVENT_RESULT_MAX = 65536 }; /* a larger result is left out, which the event says */

/* Texts are valid UTF-8 and NUL-terminated, and NULL where there is none; instants are microseconds
 * since 1970, 0: none; numbers are -1 where there is none. All borrowed. */
typedef struct jm_job_event {
    const char *what; /* started completed failed cancelled expired retried returned progress */
    int64_t at_us;    /* when it happened */
    const jm_uuid *id;
    const char *status; /* of the job now, as in jobs.status */
    const char *project, *type, *queue;
    int attempt;
    const char *external_id;
    const jm_uuid *schedule_id; /* or NULL */
    int64_t due_at_us, started_at_us, completed_at_us, run_at_us;
    int64_t duration_ms;
    int64_t items_total, items_ok, items_failed;
    const char *error;
    const char *result; /* raw JSON */
    const char *trace_context;
} jm_job_event;

/* The text of an instant, remembered up to its second, since events of a batch mostly share it;
 * {0} remembers nothing. */
typedef struct jm_event_time {
    int64_t second;
    char text[20];
} jm_event_time;

/* Appends one event. */
void jm_job_event_write(jm_buf *out, jm_event_time *time, const jm_job_event *event);

#endif
