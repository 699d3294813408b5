/* Submitting without a database: the job's message goes straight to Kafka. */
#ifndef JM_SERVICE_PUBLISH_H
#define JM_SERVICE_PUBLISH_H

#include "common/config.h"
#include "common/err.h"

/* Checks the message (docs/protocol.md) and writes it to the topic of the queue ("default" when
 * NULL), which is made if it is missing; returns when Kafka has acknowledged it. Errors:
 * JM_ERR_INVALID with the field, JM_ERR_KAFKA. */
int jm_publish(const jm_config *config, const char *queue, const char *message, jm_err *err);
/* The check of it, which needs neither. */
int jm_publish_check(const char *text, jm_err *err);

#endif
