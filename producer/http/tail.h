/* The topic of events, as server-sent events for whoever listens: one consumer for all, with what
 * came last kept for those who come back. */
#ifndef JM_HTTP_TAIL_H
#define JM_HTTP_TAIL_H

#include "common/config.h"
#include "producer/http/request.h"

typedef struct jm_tail jm_tail;

/* The thread and its consumer are there from the first listener on. */
jm_tail *jm_tail_new(const jm_config *config);
/* Ends all streams with a word. */
void jm_tail_stop(jm_tail *tail);
void jm_tail_free(jm_tail *tail); /* NULL is fine */

/* Answers with a stream of events, from now on or from Last-Event-ID: "partition:offset,..." of
 * what comes next. A key sees the events of its project; ?project and ?type narrow them. */
void jm_tail_listen(jm_req *req);

#endif
