/* Times the statements of the hot path one by one, beside those of the bare loop: statements
 * DATABASE_URL [ROUNDS]. Each round takes every statement once over 1,000 jobs of its own, so that
 * other load falls on all alike. Commits do not wait for the disk here: this is about the work.
 * Prints a JSON object: microseconds a job, median of the rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/pg.h"
#include "tests/bench/bare_sql.h"

enum { JOBS = 1000, MAX_ROUNDS = 2000, COLS = 17 };

typedef struct bench {
    jm_pg *pg;
    jm_uuid worker;
    int64_t seq;
    jm_cols cols;
    jm_pg_args args;
} bench;

typedef void fill_fn(bench *b, const jm_uuid *ids);

static void must(int rc, const jm_err *err)
{
    if (rc) {
        fprintf(stderr, "statements: %s\n", err->msg);
        exit(1);
    }
}

/* ---- the arguments of each ---- */

static void start(bench *b, const jm_col_type *types, int n)
{
    jm_cols_fini(&b->cols);
    jm_cols_init(&b->cols, types, n);
    jm_pg_args_init(&b->args);
    jm_pg_arg_uuid(&b->args, &b->worker);
}

static void add_bounds(bench *b, const jm_uuid *ids)
{
    jm_pg_arg_uuid(&b->args, &ids[0]);
    jm_pg_arg_uuid(&b->args, &ids[JOBS - 1]);
}

static void fill_bare_accept(bench *b, const jm_uuid *ids)
{
    static const jm_col_type types[] = {JM_COL_UUID};
    start(b, types, 1);
    for (int i = 0; i < JOBS; i++)
        jm_col_add_uuid(&b->cols.col[0], &ids[i]);
    jm_pg_arg_cols(&b->args, &b->cols);
}

static void fill_claim(bench *b, const jm_uuid *ids)
{
    static const jm_col_type types[] = {JM_COL_UUID};
    start(b, types, 1);
    for (int i = 0; i < JOBS; i++)
        jm_col_add_uuid(&b->cols.col[0], &ids[i]);
    jm_pg_arg_i64(&b->args, ++b->seq);
    jm_pg_arg_cols(&b->args, &b->cols);
}

static void fill_accept_plain(bench *b, const jm_uuid *ids)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB,
                                        JM_COL_I32};
    start(b, types, 5);
    for (int i = 0; i < JOBS; i++) {
        jm_col_add_uuid(&b->cols.col[0], &ids[i]);
        jm_col_add_str(&b->cols.col[1], "default");
        jm_col_add_str(&b->cols.col[2], "noop");
        jm_col_add_str(&b->cols.col[3], "{}");
        jm_col_add_i32(&b->cols.col[4], 3);
    }
    jm_pg_arg_text(&b->args, "default");
    jm_pg_arg_cols(&b->args, &b->cols);
}

static void fill_bare_record(bench *b, const jm_uuid *ids)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_I32, JM_COL_I64};
    start(b, types, 3);
    for (int i = 0; i < JOBS; i++) {
        jm_col_add_uuid(&b->cols.col[0], &ids[i]);
        jm_col_add_i32(&b->cols.col[1], 1);
        jm_col_add_i64(&b->cols.col[2], 0);
    }
    jm_pg_arg_cols(&b->args, &b->cols);
    add_bounds(b, ids);
}

static void fill_record_plain(bench *b, const jm_uuid *ids)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_I32,  JM_COL_TS,    JM_COL_TS,
                                        JM_COL_I64,  JM_COL_TEXT, JM_COL_JSONB, JM_COL_TEXT};
    start(b, types, 8);
    int64_t now_us = jm_utc_us();
    for (int i = 0; i < JOBS; i++) {
        jm_col *c = b->cols.col;
        jm_col_add_uuid(&c[0], &ids[i]);
        jm_col_add_i32(&c[1], 1);
        jm_col_add_ts(&c[2], now_us);
        jm_col_add_ts(&c[3], now_us);
        jm_col_add_i64(&c[4], 0);
        jm_col_add_str(&c[5], "run");
        jm_col_add_null(&c[6]);
        jm_col_add_str(&c[7], "step run: success in 0 ms");
    }
    jm_pg_arg_cols(&b->args, &b->cols);
    add_bounds(b, ids);
}

static void add_step(jm_col *c, const jm_uuid *id, int64_t now_us)
{
    jm_col_add_uuid(&c[0], id);
    jm_col_add_i32(&c[1], 1);
    jm_col_add_str(&c[2], "run");
    jm_col_add_str(&c[3], "success");
    jm_col_add_null(&c[4]);
    jm_col_add_null(&c[5]);
    jm_col_add_i32(&c[6], 1);
    jm_col_add_ts(&c[7], now_us);
    jm_col_add_ts(&c[8], now_us);
    jm_col_add_i64(&c[9], 0);
}

