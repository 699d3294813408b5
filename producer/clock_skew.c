/* How far this machine's clock is from PostgreSQL's. */
#include "producer/clock_skew.h"

#include <stdlib.h>

#include "common/log.h"

static void say(bool off, int64_t us)
{
    if (off)
        jm_logf(JM_WARNING, "clock",
                "this machine's clock is off by %+.1f s from PostgreSQL's, which decides",
                (double)us / 1e6);
    else
        jm_logf(JM_INFO, "clock", "this machine's clock agrees with PostgreSQL's again");
}

void jm_clock_skew_note(jm_clock_skew *skew, int64_t us, int64_t took_us)
{
    if (took_us > JM_CLOCK_READ_WITHIN_US)
        return;
    bool was = atomic_load(&skew->off);
    bool off = llabs(us) > (was ? JM_CLOCK_RIGHT_US : JM_CLOCK_OFF_US);
    atomic_store(&skew->us, us);
    atomic_store(&skew->off, off);
    if (off != was)
        say(off, us);
}
