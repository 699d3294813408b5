/* The attempts that ended here last, in memory: what /jobs shows beside what runs. */
#ifndef JM_RECENT_H
#define JM_RECENT_H

#include "common/clock.h"
#include "worker/outcome.h"

enum { JM_RECENT_MAX = 1000 };

/* One that ended; texts are cut where they are longer. */
typedef struct jm_recent_job {
    jm_uuid id;
    char type[101], queue[64], project[64];
    const char *status; /* completed failed retried cancelled returned superseded; static */
    int attempt;
    int64_t ended_us, duration_us; /* ended_us: database clock, since 1970 */
    char error[240];               /* "" when it completed */
} jm_recent_job;

typedef struct jm_recent jm_recent;

jm_recent *jm_recent_new(const jm_db_clock *clock);
void jm_recent_free(jm_recent *recent); /* NULL is fine */

/* Reports after their commit. Of a large batch of completed jobs only some are kept, so that this
 * costs next to nothing at any speed. NULL is fine. */
void jm_recent_recorded(jm_recent *recent, jm_report *const *reports, const bool *passed, int n);
/* Copies up to max, newest first, that accept says yes to. Any thread. Returns how many. */
int jm_recent_copy(jm_recent *recent, bool (*accept)(void *ctx, const jm_recent_job *job),
                   void *ctx, jm_recent_job *out, int max);

#endif
