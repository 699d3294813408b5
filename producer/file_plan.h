/* The schedules of a document, ready to be fired without a database. */
#ifndef JM_FILE_PLAN_H
#define JM_FILE_PLAN_H

#include "common/err.h"
#include "producer/service/schedule_document.h"
#include "producer/zone.h"

/* One schedule that fires. next_run_us and next_skip_us of schedule are kept up to date. */
typedef struct jm_file_entry {
    jm_schedule schedule;
    const json_t *definition; /* as it was given; of the document */
} jm_file_entry;

typedef struct jm_file_plan {
    jm_file_entry *entries; /* by project and name */
    size_t n;
    jm_schedule_document *document;
    jm_calendar **calendars;
    size_t n_calendars;
} jm_file_plan;

/* Takes the document. What has been running (was, may be NULL) goes on where its definition is the
 * same; all else begins strictly after now_us. Errors, with the document freed: JM_ERR_INVALID for
 * what needs a database (queue, cancel_running, exclusive, callback_url), a calendar that is not
 * there, and what jm_schedule_resolve finds; the message names the schedule. */
int jm_file_plan_make(jm_schedule_document *document, const jm_file_plan *was, jm_zone_cache *zones,
                      int64_t now_us, jm_file_plan *out, jm_err *err);
void jm_file_plan_fini(jm_file_plan *plan);

#endif
