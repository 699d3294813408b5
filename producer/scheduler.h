/* The scheduler: a thread that fires schedules when they are due by PostgreSQL's clock. */
#ifndef JM_SCHEDULER_H
#define JM_SCHEDULER_H

#include "common/pg.h"
#include "common/wakeup.h"
#include "producer/firing.h"
#include "producer/relay.h"

typedef struct jm_scheduler jm_scheduler;

typedef struct jm_scheduler_options {
    const char *conninfo, *schema;
    jm_db_clock *clock;
    jm_relay *relay;      /* gets the jobs for Kafka; borrowed */
    jm_wakeup *wakeup;    /* gets hints for workers; borrowed, may be NULL */
    jm_pulse *pulse;      /* NULL: nobody watches */
    jm_metric *submitted; /* counts jobs by queue, type and source; NULL: nobody counts */
} jm_scheduler_options;

jm_scheduler *jm_scheduler_new(const jm_scheduler_options *options); /* starts the thread */
void jm_scheduler_free(jm_scheduler *scheduler);                     /* stops it */
/* A schedule has been made or edited. Any thread. */
void jm_scheduler_wake(jm_scheduler *scheduler);
/* A look has seen when the next schedule is due (INT64_MAX: none is). Any thread. */
void jm_scheduler_tell(jm_scheduler *scheduler, int64_t next_us);
/* Time zone data may have changed. Any thread. */
void jm_scheduler_look_at_zones(jm_scheduler *scheduler);
void jm_scheduler_get_stats(const jm_scheduler *scheduler, jm_firing_stats *out);

#endif
