/* Events about jobs that ended with no worker to tell it: cancelled or expired while they waited,
 * cancelled with what they depended on, lost with their last worker. */
#ifndef JM_ANNOUNCE_H
#define JM_ANNOUNCE_H

#include "common/events.h"
#include "common/pg.h"

/* Hands some of them to events (NULL: they are forgotten), which is best effort as for all events.
 * *more: there may be more. */
int jm_announce_run(jm_pg *pg, jm_events *events, bool *more, jm_err *err);

#endif
