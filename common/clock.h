/* Three clocks: monotonic for durations, UTC for people, PostgreSQL's for what processes agree on;
 * and RFC 3339, the text form of instants. */
#ifndef JM_CLOCK_H
#define JM_CLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

int64_t jm_mono_us(void); /* CLOCK_MONOTONIC, microseconds */
int64_t jm_mono_ms(void);
int64_t jm_boot_us(void); /* CLOCK_BOOTTIME: as monotonic, and goes on while the machine sleeps */
int64_t jm_utc_us(void);  /* CLOCK_REALTIME, microseconds since 1970 */
int64_t jm_utc_ms(void);

/* A condition whose waits end by the monotonic clock. */
void jm_cond_init(pthread_cond_t *cond);
/* Waits, with the lock held, until it is signalled. false: until_us (jm_mono_us()) has come. */
bool jm_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us);

/* PostgreSQL's clock as this process knows it: the difference to the monotonic clock, set whenever
 * a connection reports clock_timestamp(). One per process, shared by its threads. */
typedef struct jm_db_clock {
    _Atomic int64_t offset_us; /* database clock minus monotonic clock; 0 until the first reading */
} jm_db_clock;

/* One reading: db_us came in an answer that was asked for at asked_us and arrived at got_us (both
 * monotonic). The middle of the two is taken as the moment of reading. */
void jm_db_clock_set(jm_db_clock *clock, int64_t db_us, int64_t asked_us, int64_t got_us);
/* Microseconds since 1970 by PostgreSQL's clock; this machine's UTC before the first reading. */
int64_t jm_db_clock_us(const jm_db_clock *clock);
/* The same for an instant of the monotonic clock. */
int64_t jm_db_clock_at(const jm_db_clock *clock, int64_t mono_us);

#define JM_RFC3339_TEXT 36
/* The first and last instant of the years 1 to 9999 in UTC. */
#define JM_RFC3339_MIN_US INT64_C(-62135596800000000)
#define JM_RFC3339_MAX_US INT64_C(253402300799999999)

/* "2026-11-22T14:30:00.123456Z"; no fraction when it is zero. Years 1 to 9999. */
void jm_rfc3339_format(int64_t us, char text[JM_RFC3339_TEXT]);
/* Full RFC 3339: date, 'T' or 't' or space, time with seconds, optional fraction (digits past the
 * sixth are cut), 'Z' or offset; leap second 60 becomes the next second; the years 1 to 9999 in UTC
 * too. Errors: JM_ERR_INVALID with what was expected. */
int jm_rfc3339_parse(const char *text, size_t len, int64_t *out_us, jm_err *err);
/* "90s", "5m", "1h30m", "30d", "2w", also with ms; a bare number is refused. */
int jm_duration_parse(const char *text, int64_t *out_us, jm_err *err);

/* Days since 1970-01-01 of a proleptic Gregorian date, and back. month 1..12, day 1..31. */
int64_t jm_days_from_civil(int64_t year, int month, int day);
void jm_civil_from_days(int64_t days, int64_t *year, int *month, int *day);

#endif
