/* A job on its way to Kafka. Of interest to the relay alone. */
#ifndef JM_RELAY_ITEM_H
#define JM_RELAY_ITEM_H

#include <uthash.h>

#include "common/queue.h"
#include "common/uuid7.h"

/* One allocation, strings behind it. */
typedef struct jm_relay_item {
    jm_node node;      /* in the queue of what is handed over */
    UT_hash_handle hh; /* among those in flight, by id */
    jm_uuid id;
    const char *queue, *key, *message;
    size_t message_len;
    int64_t due_us;       /* the instant of its schedule; 0: it has none */
    int64_t extend_at_ms; /* monotonic; when its row has to be kept from others again */
} jm_relay_item;

#endif
