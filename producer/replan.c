/* Next instants computed anew, page by page of locked schedules. */
#include "producer/replan.h"

#include <stdlib.h>

#include "common/mem.h"
#include "producer/dues.h"
#include "producer/plan.h"
#include "producer/tx.h"

enum { PAGE_ROWS = 500 };

/* Which schedules, and how far the walk has come. */
typedef struct walk {
    jm_pg *pg;
    const jm_sql *page;         /* $1 and $2 below, $3 last id, $4 rows; locks */
    const char *first, *second; /* project and calendar, or timezone and NULL */
    jm_zone_cache *zones;
    jm_dues *dues;
    jm_uuid last;
    jm_col *ended; /* takes the ids of those that run no more; NULL: nobody asks */
    int64_t n;     /* schedules seen */
} walk;

static void walk_init(walk *w, jm_pg *pg, const jm_sql *page, const char *first, const char *second,
                      jm_zone_cache *zones)
{
    *w = (walk){.pg = pg, .page = page, .first = first, .second = second, .zones = zones};
    w->dues = jm_dues_new();
}

static void not_understood(void *ctx, const jm_schedule *schedule, const jm_err *err)
{
    (void)ctx; /* the scheduler says so when it comes to it */
    (void)schedule;
    (void)err;
}

/* Locks the next page. */
static int lock_page(walk *w, jm_col *ids, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, w->first);
    jm_pg_arg_text(&args, w->second);
    jm_pg_arg_uuid(&args, &w->last);
    jm_pg_arg_i32(&args, PAGE_ROWS);
    jm_pg_call call = {.sql = w->page, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    for (int row = 0; !rc && row < PQntuples(call.res); row++) {
        w->last = jm_pg_get_uuid(call.res, row, 0);
        jm_col_add_uuid(ids, &w->last);
        w->n++;
    }
    jm_pg_calls_clear(&call, 1);
    return rc;
}

/* The page's rows, read under the lock. */
static int read_page(walk *w, jm_col *ids, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, ids);
    jm_dues_reset(w->dues);
    jm_pg_call call = {.sql = &jm_sql_replan_rows, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    if (!rc) {
        jm_dues_read(w->dues, call.res, w->zones, not_understood, NULL);
        rc = jm_dues_read_calendars(w->dues, w->pg, not_understood, NULL, err);
    }
    jm_pg_calls_clear(&call, 1);
    return rc;
}

static bool is_due(const jm_due *due)
{
    const jm_schedule *s = &due->schedule;
    return (s->next_run_us && s->next_run_us <= due->now_us) ||
           (s->next_skip_us && s->next_skip_us <= due->now_us);
}

static bool any_due(walk *w)
{
    for (size_t i = 0; i < jm_dues_count(w->dues); i++)
        if (is_due(jm_dues_at(w->dues, i)))
            return true;
    return false;
}

/* Decides what is due. Jobs that go through Kafka the relay reads. */
static int settle_page(walk *w, jm_col *ids, jm_err *err)
{
    int rc = read_page(w, ids, err);
    while (!rc && any_due(w)) {
        rc = jm_dues_decide(w->dues, w->pg, err);
        if (!rc)
            rc = jm_dues_write(w->dues, w->pg, false, NULL, err);
        if (!rc)
            rc = read_page(w, ids, err);
    }
    return rc;
}

/* Next instants are strictly after this, and after all that is in the ledger. What has come since
 * it was settled by the old calendar is decided by the new one. */
static int64_t planned_after(const jm_due *due)
{
    int64_t run_us = due->schedule.next_run_us, skip_us = due->schedule.next_skip_us;
    int64_t first_us = run_us && (!skip_us || run_us < skip_us) ? run_us : skip_us;
    int64_t after_us = first_us && first_us <= due->now_us ? first_us - 1 : due->now_us;
    return after_us > due->decided_until_us ? after_us : due->decided_until_us;
}

/* The first instants that nobody has decided. */
static int write_page(walk *w, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_TS, JM_COL_TS};
    jm_cols cols;
    jm_pg_args args;
    jm_cols_init(&cols, types, JM_COUNT(types));
    for (size_t i = 0; i < jm_dues_count(w->dues); i++) {
        const jm_due *due = jm_dues_at(w->dues, i);
        const jm_plan plan = {&due->schedule.recurrence, due->schedule.days};
        int64_t run_us, skip_us;
        jm_plan_begin(&plan, planned_after(due), &run_us, &skip_us);
        jm_col_add_uuid(&cols.col[0], &due->schedule.id);
        jm_col_add_time(&cols.col[1], run_us);
        jm_col_add_time(&cols.col[2], skip_us);
        if (w->ended && due->schedule.next_run_us && !run_us)
            jm_col_add_uuid(w->ended, &due->schedule.id);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &cols);
    int rc = jm_pg_query(w->pg, &jm_sql_replan_write, &args, NULL, err);
    jm_cols_fini(&cols);
    return rc;
}

/* One page; *more: there may be another. */
static int do_page(walk *w, bool settle, bool write, bool *more, jm_err *err)
{
    jm_col ids;
    jm_col_init(&ids, JM_COL_UUID);
    int rc = lock_page(w, &ids, err);
    *more = !rc && ids.n == PAGE_ROWS;
    if (!rc && ids.n)
        rc = settle ? settle_page(w, &ids, err) : read_page(w, &ids, err);
    if (!rc && ids.n && write)
        rc = write_page(w, err);
    jm_col_fini(&ids);
    return rc;
}

static int walk_calendar(jm_pg *pg, const char *project, const char *name, bool settle,
                         jm_col *ended, jm_err *err)
{
    walk w;
    bool more = true;
    int rc = JM_OK;
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    walk_init(&w, pg, &jm_sql_replan_calendar, project, name, zones);
    w.ended = ended;
    while (!rc && more)
        rc = do_page(&w, settle, !settle, &more, err);
    jm_dues_free(w.dues);
    jm_zone_cache_free(zones);
    return rc;
}

int jm_replan_before_calendar(jm_pg *pg, const char *project, const char *name, jm_err *err)
{
    return walk_calendar(pg, project, name, true, NULL, err);
}

int jm_replan_after_calendar(jm_pg *pg, const char *project, const char *name, jm_col *ended,
                             jm_err *err)
{
    return walk_calendar(pg, project, name, false, ended, err);
}

int jm_replan_zone(jm_pg *pg, const char *timezone, jm_zone_cache *zones, int64_t *n, jm_err *err)
{
    walk w;
    bool more = true;
    int rc = JM_OK;
    walk_init(&w, pg, &jm_sql_replan_zone, timezone, NULL, zones);
    while (!rc && more) {
        rc = jm_pg_exec(pg, "BEGIN", NULL, err);
        if (!rc)
            rc = do_page(&w, true, true, &more, err);
        if (rc)
            jm_tx_rollback(pg);
        else
            rc = jm_pg_exec(pg, "COMMIT", NULL, err);
    }
    *n = w.n;
    jm_dues_free(w.dues);
    return rc;
}
