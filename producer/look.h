/* The look: the one query a second of a producer, which tells what there is to do. Whoever is told
 * so asks no more while it comes; a producer with nothing to do asks nothing else. */
#ifndef JM_LOOK_H
#define JM_LOOK_H

#include "common/pg.h"

enum {
    JM_LOOK_MS = 1000,     /* from the answer to one look until the next */
    JM_LOOK_LATE_MS = 1250 /* without one for so long scheduler and relay ask for themselves */
};

/* Chores that have something to do only now and then. */
typedef enum jm_look_chore {
    JM_LOOK_RESCUE,
    JM_LOOK_EXPIRE,
    JM_LOOK_CANCEL,
    JM_LOOK_MISSING,
    JM_LOOK_ANNOUNCE,
    JM_LOOK_DEPENDS,
    JM_LOOK_SWEEP,
    JM_LOOK_LOCKS,
    JM_LOOK_FOLD,
    JM_LOOK_FORGET,
    JM_LOOK_DEDUP,
    JM_LOOK_WORKERS,
    JM_LOOK_CHORES
} jm_look_chore;

/* What was seen. */
typedef struct jm_look {
    bool found[JM_LOOK_CHORES]; /* something to do */
    bool unpublished;           /* jobs wait for the relay */
    int64_t next_us;            /* when the next schedule is due; INT64_MAX: none is */
    int64_t clock_us;           /* PostgreSQL's clock */
    int64_t asked_us, got_us;   /* between these two moments of the monotonic clock */
} jm_look;

/* The producer's row in workers. */
typedef struct jm_look_self {
    const jm_uuid *id;
    const char *host;
    int lease_s;
} jm_look_self;

/* Looks; writes the producer's row with this state as well unless it is NULL. */
int jm_look_run(jm_pg *pg, const jm_look_self *self, const char *state, int sweep_after_s,
                jm_look *out, jm_err *err);

#endif
