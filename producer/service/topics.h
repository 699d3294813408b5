/* Kafka topics of jobmill: making those of queues, listing what there is. */
#ifndef JM_SERVICE_TOPICS_H
#define JM_SERVICE_TOPICS_H

#include <jansson.h>

#include "common/config.h"
#include "common/err.h"

/* Makes the topic of a queue; one that is there is left as it is. Gives {"queue", "topic",
 * "created"}. Blocks up to 15 s. Errors: JM_ERR_INVALID (name), JM_ERR_KAFKA. */
int jm_topics_create(const jm_config *config, const char *queue, json_t **out, jm_err *err);

/* Topics under the prefix: {"topic", "queue" (null for events and dead), "partitions",
 * "replication"}, by name. Blocks up to timeout_ms. */
int jm_topics_list(const jm_config *config, int timeout_ms, json_t **items, jm_err *err);

struct jm_pg;
/* The topics that there should be by what workers and schedules say, for when Kafka is away: the
 * same with null for partitions and replication. */
int jm_topics_known(struct jm_pg *pg, const jm_config *config, json_t **items, jm_err *err);

#endif
