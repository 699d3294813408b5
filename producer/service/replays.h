/* Answers kept under an Idempotency-Key, so that a request which is repeated is not carried out
 * again. */
#ifndef JM_SERVICE_REPLAYS_H
#define JM_SERVICE_REPLAYS_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

struct jm_pg;

enum { JM_REPLAY_KEY_MAX = 200 };

typedef struct jm_replay {
    const char *actor, *key, *request_id; /* borrowed, as is */
    const char *project;                  /* the only one that the actor sees; NULL: all */
    uint8_t fingerprint[32];              /* SHA-256 of the request */
    int status;                           /* of its answer; 0: there is none */
    char *location, *etag;                /* or NULL */
    jm_buf body;
} jm_replay;

typedef enum jm_replay_state {
    JM_REPLAY_CLAIMED,   /* carry it out */
    JM_REPLAY_ANSWERED,  /* the answer has been filled in */
    JM_REPLAY_BUSY,      /* another is at it */
    JM_REPLAY_OTHER,     /* the key is another request's */
    JM_REPLAY_UNANSWERED /* it was carried out, and its answer was lost */
} jm_replay_state;

/* Claims the key for the request, committed before it is carried out. */
int jm_replay_claim(struct jm_pg *pg, jm_replay *replay, jm_replay_state *state, jm_err *err);
/* After it: keeps the answer where it was carried out (2xx), forgets the key where it was refused
 * (4xx), and leaves it to the audit log whether it was in all other cases. */
int jm_replay_end(struct jm_pg *pg, const jm_replay *replay, jm_err *err);
void jm_replay_fini(jm_replay *replay);

#endif
