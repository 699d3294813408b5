/* What a producer without a database knows about jobs: those that the topic of events has told
 * about last, and the routes that answer from them. */
#ifndef JM_HTTP_RECENT_H
#define JM_HTTP_RECENT_H

#include "common/config.h"
#include "producer/http/request.h"

typedef struct jm_recent jm_recent;

/* Starts its thread, which begins 1,000 events before the end. */
jm_recent *jm_recent_new(const jm_config *config);
void jm_recent_free(jm_recent *recent); /* ends the thread; NULL is fine */

/* What answers that route where there is no database; NULL: nothing can. */
jm_req_handler *jm_recent_handler(const jm_api_route *route);

#endif
