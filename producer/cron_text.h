/* Cron expressions in English: one sentence for each, which says all that the expression says. */
#ifndef JM_CRON_TEXT_H
#define JM_CRON_TEXT_H

#include "common/buf.h"
#include "producer/cron.h"

/* Appends "at 02:30 on weekdays", "every 15 minutes", "at 00:00 on the last day of the month".
 * Expressions with different local times have different sentences. Returns whether it names times
 * of the day ("at 02:30") rather than how often. */
bool jm_cron_describe(const jm_cron *cron, jm_buf *out);

#endif
