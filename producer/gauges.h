/* Gauges of a producer that PostgreSQL has to be asked for: read by a thread with a connection of
 * its own, when somebody reads the metrics, at most once in five seconds. */
#ifndef JM_GAUGES_H
#define JM_GAUGES_H

#include "common/metrics.h"
#include "common/pg.h"

typedef struct jm_gauges jm_gauges;

/* Starts the thread; it connects when it is first asked. Adds the families to metrics. */
jm_gauges *jm_gauges_new(const char *conninfo, const char *schema, jm_metrics *metrics);
void jm_gauges_free(jm_gauges *gauges); /* NULL is fine */

/* Sets the gauges, waiting at most a second for PostgreSQL. What it does not tell is left out. By
 * one thread. */
void jm_gauges_show(jm_gauges *gauges);

#endif
