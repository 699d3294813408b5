/* CloudEvents 1.0 in both modes of their Kafka binding: finds what a job is made of. */
#ifndef JM_CLOUDEVENT_H
#define JM_CLOUDEVENT_H

#include <stdbool.h>

#include "common/err.h"
#include "common/job_message.h"
#include "common/json_scan.h"

typedef enum jm_cloudevent_mode {
    JM_CLOUDEVENT_NONE,      /* a plain job message */
    JM_CLOUDEVENT_BINARY,    /* attributes in headers ce_*, the value is the data */
    JM_CLOUDEVENT_STRUCTURED /* content-type application/cloudevents+json, all in the value */
} jm_cloudevent_mode;

/* What the record's headers say. Errors: JM_ERR_INVALID for batches, for formats other than JSON,
 * and for a binary event whose data is not JSON; err->field is content-type. */
int jm_cloudevent_mode_of(const jm_record *record, jm_cloudevent_mode *mode, jm_err *err);

/* Attributes that a job is made of; borrowed from the record. at is NULL for what is absent. */
typedef struct jm_cloudevent {
    jm_json_value type, source, id; /* always there, strings */
    jm_json_value data;             /* of any kind */
    jm_json_value expirytime, partitionkey, traceparent;
    const char *prefix; /* of attribute names, for messages: "ce_" or "" */
    bool missing;       /* on failure: a required attribute is absent, not wrong */
} jm_cloudevent;

/* Both fill event whole; attributes a job has no use for are not looked at. Errors: JM_ERR_INVALID,
 * err->field is the attribute. data: the value, scanned. */
int jm_cloudevent_binary(const jm_record *record, const jm_json_value *data, jm_cloudevent *event,
                         jm_err *err);
int jm_cloudevent_structured(const jm_json *json, jm_cloudevent *event, jm_err *err);

#endif
