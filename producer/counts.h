/* What a producer counts, as metrics. */
#ifndef JM_COUNTS_H
#define JM_COUNTS_H

#include "common/metrics.h"
#include "producer/firing.h"
#include "producer/janitor.h"
#include "producer/relay.h"

extern const jm_metric_def jm_schedule_delay_def;

typedef struct jm_counts {
    /* Counted as it happens, by the threads. */
    jm_metric *submitted; /* queue, type, source */
    jm_series *delay;     /* of a schedule's job: from its instant to Kafka's acknowledgement */
    /* Read from the parts when the metrics are. */
    jm_metric *ticks; /* outcome */
    jm_series *published, *failed, *refused, *in_flight;
    jm_series *lost_workers, *rescued, *expired, *swept, *forgotten, *skew;
} jm_counts;

void jm_counts_init(jm_counts *counts, jm_metrics *metrics);
/* firing NULL: no schedules are fired here. */
void jm_counts_set(const jm_counts *counts, const jm_firing_stats *firing,
                   const jm_relay_stats *relay, const jm_janitor_stats *janitor);

#endif
