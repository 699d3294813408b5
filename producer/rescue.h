/* Rescue: the unfinished jobs of workers whose lease has lapsed go back to waiting, or fail. */
#ifndef JM_RESCUE_H
#define JM_RESCUE_H

#include "common/dependents.h"
#include "common/pg.h"
#include "common/wakeup.h"

typedef struct jm_rescue_result {
    uint64_t workers; /* found lost */
    uint64_t again;   /* jobs back to waiting */
    uint64_t ended;   /* jobs that failed, or were cancelled, for that was their last attempt */
    bool stalled; /* time stood still for this process or the server: nothing may be concluded */
} jm_rescue_result;

/* Longest time between two answers of the database that still counts as uninterrupted. */
#define JM_RESCUE_GAP_MS 2000

/* Looks for lapsed leases. reach_ms: for how long the database has been reached without
 * interruption; a worker whose lease is longer is left alone, for it may not have been able to
 * renew either. One transaction a batch of claims, each repeatable. Hints go to wakeup (may be
 * NULL), jobs that ended and that others wait for to dependents. */
int jm_rescue_run(jm_pg *pg, int64_t reach_ms, jm_wakeup *wakeup, jm_dependents *dependents,
                  jm_rescue_result *result, jm_err *err);

#endif
