/* When something recurs: cron in a zone with its DST rules, elapsed intervals, single instants. The
 * one interface to calendar arithmetic. Instants are microseconds since 1970 UTC; 0 stands for
 * none. */
#ifndef JM_RECURRENCE_H
#define JM_RECURRENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "producer/cron.h"
#include "producer/zone.h"

typedef enum jm_recurrence_kind {
    JM_RECURRENCE_CRON,
    JM_RECURRENCE_INTERVAL,
    JM_RECURRENCE_ONCE
} jm_recurrence_kind;

/* For local times that do not exist. CRON: after for fixed times, skip for all others. */
typedef enum jm_dst_gap { JM_DST_GAP_CRON, JM_DST_GAP_AFTER, JM_DST_GAP_SKIP } jm_dst_gap;
/* For local times that come twice. CRON: first for fixed times, both for all others. */
typedef enum jm_dst_fold {
    JM_DST_FOLD_CRON,
    JM_DST_FOLD_FIRST,
    JM_DST_FOLD_SECOND,
    JM_DST_FOLD_BOTH
} jm_dst_fold;

/* As in the columns of schedules. Strings are borrowed. */
typedef struct jm_recurrence_spec {
    jm_recurrence_kind kind;
    const char *cron_expression; /* cron */
    const char *timezone;        /* NULL: UTC */
    jm_dst_gap dst_gap;
    jm_dst_fold dst_fold;
    int64_t interval_s;   /* interval */
    int64_t anchor_at_us; /* interval: instants are anchor + n * interval, n >= 1 */
    int64_t run_at_us;    /* once */
    int64_t starts_at_us; /* no instant before; 0: none */
    int64_t ends_at_us;   /* no instant after; 0: none */
} jm_recurrence_spec;

/* Ready to compute. A plain value that borrows its zone from the cache. */
typedef struct jm_recurrence {
    jm_recurrence_kind kind;
    jm_cron cron;
    const jm_zone *zone;
    jm_dst_gap gap;   /* resolved: AFTER or SKIP */
    jm_dst_fold fold; /* resolved: FIRST, SECOND or BOTH */
    int64_t interval_us, anchor_us, at_us;
    int64_t first_us, last_us; /* bounds, both inclusive */
} jm_recurrence;

/* Notes of an instant. */
enum {
    JM_RECURRENCE_GAP = 1, /* stands for local times that do not exist */
    JM_RECURRENCE_FOLD = 2 /* its local time comes twice */
};

/* Errors: JM_ERR_INVALID, JM_ERR_IO, with err->field naming the column. */
int jm_recurrence_init(jm_recurrence *out, const jm_recurrence_spec *spec, jm_zone_cache *zones,
                       jm_err *err);

/* The first instant strictly after after_us. Returns false when there is none. notes may be NULL.
 * Never loops: a search ends with year 9999. */
bool jm_recurrence_next(const jm_recurrence *recurrence, int64_t after_us, int64_t *out_us,
                        unsigned *notes);
/* The last instant strictly before before_us; as next in all else: a search ends with year 1. */
bool jm_recurrence_previous(const jm_recurrence *recurrence, int64_t before_us, int64_t *out_us,
                            unsigned *notes);
/* How many instants are in (after_us, upto_us]: by arithmetic, not by counting them off. */
int64_t jm_recurrence_count(const jm_recurrence *recurrence, int64_t after_us, int64_t upto_us);
/* The last instant in (after_us, upto_us]. Returns false when there is none. */
bool jm_recurrence_last(const jm_recurrence *recurrence, int64_t after_us, int64_t upto_us,
                        int64_t *out_us);

/* Appends a sentence: "at 02:30 on weekdays, Europe/Paris", "every 1 h 30 min from
 * 2026-11-22T10:00:00Z", "once at 2026-11-22T10:00:00Z". Rules for clock changes are in it where
 * they are not what the sentence suggests. Reads no zone. Errors: JM_ERR_INVALID for what
 * jm_recurrence_init would refuse, except a zone that does not exist. */
int jm_recurrence_describe(const jm_recurrence_spec *spec, jm_buf *out, jm_err *err);

/* "dst gap", "dst fold", "dst gap, dst fold" or "" (static). */
const char *jm_recurrence_notes_text(unsigned notes);

#endif
