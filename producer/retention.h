/* Retention: whole weeks of history are detached and dropped. */
#ifndef JM_RETENTION_H
#define JM_RETENTION_H

#include "common/pg.h"

/* Drops the weekly partitions that lie wholly before that instant and have no unfinished job, as
 * far as locks can be had within seconds; the rest is left for the next time. *dropped counts
 * tables. Safe to run from several processes, and to kill anywhere. */
int jm_retention_run(jm_pg *pg, int64_t before_us, int *dropped, jm_err *err);

#endif