static void add_log(jm_col *c, const jm_uuid *id, int64_t now_us)
{
    jm_col_add_uuid(&c[0], id);
    jm_col_add_i32(&c[1], 1);
    jm_col_add_str(&c[2], "run");
    jm_col_add_ts(&c[3], now_us);
    jm_col_add_str(&c[4], "INFO");
    jm_col_add_str(&c[5], "step run: success in 0 ms");
    jm_col_add_null(&c[6]);
}

static void fill_record_completed(bench *b, const jm_uuid *ids)
{
    static const jm_col_type types[] = {
        JM_COL_UUID, JM_COL_I32,  JM_COL_TS,   JM_COL_I64,  JM_COL_JSONB, /* jobs */
        JM_COL_UUID, JM_COL_I32,  JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB,
        JM_COL_TEXT, JM_COL_I32,  JM_COL_TS,   JM_COL_TS,   JM_COL_I64, /* steps */
        JM_COL_UUID, JM_COL_I32,  JM_COL_TEXT, JM_COL_TS,   JM_COL_TEXT,
        JM_COL_TEXT, JM_COL_JSONB /* logs */};
    start(b, types, JM_COUNT(types));
    int64_t now_us = jm_utc_us();
    for (int i = 0; i < JOBS; i++) {
        jm_col *c = b->cols.col;
        jm_col_add_uuid(&c[0], &ids[i]);
        jm_col_add_i32(&c[1], 1);
        jm_col_add_ts(&c[2], now_us);
        jm_col_add_i64(&c[3], 0);
        jm_col_add_null(&c[4]);
        add_step(c + 5, &ids[i], now_us);
        add_log(c + 15, &ids[i], now_us);
    }
    for (int i = 0; i < 5; i++)
        jm_pg_arg_col(&b->args, &b->cols.col[i]);
    add_bounds(b, ids);
    for (int i = 5; i < b->cols.n; i++)
        jm_pg_arg_col(&b->args, &b->cols.col[i]);
}

/* ---- the rounds ---- */

static const struct {
    const jm_sql *sql;
    fill_fn *fill;
    int set; /* which ids: those of a record statement are made by an accept before it */
} cases[] = {
    {&bare_accept, fill_bare_accept, 0},
    {&bare_claim, fill_claim, 0},
    {&bare_record, fill_bare_record, 0},
    {&jm_sql_accept_plain, fill_accept_plain, 1},
    {&jm_sql_accept_claim, fill_claim, 1},
    {&jm_sql_record_plain, fill_record_plain, 1},
    {&bare_accept, fill_bare_accept, 2}, /* only to have rows for the next */
    {&jm_sql_record_completed, fill_record_completed, 2},
};

static int64_t took[JM_COUNT(cases)][MAX_ROUNDS];

static int64_t run(bench *b, int which, const jm_uuid *ids)
{
    jm_err err = {0};
    cases[which].fill(b, ids);
    jm_pg_call call = {.sql = cases[which].sql, .args = &b->args, .binary = true};
    int64_t from_us = jm_mono_us();
    must(jm_pg_run(b->pg, &call, 1, &err), &err);
    int64_t us = jm_mono_us() - from_us;
    jm_pg_calls_clear(&call, 1);
    return us;
}

static int by_value(const void *x, const void *y)
{
    const int64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: statements DATABASE_URL [ROUNDS]\n");
        return 2;
    }
    int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 100;
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    jm_err err = {0};
    bench b = {.worker = jm_uuid7_new()};
    b.pg = jm_pg_new(&(jm_pg_options){
        .conninfo = argv[1], .schema = "jobmill", .name = "statements", .batch = true});
    must(jm_pg_connect(b.pg, &err), &err);
    must(jm_pg_exec(b.pg, "SET synchronous_commit = off", NULL, &err), &err);
    for (int round = 0; round < rounds; round++) {
        jm_uuid ids[3][JOBS];
        for (int i = 0; i < 3 * JOBS; i++)
            ids[i / JOBS][i % JOBS] = jm_uuid7_new();
        for (int set = 0; set < 3; set++)
            qsort(ids[set], JOBS, sizeof ids[set][0],
                  (int (*)(const void *, const void *))(void (*)(void))jm_uuid_cmp);
        for (int i = 0; i < (int)JM_COUNT(cases); i++)
            took[i][round] = run(&b, i, ids[cases[i].set]);
    }
    printf("{");
    for (int i = 0; i < (int)JM_COUNT(cases); i++) {
        qsort(took[i], (size_t)rounds, sizeof took[i][0], by_value);
        if (i != 6)
            printf("%s\"%s\":%.2f", i ? "," : "", cases[i].sql->name,
                   (double)took[i][rounds / 2] / JOBS);
    }
    printf("}\n");
    jm_cols_fini(&b.cols);
    jm_pg_free(b.pg);
    return 0;
}
