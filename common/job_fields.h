/* clang-format off */
/* The fields of a job message. Generated from schema/job_fields.json by schema/generate.py:
 * do not edit. */
#ifndef JM_JOB_FIELDS_H
#define JM_JOB_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum jm_job_field {
    JM_JOB_FIELD_TYPE,
    JM_JOB_FIELD_ID,
    JM_JOB_FIELD_PARAMS,
    JM_JOB_FIELD_PROFILE,
    JM_JOB_FIELD_PROJECT,
    JM_JOB_FIELD_PRIORITY,
    JM_JOB_FIELD_KEY,
    JM_JOB_FIELD_EXCLUSIVE,
    JM_JOB_FIELD_RUN_AT,
    JM_JOB_FIELD_START_BY,
    JM_JOB_FIELD_TIMEOUT_S,
    JM_JOB_FIELD_MAX_ATTEMPTS,
    JM_JOB_FIELD_DEDUP_KEY,
    JM_JOB_FIELD_METADATA,
    JM_JOB_FIELD_CALLBACK_URL,
    JM_JOB_FIELD_DEPENDS_ON,
    JM_JOB_FIELDS
} jm_job_field;

typedef enum jm_field_kind {
    JM_FIELD_NAME, /* lower-case letters, digits, '.', '_' and '-', the first one a letter or digit */
    JM_FIELD_ID, /* UUIDv7 or any other string */
    JM_FIELD_STRING, /* text */
    JM_FIELD_INTEGER, /* an integer */
    JM_FIELD_TIME, /* RFC 3339 */
    JM_FIELD_OBJECT, /* a JSON object */
    JM_FIELD_SCALARS, /* a JSON object of strings, numbers, booleans and nulls */
    JM_FIELD_URL, /* http or https */
    JM_FIELD_JOBS, /* list of job ids or {"external_id": ...} */
} jm_field_kind;

typedef struct jm_field {
    const char *name;
    uint8_t name_len;
    jm_field_kind kind;
    bool required;
    bool supported; /* false: understood, and a dead letter with the reason unsupported for now */
    int64_t min, max; /* characters of texts (of names in scalars), the value of integers, items of
                         lists; 0 and 0 where there is no limit */
    const char *placeholder; /* for the value in help */
    const char *help;        /* one sentence without a period */
} jm_field;

extern const jm_field jm_job_fields[JM_JOB_FIELDS];

#endif
