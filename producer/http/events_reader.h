/* Reads the topic of events from a place of one's own, without a group. Used by one thread. */
#ifndef JM_HTTP_EVENTS_READER_H
#define JM_HTTP_EVENTS_READER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

enum { JM_EVENTS_PARTITIONS = 64 /* of the topic at most */ };

/* Embedded; {0} is closed. */
typedef struct jm_events_reader {
    rd_kafka_t *rk; /* NULL: closed */
    char *topic;
    int64_t retry_ms; /* monotonic; no try before */
    int n_partitions;
    bool is_new; /* the topic was not there when it was first looked for: all in it is news */
    int64_t at[JM_EVENTS_PARTITIONS];   /* what is read next; may be changed before assign */
    int64_t most[JM_EVENTS_PARTITIONS]; /* what lies behind all that has been read */
} jm_events_reader;

/* Begins `back` events before the end of each partition, once a broker says where that is; blocks a
 * few seconds while none does, and does nothing for a second after. false: still closed. */
bool jm_events_reader_open(jm_events_reader *reader, const jm_config *config, int64_t back);
void jm_events_reader_close(jm_events_reader *reader);
/* Goes on from at[]. */
void jm_events_reader_assign(jm_events_reader *reader);

/* The next event within timeout_ms, or NULL; the caller frees it with rd_kafka_message_destroy. */
rd_kafka_message_t *jm_events_reader_next(jm_events_reader *reader, int timeout_ms);

#endif
