/* Loaded before libfaketime, which fakes the clock that C11 programs compute deadlines from but not
 * the waits until them (cnd_timedwait): in librdkafka each would end an hour late, or at once. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int timespec_get(struct timespec *ts, int base)
{
    return syscall(SYS_clock_gettime, CLOCK_REALTIME, ts) ? 0 : base;
}
