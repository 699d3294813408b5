/* The attempts that ended here last. */
#include "worker/recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

enum { COMPLETED_A_BATCH = 100 };

struct jm_recent {
    const jm_db_clock *clock;
    pthread_mutex_t lock; /* of what follows */
    jm_recent_job jobs[JM_RECENT_MAX];
    int64_t n; /* ever put in: the next place is n % JM_RECENT_MAX */
};

jm_recent *jm_recent_new(const jm_db_clock *clock)
{
    jm_recent *recent = jm_calloc(1, sizeof *recent);
    recent->clock = clock;
    pthread_mutex_init(&recent->lock, NULL);
    return recent;
}

void jm_recent_free(jm_recent *recent)
{
    if (!recent)
        return;
    pthread_mutex_destroy(&recent->lock);
    free(recent);
}

/* Cut between characters. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t len = from ? strnlen(from, size) : 0;
    if (len == size)
        for (len = size - 1; len && ((unsigned char)from[len] & 0xc0) == 0x80;)
            len--;
    if (len)
        memcpy(to, from, len);
    to[len] = 0;
}

static const char *status_of(const jm_report *report, bool passed)
{
    static const char *const texts[] = {
        [JM_END_COMPLETED] = "completed", [JM_END_FAILED] = "failed",
        [JM_END_RETRY] = "retried",       [JM_END_CANCELLED] = "cancelled",
        [JM_END_RETURNED] = "returned",
    };
    return passed ? texts[report->end] : "superseded";
}

static void put(jm_recent *recent, const jm_report *report, bool passed)
{
    jm_recent_job *to = &recent->jobs[recent->n++ % JM_RECENT_MAX];
    to->id = report->job->id;
    to->attempt = report->job->attempt;
    to->status = status_of(report, passed);
    to->ended_us =
        report->from_spool ? report->ended_us : jm_db_clock_at(recent->clock, report->ended_us);
    to->duration_us = report->ended_us - report->started_us;
    copy_text(to->type, sizeof to->type, report->job->type);
    copy_text(to->queue, sizeof to->queue, report->job->queue);
    copy_text(to->project, sizeof to->project, report->job->project);
    copy_text(to->error, sizeof to->error, report->error);
}

void jm_recent_recorded(jm_recent *recent, jm_report *const *reports, const bool *passed, int n)
{
    if (!recent)
        return;
    int completed = 0;
    pthread_mutex_lock(&recent->lock);
    for (int i = n - 1; i >= 0; i--) {
        const jm_report *report = reports[i];
        bool plain = report->end == JM_END_COMPLETED && passed[i];
        if (report->end != JM_END_NONE && (!plain || completed++ < COMPLETED_A_BATCH))
            put(recent, report, passed[i]);
    }
    pthread_mutex_unlock(&recent->lock);
}

int jm_recent_copy(jm_recent *recent, bool (*accept)(void *ctx, const jm_recent_job *job),
                   void *ctx, jm_recent_job *out, int max)
{
    int n = 0;
    pthread_mutex_lock(&recent->lock);
    for (int64_t i = recent->n - 1; i >= 0 && i >= recent->n - JM_RECENT_MAX && n < max; i--)
        if (accept(ctx, &recent->jobs[i % JM_RECENT_MAX]))
            out[n++] = recent->jobs[i % JM_RECENT_MAX];
    pthread_mutex_unlock(&recent->lock);
    return n;
}
