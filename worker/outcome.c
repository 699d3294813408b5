/* Makes and frees reports. */
#include "outcome.h"

#include <stdlib.h>

#include "common/mem.h"

jm_report *jm_report_new(jm_job *job)
{
    jm_report *report = jm_calloc(1, sizeof *report);
    report->job = job;
    report->return_code = -1;
    report->items_total = report->items_ok = report->items_failed = -1;
    return report;
}

void jm_report_free(jm_report *report)
{
    if (!report)
        return;
    jm_arena_free(report->arena);
    free(report);
}
