/* The schedules of a document, ready to be fired without a database. */
#include "producer/file_plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "producer/plan.h"

void jm_file_plan_fini(jm_file_plan *plan)
{
    for (size_t i = 0; i < plan->n_calendars; i++)
        jm_calendar_free(plan->calendars[i]);
    free(plan->calendars);
    free(plan->entries);
    jm_schedule_document_free(plan->document);
    *plan = (jm_file_plan){0};
}

static int needs_database(const jm_schedule *s, jm_err *err)
{
    if (jm_schedule_is_serial(s))
        return jm_err_field(err, "overlap", "queue and cancel_running need a database");
    if (s->exclusive)
        return jm_err_field(err, "exclusive", "it needs a database");
    if (s->callback_url)
        return jm_err_field(err, "callback_url", "it needs a database");
    return 0;
}

static int find_calendar(const jm_file_plan *plan, jm_schedule *s, jm_err *err)
{
    if (!s->calendar)
        return 0;
    const jm_document_calendar *found =
        jm_schedule_document_calendar(plan->document, s->project, s->calendar);
    if (!found)
        return jm_err_field(err, "calendar", "the document has no calendar \"%s\" in project %s",
                            s->calendar, s->project);
    s->days = plan->calendars[found - plan->document->calendars];
    return 0;
}

static const jm_file_entry *entry_of(const jm_file_plan *plan, const jm_schedule *s)
{
    size_t lo = 0, hi = plan ? plan->n : 0;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const jm_schedule *at = &plan->entries[mid].schedule;
        int order = jm_schedule_document_order(at->project, at->name, s->project, s->name);
        if (!order)
            return &plan->entries[mid];
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* Where it goes on, or begins. */
static void begin(jm_schedule *s, const jm_file_entry *was, bool same, int64_t now_us)
{
    const jm_plan plan = {&s->recurrence, s->days};
    if (same) {
        s->next_run_us = was->schedule.next_run_us;
        s->next_skip_us = was->schedule.next_skip_us;
    } else {
        jm_plan_begin(&plan, now_us, &s->next_run_us, &s->next_skip_us);
    }
    if (!s->enabled || s->paused)
        s->next_run_us = s->next_skip_us = 0;
}

static int add(jm_file_plan *plan, const jm_document_schedule *given, const jm_file_plan *before,
               jm_zone_cache *zones, int64_t now_us, jm_err *err)
{
    jm_file_entry *entry = &plan->entries[plan->n++];
    *entry = (jm_file_entry){given->schedule, given->definition};
    jm_schedule *s = &entry->schedule;
    const jm_file_entry *was = entry_of(before, s);
    bool same = was && json_equal(was->definition, given->definition) && !s->calendar;
    if (s->when.kind == JM_RECURRENCE_INTERVAL && !s->when.anchor_at_us)
        s->when.anchor_at_us =
            was && was->schedule.when.anchor_at_us ? was->schedule.when.anchor_at_us : now_us;
    int code = needs_database(s, err);
    if (!code)
        code = jm_schedule_resolve(s, zones, err);
    if (!code)
        code = find_calendar(plan, s, err);
    s->overlap = JM_OVERLAP_ALLOW; /* nobody knows what is unfinished */
    if (!code)
        begin(s, was, same, now_us);
    return code ? jm_err_prefix(err, "schedule %s", s->name) : 0;
}

static int parse_calendars(jm_file_plan *plan, jm_err *err)
{
    const jm_schedule_document *d = plan->document;
    plan->calendars = jm_calloc(d->n_calendars + 1, sizeof *plan->calendars);
    for (size_t i = 0; i < d->n_calendars; i++) {
        const char *text = d->calendars[i].definition;
        if (jm_calendar_parse(&plan->calendars[i], text, strlen(text), err))
            return jm_err_prefix(err, "calendar %s", d->calendars[i].name);
        plan->n_calendars++;
    }
    return 0;
}

int jm_file_plan_make(jm_schedule_document *document, const jm_file_plan *was, jm_zone_cache *zones,
                      int64_t now_us, jm_file_plan *out, jm_err *err)
{
    *out = (jm_file_plan){.document = document};
    out->entries = jm_calloc(document->n_schedules + 1, sizeof *out->entries);
    int code = parse_calendars(out, err);
    for (size_t i = 0; !code && i < document->n_schedules; i++)
        code = add(out, &document->schedules[i], was, zones, now_us, err);
    if (code)
        jm_file_plan_fini(out);
    return code;
}
