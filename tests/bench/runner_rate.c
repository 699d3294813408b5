/* How many jobs a second the runner takes through a definition, with neither Kafka nor database:
 * bench_runner_rate FILE JOBS SLOTS. Prints one JSON object; CPU is of this process and of all its
 * children. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/mem.h"
#include "worker/executor.h"
#include "worker/runner.h"
#include "worker/type_dir.h"

static void fill(jm_job *job, jm_job_type *type)
{
    *job = (jm_job){.id = jm_uuid7_new(),
                    .job_type = type,
                    .type = type->name,
                    .project = "default",
                    .queue = "default",
                    .params = "{\"n\":1}",
                    .params_len = 7,
                    .attempt = 1,
                    .max_attempts = 1};
}

static double cpu_s(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Keeps as many jobs in flight as there are slots. Returns how many did not complete. */
static int drive(jm_runner *runner, jm_queue *reports, jm_job_type *type, int jobs, int slots)
{
    jm_job *all = jm_calloc((size_t)jobs, sizeof *all);
    int next = 0, ended = 0, failed = 0, wanted = slots;
    while (ended < jobs) {
        jm_chain chain = {0}, got = {0};
        for (; wanted && next < jobs; wanted--, next++) {
            fill(&all[next], type);
            jm_chain_add(&chain, &all[next].node);
        }
        if (chain.n)
            jm_runner_push(runner, &chain);
        jm_queue_pop_all(reports, &got, 1000);
        for (jm_report *report; (report = (jm_report *)jm_chain_take(&got));) {
            bool over = report->end != JM_END_NONE;
            ended += over;
            wanted += over;
            if (over && report->end != JM_END_COMPLETED && !failed++)
                fprintf(stderr, "%s\n", report->error);
            jm_report_free(report);
        }
    }
    free(all);
    return failed;
}

int main(int argc, char **argv)
{
    jm_job_type *type;
    jm_runner *runner = NULL;
    jm_err err;
    int jobs = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
    if (jobs < 1) {
        fprintf(stderr, "usage: bench_runner_rate FILE JOBS SLOTS\n");
        return 2;
    }
    jm_daemon_init();
    jm_queue *reports = jm_queue_new(0);
    jm_executor_env env = {.http_allow_private = true};
    jm_runner_options options = {.executor_env = &env, .reports = reports, .kill_grace_ms = 1000};
    if (jm_type_dir_load_file(argv[1], &type, &err) || jm_runner_new(&options, &runner, &err) ||
        jm_runner_start(runner, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    int64_t from_us = jm_mono_us();
    int failed = drive(runner, reports, type, jobs, (int)strtol(argv[3], NULL, 10));
    double s = (double)(jm_mono_us() - from_us) / 1e6, own_s = cpu_s(RUSAGE_SELF);
    jm_runner_free(runner);
    printf(
        "{\"jobs\":%d,\"failed\":%d,\"per_s\":%.0f,\"own_cpu_us\":%.1f,\"children_cpu_us\":%.1f}\n",
        jobs, failed, jobs / s, own_s / jobs * 1e6, cpu_s(RUSAGE_CHILDREN) / jobs * 1e6);
    jm_job_type_unref(type);
    jm_queue_free(reports);
    return failed != 0;
}
