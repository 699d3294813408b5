/* Plugins for tests: well-behaved, deaf, wrong and outdated ones. */
#include <jobmill_plugin.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int says(jobmill_job *job)
{
    job->log(job, JOBMILL_WARNING, "tab\t\"quote\" \xff", "{\"n\":12345678901234567890}");
    job->log(job, JOBMILL_INFO, job->config, NULL);
    job->progress(job, 10, 4, -1);
    job->progress(job, -1, 5, 1);
    job->set(job, "region", "\"eu\"");
    job->set(job, "n", "5");
    job->step(job, "part", "running", NULL, NULL);
    job->step(job, "part", "failed", "[1]", "broke");
    job->result(job, "{\"first\":1}");
    job->result(job, "{\"last\":true}");
    return JOBMILL_SUCCESS;
}
JOBMILL_PLUGIN(says_all, says);

static int wrong(jobmill_job *job)
{
    int refused = 0;
    refused += job->log(job, JOBMILL_INFO, "m", "{broken") == -1;
    refused += job->log(job, JOBMILL_INFO, "m", "1},\"result\":{\"x\":1") == -1;
    refused += job->set(job, "k", "[1]") == -1;
    refused += job->set(job, "k", "1,\"k2\":2") == -1;
    refused += job->step(job, "s", "done", NULL, NULL) == -1;
    refused += job->step(job, "", "success", NULL, NULL) == -1;
    refused += job->result(job, "nothing") == -1;
    refused += job->log(job, JOBMILL_INFO, NULL, NULL) == -1;
    refused += job->set(job, NULL, "1") == -1;
    refused += job->set(job, "k", NULL) == -1;
    refused += job->step(job, NULL, "success", NULL, NULL) == -1;
    refused += job->step(job, "s", NULL, NULL, NULL) == -1;
    refused += job->result(job, NULL) == -1;
    refused += job->get(job, NULL) == NULL;
    job->fail(job, JOBMILL_PERMANENT, NULL);
    return job->fail(job, refused == 14 ? JOBMILL_PERMANENT : JOBMILL_RETRY, "all wrong");
}
JOBMILL_PLUGIN(says_wrong, wrong);

static int gets(jobmill_job *job)
{
    const char *text = job->get(job, "/job/params/text"), *n = job->get(job, "/job/params/n");
    const char *list = job->get(job, "/job/params/list/1"), *none = job->get(job, "/job/params/x");
    const char *null = job->get(job, "/job/params/null"), *bad = job->get(job, "job");
    char out[300];
    if (none || null || bad || !text || !n || !list)
        return JOBMILL_PERMANENT;
    snprintf(out, sizeof out, "%s|%s|%s|%s", text, n, list, job->get(job, "/step/name"));
    return job->fail(job, JOBMILL_PERMANENT, out);
}
JOBMILL_PLUGIN(gets_values, gets);

static int returns(jobmill_job *job)
{
    const char *status = job->get(job, "/job/params/status");
    return status ? (int)strtol(status, NULL, 10) : 0;
}
JOBMILL_PLUGIN(returns_status, returns);

static int waits(jobmill_job *job)
{
    struct pollfd fd = {.fd = job->cancel_fd(job), .events = POLLIN};
    job->log(job, JOBMILL_INFO, "waiting", NULL);
    poll(&fd, 1, 60000);
    return job->fail(job, JOBMILL_RETRY, job->is_cancelled(job) ? "told to stop" : "not told");
}
JOBMILL_PLUGIN(waits_politely, waits);

/* Hears nothing until the file params.until exists. */
static int deaf(jobmill_job *job)
{
    const char *until = job->get(job, "/job/params/until");
    const struct timespec pause = {0, 5000000};
    while (until && access(until, F_OK))
        nanosleep(&pause, NULL);
    job->log(job, JOBMILL_INFO, "back", NULL);
    job->result(job, "{}");
    return JOBMILL_SUCCESS;
}
JOBMILL_PLUGIN(is_deaf, deaf);

static int floods(jobmill_job *job)
{
    char text[40];
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "line %d", i);
        job->log(job, JOBMILL_INFO, text, NULL);
    }
    return JOBMILL_SUCCESS;
}
JOBMILL_PLUGIN(floods_logs, floods);

/* Takes lock params.name, tells what came of it, and keeps it unless params.release. */
static int locks(jobmill_job *job)
{
    const char *name = job->get(job, "/job/params/name"), *wait = job->get(job, "/job/params/wait");
    char out[200];
    int64_t token = job->lock(job, name, 30, wait ? strtod(wait, NULL) : 0);
    int extended = 1, released = 1, again = 1;
    if (token > 0 && job->get(job, "/job/params/release")) {
        extended = job->lock_extend(job, name, token, 60);
        released = job->lock_release(job, name, token);
        again = job->lock_release(job, name, token);
    }
    snprintf(out, sizeof out, "{\"token\":%lld,\"extended\":%d,\"released\":%d,\"again\":%d}",
             (long long)token, extended, released, again);
    job->result(job, out);
    return JOBMILL_SUCCESS;
}
JOBMILL_PLUGIN(takes_locks, locks);

JOBMILL_EXPORT const jobmill_plugin outdated = {JOBMILL_PLUGIN_ABI + 6, sizeof(jobmill_plugin),
                                                says};
JOBMILL_EXPORT const jobmill_plugin empty = {JOBMILL_PLUGIN_ABI, sizeof(jobmill_plugin), NULL};
