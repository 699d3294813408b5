/* Jobs that somebody watches: their log lines and states as server-sent events. One thread asks
 * PostgreSQL for all of them at once. */
#ifndef JM_HTTP_LIVE_H
#define JM_HTTP_LIVE_H

#include "common/uuid7.h"
#include "producer/http/request.h"

/* Last words on a stream. */
#define JM_LIVE_TOO_SLOW "event: dropped\ndata: {\"reason\":\"this listener reads too slowly\"}\n\n"
#define JM_LIVE_TOO_MANY "event: dropped\ndata: {\"reason\":\"there are too many listeners\"}\n\n"
#define JM_LIVE_NO_KEY   "event: dropped\ndata: {\"reason\":\"the key holds no longer\"}\n\n"
#define JM_LIVE_STOPPING "event: stopping\ndata: {}\n\n"

/* Writes to a listener's stream. false: he is gone, or was too slow, which he is told; *stream is
 * NULL where it has been ended with that. */
struct jm_http_stream;
bool jm_live_write(struct jm_http_stream **stream, const char *data, size_t len);

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
