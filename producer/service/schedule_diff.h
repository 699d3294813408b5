/* What differs between two definitions of a schedule, for people. */
#ifndef JM_SERVICE_SCHEDULE_DIFF_H
#define JM_SERVICE_SCHEDULE_DIFF_H

#include <jansson.h>

#include "common/buf.h"

/* Appends "cron_expression \"0 3 * * *\" -> \"0 4 * * *\", queue - -> \"slow\"", in the order of
 * the columns; - stands for the default. Either may be NULL or null: all of it is new, or gone. */
void jm_schedule_diff(const json_t *before, const json_t *after, jm_buf *out);

#endif
