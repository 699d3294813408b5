/* How far a consumer is behind, and since when no broker has said anything, read from librdkafka's
 * statistics. */
#ifndef JM_LAG_H
#define JM_LAG_H

#include <stdint.h>

#include "common/metrics.h"

/* json: what librdkafka's statistics callback is given. Sets the gauge (labels topic, partition)
 * for each assigned partition of the topic, and hides those that are not assigned any more.
 * Returns for how many microseconds no broker has sent anything; INT64_MAX when none is
 * connected. */
int64_t jm_lag_read(jm_metric *lag, const char *topic, const char *json, size_t len);

#endif
