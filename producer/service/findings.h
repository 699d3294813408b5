/* What is wrong with a document: every finding with its file and its place, up to a number that a
 * person reads. */
#ifndef JM_SERVICE_FINDINGS_H
#define JM_SERVICE_FINDINGS_H

#include <jansson.h>

#include "common/buf.h"
#include "common/err.h"

enum { JM_FINDINGS_MAX = 20 /* further ones are counted */ };

/* Where something stands. Strings are borrowed. */
typedef struct jm_place {
    const char *file;
    const char *path; /* "schedules[3]", or "" for the file's one value */
} jm_place;

/* Embedded; {.out = buf} is none. */
typedef struct jm_findings {
    jm_buf *out; /* a line each */
    int n;
} jm_findings;

/* Adds "file: path.field: message". place may be NULL: what is wrong stands nowhere. */
void jm_findings_add(jm_findings *findings, const jm_place *place, const jm_err *err);
/* Says how many there are beyond those written. Returns JM_OK when there are none, else
 * JM_ERR_INVALID. */
int jm_findings_end(jm_findings *findings);

/* What has been written so, as [{"pointer": "/schedules/3/cron_expression", "detail": "..."}];
 * pointer only where there is a place. The caller owns it. */
json_t *jm_findings_list(const jm_buf *written);

#endif
