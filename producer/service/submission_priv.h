/* The parts of a submission: rules, rows, records. */
#ifndef JM_SERVICE_SUBMISSION_PRIV_H
#define JM_SERVICE_SUBMISSION_PRIV_H

#include "common/pg.h"
#include "common/submit.h"
#include "producer/service/submission.h"

/* What every submission is checked against, as the database has it. */
typedef struct jm_submit_rules jm_submit_rules;

jm_submit_rules *jm_submit_rules_new(void);
void jm_submit_rules_free(jm_submit_rules *rules);
/* Reads them anew, at most once a second unless force. */
int jm_submit_rules_read(jm_submit_rules *rules, jm_pg *pg, bool force, jm_err *err);
bool jm_submit_rules_has_project(const jm_submit_rules *rules, const char *name);
/* Whether the type takes such params, and no more than one lock. A type that nobody has announced
 * takes all. */
int jm_submit_rules_check(const jm_submit_rules *rules, const jm_job *job, jm_err *err);

/* Writes requests in one transaction. */
typedef struct jm_submit_writer jm_submit_writer;

jm_submit_writer *jm_submit_writer_new(jm_db_clock *clock);
void jm_submit_writer_free(jm_submit_writer *writer);
/* The error names the request at fault in *at where it is known, otherwise *at is -1. careful: each
 * job for itself, which makes partitions that are missing. */
int jm_submit_write(jm_submit_writer *writer, jm_pg *pg, jm_submit_request **list, int n,
                    bool careful, int *at, jm_err *err);
/* What came of a request under its key: *found, with the ids in the request's jobs. Errors:
 * JM_ERR_CONFLICT when its body was another. */
int jm_submit_recall(jm_pg *pg, jm_submit_request *request, bool *found, jm_err *err);

/* Sends requests to Kafka. */
typedef struct jm_submit_sender jm_submit_sender;

jm_submit_sender *jm_submit_sender_new(const jm_config *config);
void jm_submit_sender_free(jm_submit_sender *sender);
/* Leaves in each how it ended. */
void jm_submit_send(jm_submit_sender *sender, jm_submit_request **list, int n);

/* "17." in front of the field of a list's error. */
void jm_submit_fail(jm_submit_request *request, size_t job, const jm_err *err);

#endif
