/* What a worker without a database publishes, until Kafka has acknowledged it: outcomes of jobs, to
 * <prefix>.events, and dead letters, to <prefix>.dead. One thread. */
#ifndef JM_OUTLET_H
#define JM_OUTLET_H

#include "common/buf.h"
#include "common/config.h"
#include "worker/batch.h"

/* One thing to be published; embedded in its owner's record of it, which stays where it is until it
 * is reported as published. */
typedef struct jm_outgoing {
    jm_node node;
    jm_uuid id;                  /* of the job: the key, and for the log */
    jm_buf outcome;              /* an event; or, when it is empty, a dead letter: */
    rd_kafka_message_t *message; /* ... the record, and why it is one */
    const char *reason, *field, *detail;
    int64_t at_us; /* monotonic: when to send it again */
} jm_outgoing;

typedef struct jm_outlet jm_outlet;

/* Called once for each that was sent, from jm_outlet_serve: Kafka has it, or will never take it,
 * which has been logged. Or from jm_outlet_free, with acknowledged false: it was given up. */
typedef void jm_outlet_published(void *ctx, jm_outgoing *outgoing, bool acknowledged);

/* wake_fd is rung when there is something to serve. */
int jm_outlet_new(const jm_config *config, int wake_fd, jm_outlet_published *published, void *ctx,
                  jm_outlet **out, jm_err *err);
void jm_outlet_free(jm_outlet *outlet); /* NULL is fine */

/* Creates the topics if they are missing. Blocks for seconds when Kafka is away. */
void jm_outlet_create_topics(jm_outlet *outlet);
void jm_outlet_send(jm_outlet *outlet, jm_outgoing *outgoing);
/* Serves acknowledgements, and sends again what failed. */
void jm_outlet_serve(jm_outlet *outlet);
size_t jm_outlet_left(const jm_outlet *outlet); /* not acknowledged yet */

#endif
