/* Watchdogs: each thread says that it turns; one that has not for too long is stuck, which is
 * logged, counted, and seen by whoever asks. */
#ifndef JM_WATCHDOG_H
#define JM_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct jm_watchdog jm_watchdog;
typedef struct jm_pulse jm_pulse; /* of one thread; lives as long as its watchdog */

enum { JM_WATCHDOG_MAX = 16 };

jm_watchdog *jm_watchdog_new(void);
void jm_watchdog_free(jm_watchdog *watchdog); /* NULL is fine; after the threads' end */

/* Before the thread starts. It is stuck when it neither beats nor rests for deadline_ms. It rests
 * until its first beat. name is static. */
jm_pulse *jm_watchdog_add(jm_watchdog *watchdog, const char *name, int deadline_ms);

/* The thread's own; cheap enough for every turn. NULL is fine: nobody watches. */
void jm_pulse_beat(jm_pulse *pulse);
/* It is about to wait by design for longer than the deadline, or to end; the next beat ends that.
 */
void jm_pulse_rest(jm_pulse *pulse);

/* A statement of this thread got no answer in time: counted. */
void jm_pulse_late(jm_pulse *pulse);

/* One thread, every second or so: looks at all, logs who got stuck and who turns again. Returns how
 * many are stuck. */
int jm_watchdog_check(jm_watchdog *watchdog);

/* Any thread. */
int jm_watchdog_n(const jm_watchdog *watchdog);
const char *jm_watchdog_name(const jm_watchdog *watchdog, int i);
int64_t jm_watchdog_silent_ms(const jm_watchdog *watchdog,
                              int i);                          /* since its last beat; 0: rests */
bool jm_watchdog_is_stuck(const jm_watchdog *watchdog, int i); /* as judged now */
int64_t jm_watchdog_times(const jm_watchdog *watchdog, int i); /* how often it was found so */
int64_t jm_watchdog_late(const jm_watchdog *watchdog, int i);
/* The names of those stuck now, comma-separated. */
void jm_watchdog_list_stuck(const jm_watchdog *watchdog, jm_buf *out);

#endif
