/* The sync of schedules with another system: a thread that does a round each interval. */
#ifndef JM_SCHEDULE_SYNC_H
#define JM_SCHEDULE_SYNC_H

#include "common/config.h"

typedef struct jm_schedule_sync jm_schedule_sync;

typedef struct jm_schedule_sync_options {
    const jm_config *config; /* borrowed */
    const char *conninfo, *schema;
} jm_schedule_sync_options;

/* Starts the thread; NULL where [schedule_sync] names no source. */
jm_schedule_sync *jm_schedule_sync_new(const jm_schedule_sync_options *options);
void jm_schedule_sync_free(jm_schedule_sync *sync); /* stops it, within some seconds */

#endif
