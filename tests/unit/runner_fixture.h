/* A runner for tests, with everything it reports kept: shared by test_runner.c and test_exec.c. */
#ifndef JM_RUNNER_FIXTURE_H
#define JM_RUNNER_FIXTURE_H

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "worker/runner.h"

enum { FIXTURE_REPORTS = 20000, FIXTURE_ROWS = 12000 };

/* The rows of all reports, by seq: the row that closes a step in the place of its running row. */
typedef struct fixture_rows {
    jm_step_row steps[1200];
    bool seen[1200];
    int n_steps;
    jm_log_row logs[FIXTURE_ROWS];
    int n_logs;
} fixture_rows;

typedef struct fixture {
    jm_runner *runner;
    jm_queue *queue;
    jm_chain waiting;
    _Atomic int freed;
    jm_report *reports[FIXTURE_REPORTS]; /* all that came, in order */
    int n_reports;
    jm_job job;
    fixture_rows rows; /* of fixture_collect */
} fixture;

static inline void fixture_slots_free(void *ctx, jm_job_type *type, int n)
{
    (void)type;
    fixture *f = ctx;
    atomic_fetch_add(&f->freed, n);
}

static inline int fixture_freed(fixture *f)
{
    return atomic_load(&f->freed);
}

static inline void fixture_init_with(fixture *f, const struct jm_executor_env *env)
{
    jm_err err;
    memset(f, 0, sizeof *f);
    jm_daemon_init(); /* as the worker does: children must not inherit it */
    f->queue = jm_queue_new(0);
    jm_runner_options options = {.reports = f->queue,
                                 .slots_free = fixture_slots_free,
                                 .ctx = f,
                                 .kill_grace_ms = 500,
                                 .stuck_ms = 1000,
                                 .executor_env = env};
    ck_assert_msg(!jm_runner_new(&options, &f->runner, &err), "%s", err.msg);
}

static inline void fixture_init_unstarted(fixture *f)
{
    fixture_init_with(f, NULL);
}

static inline void fixture_init(fixture *f)
{
    jm_err err;
    fixture_init_unstarted(f);
    ck_assert_msg(!jm_runner_start(f->runner, &err), "%s", err.msg);
}

static inline jm_job_type *fixture_type(const char *text)
{
    jm_job_type *type = NULL;
    jm_err err;
    ck_assert_msg(!jm_job_type_parse("test", text, strlen(text), &type, &err), "%s", err.msg);
    return type;
}

/* Takes the reference over as the job's. */
static inline void fixture_job(fixture *f, jm_job *job, jm_job_type *type, const char *params)
{
    (void)f;
    *job = (jm_job){.id = jm_uuid7_new(),
                    .job_type = type,
                    .type = type->name,
                    .project = "default",
                    .queue = "default",
                    .params = params,
                    .params_len = strlen(params),
                    .attempt = 1,
                    .max_attempts = type->max_attempts,
                    .timeout_s = type->timeout_s};
}

/* The next report, whatever it is. */
static inline jm_report *fixture_next(fixture *f)
{
    jm_report *report = (jm_report *)jm_chain_take(&f->waiting);
    if (!report) {
        ck_assert_int_eq(jm_queue_pop_all(f->queue, &f->waiting, 50000), 0);
        report = (jm_report *)jm_chain_take(&f->waiting);
    }
    ck_assert_int_lt(f->n_reports, FIXTURE_REPORTS);
    return f->reports[f->n_reports++] = report;
}

/* The next report that ends a job. */
static inline jm_report *fixture_wait(fixture *f)
{
    jm_report *report;
    do
        report = fixture_next(f);
    while (report->end == JM_END_NONE);
    return report;
}

/* Runs f->job; the report that ends it. Earlier reports are gone afterwards. */
static inline jm_report *fixture_run_job(fixture *f)
{
    jm_chain chain = {0};
    for (int i = 0; i < f->n_reports; i++)
        jm_report_free(f->reports[i]);
    f->n_reports = 0;
    jm_chain_add(&chain, &f->job.node);
    ck_assert_int_eq(jm_runner_push(f->runner, &chain), 0);
    return fixture_wait(f);
}

static inline jm_report *fixture_run(fixture *f, jm_job_type *type, const char *params)
{
    jm_job_type_unref(f->job.job_type);
    fixture_job(f, &f->job, type, params);
    return fixture_run_job(f);
}

static inline const fixture_rows *fixture_collect(fixture *f)
{
    fixture_rows *rows = &f->rows;
    memset(rows, 0, sizeof *rows);
    for (int i = 0; i < f->n_reports; i++) {
        const jm_report *report = f->reports[i];
        for (int j = 0; j < report->n_steps; j++) {
            int at = report->steps[j].seq - 1;
            ck_assert_int_eq(report->steps[j].update, rows->seen[at]);
            rows->seen[at] = true;
            rows->n_steps = at < rows->n_steps ? rows->n_steps : at + 1;
            rows->steps[at] = report->steps[j];
        }
        for (int j = 0; j < report->n_logs; j++)
            rows->logs[rows->n_logs++] = report->logs[j];
    }
    return rows;
}

/* Whether there is such a process, and not only its remains. */
static inline bool alive(int pid)
{
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    if (fscanf(f, "%*d %*s %c", &state) != 1)
        state = 'X';
    fclose(f);
    return state != 'Z' && state != 'X';
}

static inline void assert_dies(int pid)
{
    int64_t deadline = jm_mono_ms() + 10000;
    while (alive(pid) && jm_mono_ms() < deadline)
        usleep(2000);
    ck_assert_msg(!alive(pid), "process %d lives on", pid);
}

static inline void fixture_fini(fixture *f)
{
    jm_runner_free(f->runner);
    for (int i = 0; i < f->n_reports; i++)
        jm_report_free(f->reports[i]);
    ck_assert_int_eq(jm_queue_pop_all(f->queue, &f->waiting, 0), JM_ERR_TIMEOUT);
    ck_assert_uint_eq(f->waiting.n, 0);
    jm_queue_free(f->queue);
    jm_job_type_unref(f->job.job_type);
}

#endif
