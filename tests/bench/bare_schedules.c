/* The bare loop of scheduling: due schedules → tick, job and pending rows, advanced, committed; the
 * SQL side alone, with nothing computed and nothing published. bench_bare_schedules CONNINFO SCHEMA
 * COUNT: prints "fires per second". */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/pg.h"

enum { BATCH = 1000 };

static const jm_sql begin_sql = {"bare_begin", "BEGIN"}, commit_sql = {"bare_commit", "COMMIT"};
/* $1 rows */
static const jm_sql fire_sql = {
    "bare_fire",
    "WITH due AS MATERIALIZED (SELECT id, next_run_at, type, queue, project, interval_seconds "
    "FROM schedules WHERE enabled AND NOT paused AND next_run_at <= (SELECT clock_timestamp()) "
    "ORDER BY next_run_at LIMIT $1 FOR UPDATE SKIP LOCKED), "
    "made AS MATERIALIZED (SELECT uuid7() AS job_id, d.* FROM due d), "
    "ticks AS (INSERT INTO schedule_ticks (schedule_id, due_at, outcome, job_id) "
    "SELECT id, next_run_at, 'fired', job_id FROM made), "
    "job AS (INSERT INTO jobs (id, type, queue, project, schedule_id, due_at, submitted_by, "
    "max_attempts) SELECT job_id, type, queue, project, id, next_run_at, 'schedule', 3 FROM made), "
    "pending AS (INSERT INTO pending_jobs (job_id, state, visible_at, queue, type, project, "
    "priority, message) SELECT job_id, 'unpublished', clock_timestamp() + interval '1 hour', "
    "queue, "
    "type, project, 4, '{\"type\":\"' || type || '\",\"id\":\"' || job_id || '\"}' FROM made), "
    "moved AS (UPDATE schedules s SET next_run_at = m.next_run_at + m.interval_seconds * interval "
    "'1 s', last_run_at = m.next_run_at, last_job_id = m.job_id FROM made m WHERE s.id = m.id) "
    "SELECT count(*) FROM made"};

static int fire(jm_pg *pg, int64_t *n, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, BATCH);
    jm_pg_call calls[] = {{.sql = &begin_sql},
                          {.sql = &fire_sql, .args = &args, .binary = true},
                          {.sql = &commit_sql}};
    int rc = jm_pg_run(pg, calls, 3, err);
    if (!rc)
        *n = jm_pg_get_i64(calls[1].res, 0, 0);
    jm_pg_calls_clear(calls, rc ? 0 : 3);
    return rc;
}

int main(int argc, char **argv)
{
    jm_err err = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: bench_bare_schedules CONNINFO SCHEMA COUNT\n");
        return 2;
    }
    int64_t count = strtoll(argv[3], NULL, 10), done = 0, n = 1;
    jm_pg *pg = jm_pg_new(&(jm_pg_options){
        .conninfo = argv[1], .schema = argv[2], .name = "bench_bare_schedules", .batch = true});
    int rc = jm_pg_connect(pg, &err);
    int64_t began_us = jm_mono_us();
    for (; !rc && n && done < count; done += n)
        rc = fire(pg, &n, &err);
    double seconds = (double)(jm_mono_us() - began_us) / 1e6;
    jm_pg_free(pg);
    if (rc || done < count) {
        fprintf(stderr, "%lld of %lld: %s\n", (long long)done, (long long)count, err.msg);
        return 1;
    }
    printf("%.0f\n", (double)done / seconds);
    return 0;
}
