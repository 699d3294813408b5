/* The bare loop of submission: job and pending rows, committed; the SQL side alone, with nothing
 * parsed, checked or answered. bench_bare_submit CONNINFO SCHEMA COUNT BATCH CONNECTIONS: so many
 * rows a transaction on so many connections; prints "jobs per second". */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/pg.h"
#include "common/pg_batch.h"
#include "common/uuid7.h"

enum { MAX_CONNECTIONS = 90 };

/* $1 ids */
static const jm_sql submit_sql = {
    "bare_submit",
    "WITH made AS (INSERT INTO jobs (id, type, submitted_by, max_attempts) "
    "SELECT id, 'noop', 'anonymous', 3 FROM unnest($1::uuid[]) AS g (id) RETURNING id) "
    "INSERT INTO pending_jobs (job_id, state, visible_at, queue, type, project, priority) "
    "SELECT id, 'ready', statement_timestamp(), 'default', 'noop', 'default', 4 FROM made"};

typedef struct loop {
    int64_t count, batch, done;
    jm_err err;
    pthread_t thread;
    jm_pg *pg;
} loop;

static void *run(void *arg)
{
    loop *l = arg;
    jm_col ids;
    jm_col_init(&ids, JM_COL_UUID);
    int rc = JM_OK;
    while (!rc && l->done < l->count) {
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_col_reset(&ids);
        for (int64_t i = 0; i < l->batch; i++) {
            jm_uuid id = jm_uuid7_new();
            jm_col_add_uuid(&ids, &id);
        }
        jm_pg_arg_col(&args, &ids);
        rc = jm_pg_query(l->pg, &submit_sql, &args, NULL, &l->err);
        l->done += rc ? 0 : l->batch;
    }
    jm_col_fini(&ids);
    return NULL;
}

int main(int argc, char **argv)
{
    static loop loops[MAX_CONNECTIONS];
    int64_t done = 0;
    int n = argc == 6 ? (int)strtol(argv[5], NULL, 10) : 0;
    if (n < 1 || n > MAX_CONNECTIONS) {
        fprintf(stderr, "usage: bench_bare_submit CONNINFO SCHEMA COUNT BATCH CONNECTIONS\n");
        return 2;
    }
    for (int i = 0; i < n; i++) {
        loops[i] =
            (loop){.count = strtoll(argv[3], NULL, 10) / n, .batch = strtoll(argv[4], NULL, 10)};
        loops[i].pg = jm_pg_new(&(jm_pg_options){
            .conninfo = argv[1], .schema = argv[2], .name = "bench_bare_submit", .batch = true});
        if (jm_pg_connect(loops[i].pg, &loops[i].err)) {
            fprintf(stderr, "%s\n", loops[i].err.msg);
            return 1;
        }
    }
    int64_t began_us = jm_mono_us();
    for (int i = 0; i < n; i++)
        if (pthread_create(&loops[i].thread, NULL, run, &loops[i]))
            return 1;
    for (int i = 0; i < n; i++) {
        pthread_join(loops[i].thread, NULL);
        done += loops[i].done;
    }
    double seconds = (double)(jm_mono_us() - began_us) / 1e6;
    for (int i = 0; i < n; i++) {
        jm_pg_free(loops[i].pg);
        if (loops[i].done < loops[i].count) {
            fprintf(stderr, "%s\n", loops[i].err.msg);
            return 1;
        }
    }
    printf("%.0f\n", (double)done / seconds);
    return 0;
}
