/* Jobs that somebody watches: their log lines and states as server-sent events. One thread asks
 * PostgreSQL for all of them at once. */
#ifndef JM_HTTP_LIVE_H
#define JM_HTTP_LIVE_H

#include "common/uuid7.h"
#include "producer/http/request.h"

typedef struct jm_live jm_live;

/* The thread is there from the first follower on; it connects for itself. */
jm_live *jm_live_new(const char *conninfo, const char *schema);
/* Ends all streams with a word. */
void jm_live_stop(jm_live *live);
void jm_live_free(jm_live *live); /* NULL is fine */

typedef enum jm_live_what { JM_LIVE_LOGS, JM_LIVE_STATE } jm_live_what;

/* Answers with a stream about the job of the path's {id}: log lines from the one after
 * Last-Event-ID
 * ("attempt.seq"), or each state, until the job has ended and all is told. */
void jm_live_follow(jm_req *req, jm_live_what what);

#endif
