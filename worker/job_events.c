/* Events about the jobs of a worker. */
#include "worker/job_events.h"

static const struct {
    const char *what, *status;
    bool ended;
} kinds[] = {
    [JM_END_NONE] = {"progress", "running", false},
    [JM_END_COMPLETED] = {"completed", "completed", true},
    [JM_END_FAILED] = {"failed", "failed", true},
    [JM_END_RETRY] = {"retried", "pending", false},
    [JM_END_CANCELLED] = {"cancelled", "cancelled", true},
    [JM_END_RETURNED] = {"returned", "pending", false},
};

static void describe(jm_job_event *event, const jm_job *job)
{
    *event = (jm_job_event){.id = &job->id,
                            .project = job->project,
                            .type = job->type,
                            .queue = job->queue,
                            .attempt = job->attempt,
                            .external_id = job->external_id,
                            .schedule_id = job->has_schedule ? &job->schedule_id : NULL,
                            .due_at_us = job->due_at_us,
                            .duration_ms = -1,
                            .items_total = -1,
                            .items_ok = -1,
                            .items_failed = -1,
                            .trace_context = job->trace_context};
}

static int64_t at(const jm_db_clock *clock, const jm_report *report, int64_t us)
{
    return report->from_spool ? us : jm_db_clock_at(clock, us);
}

static jm_job_event event_of(const jm_db_clock *clock, const jm_report *report)
{
    jm_job_event event;
    describe(&event, report->job);
    event.what = kinds[report->end].what;
    event.status = kinds[report->end].status;
    event.started_at_us = at(clock, report, report->started_us);
    event.items_total = report->items_total;
    event.items_ok = report->items_ok;
    event.items_failed = report->items_failed;
    event.error = report->error;
    event.result = report->result;
    if (report->end == JM_END_NONE) {
        event.at_us = jm_db_clock_us(clock);
    } else {
        event.at_us =
            report->completed_us ? report->completed_us : at(clock, report, report->ended_us);
        event.duration_ms = (report->ended_us - report->started_us) / 1000;
    }
    if (kinds[report->end].ended)
        event.completed_at_us = event.at_us;
    if (report->end == JM_END_RETRY)
        event.run_at_us = event.at_us + report->retry_in_us;
    return event;
}

static bool is_published(jm_events_level level, const jm_report *report)
{
    if (report->end == JM_END_NONE)
        return level == JM_EVENTS_ALL && report->progress;
    return level == JM_EVENTS_ALL || kinds[report->end].ended;
}

void jm_job_events_recorded(jm_events *events, const jm_db_clock *clock, jm_report *const *reports,
                            const bool *passed, int n)
{
    jm_events_level level = jm_events_level_of(events);
    jm_event_batch *batch = NULL;
    for (int i = 0; level != JM_EVENTS_NONE && i < n; i++) {
        if (!passed[i] || !is_published(level, reports[i]))
            continue;
        if (!batch)
            batch = jm_events_open(events);
        jm_job_event event = event_of(clock, reports[i]);
        jm_event_batch_add(batch, &event);
    }
    jm_events_push(events, batch);
}

void jm_job_events_started(jm_events *events, const jm_db_clock *clock, const jm_chain *jobs)
{
    if (jm_events_level_of(events) != JM_EVENTS_ALL || !jobs->n)
        return;
    jm_event_batch *batch = jm_events_open(events);
    int64_t now_us = jm_db_clock_us(clock);
    for (const jm_node *node = jobs->head; node; node = node->next) {
        jm_job_event event;
        describe(&event, (const jm_job *)node);
        event.what = "started";
        event.status = "running";
        event.at_us = event.started_at_us = now_us;
        jm_event_batch_add(batch, &event);
    }
    jm_events_push(events, batch);
}

void jm_job_events_write(jm_buf *out, const jm_db_clock *clock, const jm_report *report)
{
    jm_event_time time = {0};
    jm_job_event event = event_of(clock, report);
    jm_job_event_write(out, &time, &event);
}

void jm_job_events_write_expired(jm_buf *out, const jm_db_clock *clock, const jm_job *job)
{
    jm_event_time time = {0};
    jm_job_event event;
    describe(&event, job);
    event.what = event.status = "expired";
    event.error = "not started by start_by";
    event.attempt = 0;
    event.at_us = event.completed_at_us = jm_db_clock_us(clock);
    jm_job_event_write(out, &time, &event);
}
