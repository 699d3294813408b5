/* Reports as bytes, for the spool: tagged fields, so that a newer version may add some and an older
 * one skips what it does not know. */
#ifndef JM_REPORT_WIRE_H
#define JM_REPORT_WIRE_H

#include "common/buf.h"
#include "common/clock.h"
#include "worker/outcome.h"

/* Appends the report to out, its times by PostgreSQL's clock. Without logs, its log rows stay
 * behind. */
void jm_report_encode(const jm_report *report, const jm_db_clock *clock, bool logs, jm_buf *out);
/* The report (jm_report_free) with job and all strings in its own arena, or NULL if the bytes are
 * none. job has id, attempt, type, project, queue and what else events tell; no claim, no
 * job_type. */
jm_report *jm_report_decode(const void *bytes, size_t len);

#endif
