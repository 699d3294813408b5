/* How far this machine's clock is from PostgreSQL's, which decides: said when it matters. */
#ifndef JM_CLOCK_SKEW_H
#define JM_CLOCK_SKEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    JM_CLOCK_OFF_US = 1000000,        /* off is what differs by more */
    JM_CLOCK_RIGHT_US = 500000,       /* right again is what differs by less */
    JM_CLOCK_READ_WITHIN_US = 250000, /* a reading that took longer says too little */
};

/* Embedded; {0} is right. Written by one thread, read by any. */
typedef struct jm_clock_skew {
    _Atomic int64_t us; /* this machine's clock minus PostgreSQL's, as last read */
    _Atomic bool off;
} jm_clock_skew;

/* A reading, for which the answer took took_us. Logs when the clock begins to be off, and when that
 * is over. */
void jm_clock_skew_note(jm_clock_skew *skew, int64_t us, int64_t took_us);

#endif
