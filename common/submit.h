/* New jobs become rows: a batch of jobs with what makes them start, as one statement. */
#ifndef JM_SUBMIT_H
#define JM_SUBMIT_H

#include "common/job.h"
#include "common/pg.h"

/* A batch under construction; used by one thread, reused after reset. */
typedef struct jm_submit jm_submit;

jm_submit *jm_submit_new(void);
void jm_submit_free(jm_submit *submit);
void jm_submit_reset(jm_submit *submit);
size_t jm_submit_count(const jm_submit *submit);

/* How a job gets to a worker. */
typedef enum jm_submit_way {
    JM_SUBMIT_PUBLISH, /* through Kafka: the relay publishes it once visible_us has passed */
    JM_SUBMIT_READY    /* from the database: it may start once visible_us has passed */
} jm_submit_way;

/* What due work takes: priority, locks and delay are kept by the database, all else goes through
 * Kafka. */
jm_submit_way jm_submit_way_of(const jm_job *job, int64_t now_us);

/* Adds a job; its strings are copied. job->id, type, project and queue must be set; max_attempts 0
 * is filled from the type as workers announced it. visible_us: PostgreSQL's clock. *message (may be
 * NULL) is the value of its Kafka record, borrowed until the next call. */
void jm_submit_add(jm_submit *submit, const jm_job *job, jm_submit_way way, int64_t visible_us,
                   const jm_buf **message);

/* The statement that writes the batch; valid until the batch changes. It can be repeated: a job
 * that is there already is left alone. Its result has nothing of use. */
jm_pg_call jm_submit_call(jm_submit *submit);

#endif
