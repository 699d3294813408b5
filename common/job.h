/* A job in memory, and the table of its status transitions. */
#ifndef JM_JOB_H
#define JM_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/queue.h"
#include "common/uuid7.h"

typedef enum jm_job_status {
    JM_JOB_PENDING,
    JM_JOB_RUNNING,
    JM_JOB_COMPLETED,
    JM_JOB_FAILED,
    JM_JOB_CANCELLED,
    JM_JOB_EXPIRED
} jm_job_status;

const char *jm_job_status_text(jm_job_status status); /* as in jobs.status */
bool jm_job_status_parse(const char *text, jm_job_status *out);
bool jm_job_status_is_terminal(jm_job_status status);
/* Whether the table of transitions allows it: pending -> running, cancelled, expired, failed;
 * running -> any terminal, or back to pending; terminal -> nothing. */
bool jm_job_status_may(jm_job_status from, jm_job_status to);

#define JM_PRIORITY_DEFAULT 4

/* Beginning of the names of locks that stand for ordering keys: "order:<type>/<key>". */
#define JM_ORDER_LOCK "order:"
/* And of those under which jobs of a schedule run one after the other: "schedule:<id>". */
#define JM_SCHEDULE_LOCK "schedule:"

/* Strings are NUL-terminated and live in the arena of whoever made the job; NULL when absent. JSON
 * values are raw text, exactly as submitted (so no number loses a digit); PostgreSQL's jsonb and
 * the handlers read them. */
typedef struct jm_job {
    jm_node node;                 /* travels through queues */
    struct jm_claim *claim;       /* the batch it was started in (worker), or NULL */
    struct jm_job_type *job_type; /* definition it runs by (worker; a counted reference), or NULL */
    void *origin;                 /* what a store without a database keeps of it, or NULL */

    jm_uuid id;
    bool has_id;     /* the message named a UUIDv7; otherwise the id is derived from the record */
    bool from_relay; /* the record names a row (header jobmill-job) and never makes one */
    const char *external_id;
    const char *type;
    const char *project;
    const char *queue;
    const char *profile;
    const char *params; /* raw JSON object, "{}" by default */
    size_t params_len;
    const char *metadata; /* raw JSON object of scalars, or NULL */
    size_t metadata_len;
    const char *key; /* ordering key: field key, or the record's key */
    const char *exclusive;
    const char *dedup_key;
    const char *callback_url;
    const char *depends_on; /* raw JSON array, or NULL */
    const char *trace_context;
    const char *submitted_by;
    const char *request_id; /* of the HTTP request that it came with */
    int priority;
    int attempt;         /* number of this start */
    int max_attempts;    /* 0: as the type says */
    int timeout_s;       /* 0: as the type says */
    int64_t run_at_us;   /* UTC microseconds since 1970; 0: none */
    int64_t start_by_us; /* 0: none */
    bool has_schedule;
    jm_uuid schedule_id;
    int64_t due_at_us;       /* 0: none */
    int64_t lock_token;      /* of the lock that this attempt holds; 0: it needs none */
    const char *done_steps;  /* raw JSON {"step name": data} of steps that succeeded in earlier
                                attempts, or NULL */
    const char *documents;   /* raw JSON {"name": body} of those its type names, or NULL: it names
                                none, or they have not been read */
    const char *no_document; /* the first of those that its project does not have, or NULL */
} jm_job;

#endif
