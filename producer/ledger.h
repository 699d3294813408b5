/* The ledger: decided instants and the jobs that they fire, written as rows. One batch at a time,
 * inside a transaction of the caller's. */
#ifndef JM_LEDGER_H
#define JM_LEDGER_H

#include "common/job.h"
#include "common/pg.h"
#include "common/queue.h"
#include "producer/tick_policy.h"

typedef enum jm_tick_kind { JM_TICK_CALENDAR, JM_TICK_MANUAL, JM_TICK_BACKFILL } jm_tick_kind;

typedef struct jm_ledger jm_ledger; /* used by one thread, reused after reset */

jm_ledger *jm_ledger_new(void);
void jm_ledger_free(jm_ledger *ledger);
void jm_ledger_reset(jm_ledger *ledger);

/* What is written about an instant. */
typedef struct jm_ledger_entry {
    const jm_schedule *schedule; /* borrowed until the reset */
    jm_tick_kind kind;
    jm_tick tick;
    int64_t now_us;           /* PostgreSQL's clock when it was decided */
    int64_t start_us;         /* its job may not start before; 0: at once */
    const char *submitted_by; /* of its job; static text */
    bool lock;                /* its job waits for the other jobs of the schedule */
} jm_ledger_entry;

/* Returns its number in the batch. */
size_t jm_ledger_add(jm_ledger *ledger, const jm_ledger_entry *entry);

/* Writes the instants; those that are in the ledger already stay as they are, and fire no job. */
int jm_ledger_write(jm_ledger *ledger, jm_pg *pg, jm_err *err);

const jm_tick *jm_ledger_tick(const jm_ledger *ledger, size_t i);
/* After jm_ledger_write: the job that entry i fires, or NULL. */
const jm_uuid *jm_ledger_job(const jm_ledger *ledger, size_t i);
/* The statement that writes the jobs, valid until the reset; false when there are none. Jobs that
 * go through Kafka are appended to items (jm_relay_item; may be NULL), to be handed over once they
 * are committed; until then nobody else takes their rows. */
bool jm_ledger_jobs(jm_ledger *ledger, jm_chain *items, jm_pg_call *call);

/* The lock under which jobs of a schedule run one after the other: "schedule:<id>". */
#define JM_SCHEDULE_LOCK_TEXT (sizeof JM_SCHEDULE_LOCK - 1 + JM_UUID_TEXT)
void jm_schedule_lock_name(const jm_uuid *schedule_id, char text[JM_SCHEDULE_LOCK_TEXT]);

#endif
