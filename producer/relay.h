/* The relay: a thread that publishes waiting jobs to Kafka and marks them published. Sole owner of
 * the publishing handle. */
#ifndef JM_RELAY_H
#define JM_RELAY_H

#include "common/config.h"
#include "common/metrics.h"
#include "common/pg.h"
#include "common/queue.h"

typedef struct jm_relay jm_relay;

typedef struct jm_relay_options {
    const jm_config *config; /* borrowed, as long as the relay lives */
    const char *conninfo, *schema;
    jm_db_clock *clock;
    jm_pulse *pulse;  /* NULL: nobody watches */
    jm_series *delay; /* of jobs of schedules, from their instant on; NULL: nobody counts */
} jm_relay_options;

typedef struct jm_relay_stats {
    uint64_t published; /* acknowledged by Kafka */
    uint64_t failed;    /* refused or given up; the rows are still there and are sent again */
    uint64_t refused;   /* of which Kafka will never take: started from the database instead */
    size_t in_flight;
    bool kafka_away;
} jm_relay_stats;

/* Starts the thread. Errors: JM_ERR_INVALID for [kafka] settings that librdkafka refuses. */
int jm_relay_new(const jm_relay_options *options, jm_relay **out, jm_err *err);
/* Waits up to timeout_ms for what is in flight; what is not acknowledged by then stays unpublished
 * in the table. */
void jm_relay_free(jm_relay *relay, int timeout_ms);

/* A job whose row has just been committed as unpublished, visible two seconds later: handed over,
 * it need not be read back. Strings are copied; key NULL: the job's id; due_us: the instant of its
 * schedule by PostgreSQL's clock, 0 when it has none. */
jm_node *jm_relay_item_new(const jm_uuid *id, const char *queue, const char *key,
                           const char *message, size_t message_len, int64_t due_us);
/* Takes the items; any thread, never blocks. What the relay has no room for it drops: the rows
 * become visible and are read. */
void jm_relay_hand_over(jm_relay *relay, jm_chain *items);
/* There may be unpublished rows now. Any thread. */
void jm_relay_wake(jm_relay *relay);
/* A look has seen whether there are. Any thread. */
void jm_relay_tell(jm_relay *relay, bool unpublished);
/* Whether Kafka answers. Any thread. */
bool jm_relay_is_up(const jm_relay *relay);
void jm_relay_get_stats(const jm_relay *relay, jm_relay_stats *out);

#endif
