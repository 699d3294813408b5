/* Schedules without a database: read from a file, fired by this machine's clock, published straight
 * to Kafka by a thread of its own. One producer only; no ledger. */
#ifndef JM_FILE_SCHEDULER_H
#define JM_FILE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/metrics.h"
#include "common/watchdog.h"

typedef struct jm_file_scheduler jm_file_scheduler;

typedef struct jm_file_scheduler_stats {
    uint64_t fired, skipped, missed, coalesced; /* instants, by what became of them */
    uint64_t published;                         /* acknowledged by Kafka */
    uint64_t refused; /* which Kafka will never take, or no room was for */
    size_t schedules, in_flight;
    bool kafka_away; /* it has not acknowledged for a while, or does not answer */
} jm_file_scheduler_stats;

/* Reads [scheduler] file (where none is set there are no schedules, and only Kafka is looked at)
 * and starts the thread; pulse may be NULL, and so may delay, a histogram of the time from an
 * instant to Kafka's acknowledgement. Errors: JM_ERR_INVALID for a file that is broken (what is
 * wrong has been logged, line by line) and for [kafka] settings; JM_ERR_IO. */
int jm_file_scheduler_new(const jm_config *config, jm_pulse *pulse, jm_series *delay,
                          jm_file_scheduler **out, jm_err *err);
/* Waits up to timeout_ms for what is in flight. Returns how many jobs Kafka has not taken: they are
 * lost. */
size_t jm_file_scheduler_free(jm_file_scheduler *scheduler, int timeout_ms);

/* Reads the file anew, now. A broken one changes nothing. Any thread. */
void jm_file_scheduler_reload(jm_file_scheduler *scheduler);
void jm_file_scheduler_get_stats(const jm_file_scheduler *scheduler, jm_file_scheduler_stats *out);

#endif
