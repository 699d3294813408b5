/* Making the topic of a queue anew: with all workers out of it, so that none goes on from an offset
 * of the old topic. */
#ifndef JM_SERVICE_TOPICS_RECREATE_H
#define JM_SERVICE_TOPICS_RECREATE_H

#include <jansson.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/err.h"

struct jm_pg;

typedef struct jm_topics_recreation {
    const char *queue;
    bool lose_records; /* go on although the topic has records that no worker has accepted */
    int timeout_s;     /* for the workers to leave the queue */
    void (*say)(void *ctx, const char *text); /* what is being waited for */
    bool (*is_stopped)(void *ctx); /* looked at until the topic is deleted: give up; may be NULL */
    void *ctx;
} jm_topics_recreation;

/* Has the workers leave the queue (they see a lock by the name of it), deletes the topic and makes
 * it with [topics] partitions and replication, has jobs of the database that were in it published
 * again, and lets the workers come back. Gives {"queue", "topic", "republished"}. Errors:
 * JM_ERR_NOT_FOUND (no such topic), JM_ERR_CONFLICT (records not accepted, members that do not
 * leave, somebody else does the same, is_stopped), JM_ERR_KAFKA. Nothing has been deleted then,
 * unless the message says so. */
int jm_topics_recreate(struct jm_pg *pg, const jm_config *config,
                       const jm_topics_recreation *recreation, json_t **out, jm_err *err);

#endif
