/* Deleted schedules: their ids are taken off their jobs, some at a time. */
#ifndef JM_FORGET_H
#define JM_FORGET_H

#include "common/pg.h"

/* One batch; *left: how many deleted schedules are not done with. */
int jm_forget_run(jm_pg *pg, int64_t *left, jm_err *err);

#endif
