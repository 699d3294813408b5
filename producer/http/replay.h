/* Idempotency-Key of requests that are no submission (those see to it themselves, job_submit.c). */
#ifndef JM_HTTP_REPLAY_H
#define JM_HTTP_REPLAY_H

#include <stdbool.h>

struct jm_req;
struct jm_buf;

/* Before a handler runs: claims the key that the request has, if any. false: it has been answered,
 * as it was before or with 400, 409 or 503. */
bool jm_replay_begin(struct jm_req *req);
/* When it is answered, before that is sent: keeps what it is answered with. */
void jm_replay_finish(struct jm_req *req);

#endif
