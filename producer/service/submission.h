/* Submitting jobs for many callers at once: a thread that gathers what has come while the last
 * transaction was under way, and writes it as one. Where the database is away the jobs go straight
 * to Kafka. */
#ifndef JM_SERVICE_SUBMISSION_H
#define JM_SERVICE_SUBMISSION_H

#include "common/clock.h"
#include "common/config.h"
#include "common/err.h"
#include "common/job.h"
#include "common/mem.h"
#include "common/metrics.h"

enum { JM_SUBMISSION_JOBS = 1000 /* of one request at the most */ };

typedef struct jm_submission jm_submission;

/* All borrowed; conninfo NULL: there is no database. submitted (queue, type, source) may be NULL.
 */
typedef struct jm_submission_options {
    const jm_config *config;
    const char *conninfo, *schema;
    jm_db_clock *clock;
    jm_metric *submitted;
} jm_submission_options;

/* What is submitted together: all of it or nothing. */
typedef struct jm_submit_request {
    jm_node node;
    jm_arena *arena; /* of all strings here */
    jm_job *jobs;    /* whose ids are in place once it is done */
    size_t n;
    bool list;                                /* errors name the job: "17.params" */
    bool dry_run;                             /* judge it all, as rows too, and take them back */
    const char *actor;                        /* becomes submitted_by */
    const char *request_id, *idempotency_key; /* or NULL */
    uint8_t fingerprint[32];                  /* SHA-256 of the body, with an idempotency_key */
    void (*done)(struct jm_submit_request *request, void *ctx); /* on the submitter's thread */
    void *ctx;

    /* How it ended: JM_ERR_INVALID with the field, JM_ERR_NOT_FOUND (no such project),
     * JM_ERR_CONFLICT (code says of what), JM_ERR_DB_DOWN, JM_ERR_KAFKA. */
    int rc;
    jm_err err;
    const char *code; /* of a conflict: id_conflict, idempotency_conflict */
    bool *existed;    /* of each job: it had been there before */
    bool sent;        /* Kafka has them; rows they become later */
    bool replayed;    /* the key had been used: these are the jobs of then */
    size_t left;      /* not yet acknowledged by Kafka */
} jm_submit_request;

int jm_submission_new(const jm_submission_options *options, jm_submission **out, jm_err *err);
/* No more is taken; what was is finished. */
void jm_submission_stop(jm_submission *submission);
void jm_submission_free(jm_submission *submission); /* NULL is fine */

/* For n jobs; of strings that live elsewhere copies go into its arena. */
jm_submit_request *jm_submit_request_new(size_t n, const char *actor, const char *request_id);
void jm_submit_request_free(jm_submit_request *request);
void jm_submit_request_key(jm_submit_request *request, const char *key, const char *body,
                           size_t len);
/* Adds a job: the text of its message, and its queue (NULL: default). Checks are the message's.
 * Errors: JM_ERR_INVALID with the field. */
int jm_submit_request_add(jm_submit_request *request, const char *text, size_t len,
                          const char *queue, jm_err *err);

/* Hands it over; done is called later. JM_ERR_CLOSED while stopping, JM_ERR_TIMEOUT when too much
 * is waiting: it stays with the caller. */
int jm_submission_push(jm_submission *submission, jm_submit_request *request, jm_err *err);

#endif
