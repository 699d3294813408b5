/* The table of status transitions. */
#include "job.h"

#include <string.h>

static const char *const names[] = {"pending", "running",   "completed",
                                    "failed",  "cancelled", "expired"};

/* transitions[from] is a bit set of where a job may go. */
static const unsigned transitions[] = {
    [JM_JOB_PENDING] =
        1u << JM_JOB_RUNNING | 1u << JM_JOB_CANCELLED | 1u << JM_JOB_EXPIRED | 1u << JM_JOB_FAILED,
    [JM_JOB_RUNNING] = 1u << JM_JOB_PENDING | 1u << JM_JOB_COMPLETED | 1u << JM_JOB_FAILED |
                       1u << JM_JOB_CANCELLED | 1u << JM_JOB_EXPIRED,
    [JM_JOB_COMPLETED] = 0,
    [JM_JOB_FAILED] = 0,
    [JM_JOB_CANCELLED] = 0,
    [JM_JOB_EXPIRED] = 0,
};

const char *jm_job_status_text(jm_job_status status)
{
    return names[status];
}

bool jm_job_status_parse(const char *text, jm_job_status *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(names[i], text)) {
            *out = (jm_job_status)i;
            return true;
        }
    }
    return false;
}

bool jm_job_status_is_terminal(jm_job_status status)
{
    return !transitions[status];
}

bool jm_job_status_may(jm_job_status from, jm_job_status to)
{
    return transitions[from] >> to & 1;
}
