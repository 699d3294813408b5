/* The job message (docs/protocol.md): a Kafka record becomes a job, or a reason why it cannot. */
#ifndef JM_JOB_MESSAGE_H
#define JM_JOB_MESSAGE_H

#include "common/buf.h"
#include "common/err.h"
#include "common/job.h"
#include "common/mem.h"

typedef struct jm_header {
    const char *name;
    const void *value; /* NULL for a null header */
    size_t len;
} jm_header;

/* A Kafka record as librdkafka gives it; all borrowed. */
typedef struct jm_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    const void *key; /* NULL when absent */
    size_t key_len;
    const void *value; /* NULL for a tombstone */
    size_t value_len;
    const jm_header *headers;
    size_t n_headers;
} jm_record;

/* The record's first header of that name (case matters), or NULL. */
const jm_header *jm_record_header(const jm_record *record, const char *name);

/* Headers of a dead letter that is sent again: the id of the job to come of it, where its value
 * names none, and the id of the dead letter. */
#define JM_REDRIVE_HEADER     "jobmill-redrive"
#define JM_DEAD_LETTER_HEADER "jobmill-dead-letter"

#define JM_MESSAGE_BYTES_MAX ((size_t)1 << 20)

typedef struct jm_message_limits {
    size_t max_bytes; /* of the value; 0: JM_MESSAGE_BYTES_MAX */
    int64_t now_ms;   /* the database's clock, for bad_time; 0: no check of times */
} jm_message_limits;

/* Parses and validates one record (plain JSON, CloudEvents binary or structured) into job, which is
 * overwritten whole. Strings go into arena, none borrows from the record. job->queue is left NULL
 * for the caller. job->id is always set: the message's UUIDv7 or the id derived from the record. A
 * record with the header jobmill-job sets from_relay and id only (from its value only the type is
 * taken, if it can be). On
 * failure returns JM_ERR_INVALID with err->field and a message that says how to mend it, and sets
 * *reason to the dead-letter code: bad_json, unknown_field, bad_field, missing_field, bad_time,
 * too_large, empty; job->id is then the id derived from the record, for the dead letter. limits may
 * be NULL. Thread-safe, does not block. */
int jm_job_message_parse(const jm_record *record, const jm_message_limits *limits, jm_arena *arena,
                         jm_job *job, const char **reason, jm_err *err);

/* Appends the message of a job as the relay publishes it: compact JSON with the fields that are
 * set. */
void jm_job_message_write(const jm_job *job, jm_buf *out);

#endif
