/* A schedule in memory: the row of table schedules, its validation, and what its jobs are made of.
 */
#ifndef JM_SCHEDULE_H
#define JM_SCHEDULE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/uuid7.h"
#include "producer/calendar.h"
#include "producer/recurrence.h"

typedef enum jm_overlap {
    JM_OVERLAP_SKIP,
    JM_OVERLAP_QUEUE,
    JM_OVERLAP_ALLOW,
    JM_OVERLAP_CANCEL_RUNNING
} jm_overlap;

typedef enum jm_catch_up { JM_CATCH_UP_SKIP, JM_CATCH_UP_ONE, JM_CATCH_UP_ALL } jm_catch_up;

/* Strings are NUL-terminated and live in the arena of whoever made it; NULL when absent. JSON is
 * raw text. Instants are microseconds since 1970; 0: none. */
typedef struct jm_schedule {
    jm_uuid id;
    const char *name;
    const char *project;
    const char *external_id; /* in the system that it came from */
    const char *source;      /* user, or the sync that owns it */
    /* what its jobs are made of */
    const char *type;
    const char *profile;
    const char *params; /* raw JSON object, "{}" by default */
    const char *queue;
    const char *exclusive;
    const char *metadata; /* raw JSON object or NULL */
    const char *callback_url;
    const char *description;
    int priority;
    /* when */
    jm_recurrence_spec when;
    jm_recurrence recurrence; /* after jm_schedule_resolve */
    int jitter_s;
    const char *calendar;
    const jm_calendar *days; /* that calendar, set and owned by whoever computes; NULL: none */
    bool enabled, paused;
    /* As stored. The first instant that is not decided and is to run, and the first that the
     * calendar leaves out, if that comes before. */
    int64_t next_run_us, next_skip_us;
    /* what becomes of an instant */
    jm_overlap overlap;
    int max_instances;
    int misfire_grace_s;
    jm_catch_up catch_up;
    int catch_up_limit;
    bool coalesce_grace;
    int version;
} jm_schedule;

/* Defaults of the table's columns; the strings that must be set are NULL. */
void jm_schedule_init(jm_schedule *out);

/* Which column of a result is which. Any query will do that selects columns of schedules under
 * their own names (SELECT * does), in binary format; other columns are ignored, and a column that
 * is not selected keeps its default. */
#define JM_SCHEDULE_COLUMNS 37
typedef struct jm_schedule_columns {
    int at[JM_SCHEDULE_COLUMNS]; /* number of the column in the result, or -1 */
} jm_schedule_columns;

/* Once a result. */
void jm_schedule_columns_init(jm_schedule_columns *columns, const PGresult *res);
/* Once a row; copies into the arena. Errors: JM_ERR_INVALID for a value no program of this version
 * writes. */
int jm_schedule_from_row(const jm_schedule_columns *columns, const PGresult *res, int row,
                         jm_arena *arena, jm_schedule *out, jm_err *err);

/* Validates every field and makes schedule->recurrence. Call it before jm_tick_policy_decide.
 * Errors: JM_ERR_INVALID or JM_ERR_UNSUPPORTED with err->field naming the column: log it and leave
 * the schedule alone (a row that a newer program wrote is not this program's to change). */
int jm_schedule_resolve(jm_schedule *schedule, jm_zone_cache *zones, jm_err *err);

/* Whether its jobs run one after the other, for which they wait for its lock. */
bool jm_schedule_is_serial(const jm_schedule *schedule);

/* How much later the job of that instant is to be published, 0 to jitter_seconds: always the same
 * for a schedule and an instant. */
int64_t jm_schedule_jitter_us(const jm_schedule *schedule, int64_t due_us);

/* Spellings in the columns. The parsers return false for anything else; NULL gives the default of
 * dst_gap and dst_fold, whose text for it is NULL. */
const char *jm_recurrence_kind_text(jm_recurrence_kind kind);
const char *jm_dst_gap_text(jm_dst_gap gap);
const char *jm_dst_fold_text(jm_dst_fold fold);
const char *jm_overlap_text(jm_overlap overlap);
const char *jm_catch_up_text(jm_catch_up catch_up);
bool jm_recurrence_kind_parse(const char *text, jm_recurrence_kind *out);
bool jm_dst_gap_parse(const char *text, jm_dst_gap *out);
bool jm_dst_fold_parse(const char *text, jm_dst_fold *out);
bool jm_overlap_parse(const char *text, jm_overlap *out);
bool jm_catch_up_parse(const char *text, jm_catch_up *out);

#endif
