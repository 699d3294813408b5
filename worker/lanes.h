/* Jobs that wait in memory for a free slot: a lane for each type, in it by priority, then age. One
 * thread. */
#ifndef JM_LANES_H
#define JM_LANES_H

#include "common/job.h"
#include "worker/slots.h"

typedef struct jm_lanes jm_lanes;

jm_lanes *jm_lanes_new(void);
void jm_lanes_free(jm_lanes *lanes); /* must be empty; NULL is fine */

/* The job's type and priority are set; it travels by its node. */
void jm_lanes_add(jm_lanes *lanes, jm_job *job);
/* Takes what has a slot now, and the slots with it, into chain. Lanes take turns at being first, so
 * that none keeps the others from the slots they share. */
void jm_lanes_take(jm_lanes *lanes, jm_slots *slots, jm_chain *chain);
/* Takes all, slots or not. */
void jm_lanes_take_all(jm_lanes *lanes, jm_chain *chain);
size_t jm_lanes_n(const jm_lanes *lanes);

#endif
