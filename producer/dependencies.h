/* What the janitor does for jobs that wait for others: it finds parents that were not there yet,
 * ends what can never start, and sees to what nobody has seen to. */
#ifndef JM_DEPENDENCIES_H
#define JM_DEPENDENCIES_H

#include "common/dependents.h"
#include "common/wakeup.h"

/* Embedded in the janitor; its thread. */
typedef struct jm_dependencies {
    jm_wakeup *wakeup;        /* for hints; may be NULL; borrowed */
    jm_dependents dependents; /* of jobs that the janitor itself has ended */
    jm_uuid at_job;           /* how far the walk over open dependencies has come */
    int at_n;
} jm_dependencies;

void jm_dependencies_init(jm_dependencies *dependencies, jm_wakeup *wakeup);
void jm_dependencies_fini(jm_dependencies *dependencies);

/* Looks after the dependents of ended jobs until there are none left. */
int jm_dependencies_settle(jm_dependencies *dependencies, jm_pg *pg, jm_err *err);
/* Looks for parents that were not there. wait_s: after so long a job is cancelled for want of one.
 * *more: there may be more to look at. */
int jm_dependencies_look(jm_dependencies *dependencies, jm_pg *pg, int wait_s, bool *more,
                         jm_err *err);
/* Walks on over the open dependencies, a page at a time, for those that are over. *more: the walk
 * has not come to its end. */
int jm_dependencies_walk(jm_dependencies *dependencies, jm_pg *pg, int wait_s, bool *more,
                         jm_err *err);

#endif
