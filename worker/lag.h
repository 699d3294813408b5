/* How far a consumer is behind, read from librdkafka's statistics. */
#ifndef JM_LAG_H
#define JM_LAG_H

#include "common/metrics.h"

/* json: what librdkafka's statistics callback is given. Sets the gauge (labels topic, partition)
 * for each assigned partition of the topic, and hides those that are not assigned any more. */
void jm_lag_read(jm_metric *lag, const char *topic, const char *json, size_t len);

#endif
