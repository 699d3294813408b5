/* Events that no worker tells: about jobs that were cancelled or expired while they waited, were
 * cancelled with what they depended on, or lost with their last worker; and about schedules that
 * were changed. */
#ifndef JM_ANNOUNCE_H
#define JM_ANNOUNCE_H

#include "common/events.h"
#include "common/pg.h"

/* Hands some of them to events (NULL: they are forgotten), which is best effort as for all events.
 * *more: there may be more. */
int jm_announce_run(jm_pg *pg, jm_events *events, bool *more, jm_err *err);

#endif
