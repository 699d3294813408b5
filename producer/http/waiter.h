/* Requests whose answer is held until a job has ended. */
#ifndef JM_HTTP_WAITER_H
#define JM_HTTP_WAITER_H

#include "common/uuid7.h"
#include "producer/http/request.h"

typedef struct jm_waiter jm_waiter;

jm_waiter *jm_waiter_new(const char *conninfo,
                         const char *schema); /* its thread comes when needed */
void jm_waiter_stop(jm_waiter *waiter);       /* those who wait are answered with 503 */
void jm_waiter_free(jm_waiter *waiter);

/* Takes a deferred request: it is answered with the job and that status once the job has ended, or
 * with what it is then when ms have passed (0: at the first look). */
void jm_waiter_add(jm_waiter *waiter, jm_req *req, const jm_uuid *id, int status, int64_t ms);

#endif
