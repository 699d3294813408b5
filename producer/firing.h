/* One batch of due schedules: taken under lock, decided, written with their jobs, committed. */
#ifndef JM_FIRING_H
#define JM_FIRING_H

#include "common/metrics.h"
#include "common/pg.h"
#include "common/queue.h"
#include "common/wakeup.h"

typedef struct jm_firing jm_firing; /* used by one thread; has a connection of its own */

typedef struct jm_firing_stats {
    uint64_t fired, skipped, missed, coalesced; /* instants, by what became of them */
} jm_firing_stats;

/* pulse beats while an answer is waited for; may be NULL. */
jm_firing *jm_firing_new(const char *conninfo, const char *schema, jm_db_clock *clock,
                         jm_pulse *pulse);
/* Counts the jobs it makes there, by queue, type and source; NULL: nowhere. Before the first run.
 */
void jm_firing_count(jm_firing *firing, jm_metric *submitted);
void jm_firing_free(jm_firing *firing);

/* As jm_pg_ensure and jm_pg_retry_in_ms. */
int jm_firing_ensure(jm_firing *firing, jm_err *err);
int jm_firing_retry_in_ms(const jm_firing *firing);

/* Looks, once a minute or now, whether time zones have other rules, and then computes anew what has
 * not fired yet. */
void jm_firing_watch_zones(jm_firing *firing, bool now);

/* When the next schedule is due by PostgreSQL's clock; INT64_MAX when none is. */
int jm_firing_next(jm_firing *firing, int64_t *due_us, jm_err *err);
/* How many schedules there are that will fire. */
int jm_firing_active(jm_firing *firing, int64_t *n, jm_err *err);

/* Fires what is due, one transaction. *taken: schedules it looked after (0: what is due is being
 * looked after by another producer). Jobs for Kafka are appended to items (jm_relay_item), which
 * may be handed over: they are committed. Queues of jobs that start from the database go to wakeup
 * (may be NULL). A schedule that cannot be understood or written is logged and left alone for a
 * minute; it holds up no other. */
int jm_firing_run(jm_firing *firing, jm_wakeup *wakeup, jm_chain *items, int *taken, jm_err *err);
enum { JM_FIRING_MANY = 1000 /* schedules in one transaction at most: more may be due */ };

/* Looks again at the schedules that were left alone: some schedule has been edited. */
void jm_firing_forgive(jm_firing *firing);
void jm_firing_get_stats(const jm_firing *firing, jm_firing_stats *out);

#endif
