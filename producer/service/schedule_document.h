/* Documents of schedules and their calendars: what people keep in git and other systems offer. Read
 * and judged as far as no database is needed. The format is in docs/scheduling.md and
 * schema/schedules.v1.json. */
#ifndef JM_SERVICE_SCHEDULE_DOCUMENT_H
#define JM_SERVICE_SCHEDULE_DOCUMENT_H

#include <jansson.h>

#include "common/buf.h"
#include "common/mem.h"
#include "producer/schedule.h"
#include "producer/service/findings.h"

#define JM_DOCUMENT_HASH_TEXT 65

/* One schedule. Everything belongs to the document. */
typedef struct jm_document_schedule {
    jm_schedule schedule;     /* id and source not set, not resolved: the caller does that */
    const json_t *definition; /* its members as they were given */
    jm_place place;
} jm_document_schedule;

typedef struct jm_document_calendar {
    const char *project, *name;
    const char *description; /* NULL: not given */
    const char *definition;  /* JSON, as jm_calendar_parse takes it */
    jm_place place;
} jm_document_calendar;

/* Both lists are in the order of project and name (by bytes), each pair once. */
typedef struct jm_schedule_document {
    jm_document_schedule *schedules;
    size_t n_schedules;
    jm_document_calendar *calendars;
    size_t n_calendars;
    bool lost_calendars;              /* some were wrong, and are not in the list */
    char hash[JM_DOCUMENT_HASH_TEXT]; /* SHA-256 of what was read, in hex */
    jm_arena *arena;
    json_t *values;
} jm_schedule_document;

/* Reads a file, all *.json of a directory (with those below, in the order of their names, hidden
 * ones left out), or standard input ("-"), 64 MiB at most. A file is {"calendars": [...],
 * "schedules": [...]}, an array of schedules, one schedule, or one calendar (which has a
 * definition). Judged is all that needs no database: members, types, expressions, time zones,
 * rules, names given twice; not whether the calendar that a schedule names is there.
 *
 * The schedules are to be completed by the caller: an interval without anchor_at has 0 there.
 * findings has all that is wrong, every member of every schedule; *out then has the rest, for
 * jm_schedule_import_find to judge as well. The caller frees it in any case. Errors:
 * JM_ERR_INVALID; JM_ERR_IO when it cannot be read. */
int jm_schedule_document_load(const char *path, jm_schedule_document **out, jm_findings *findings);
/* The same of text that came from elsewhere; name stands for the file in messages. */
int jm_schedule_document_parse(const char *name, const char *text, size_t len,
                               jm_schedule_document **out, jm_findings *findings);
void jm_schedule_document_free(jm_schedule_document *document);

/* The calendar of that name, or NULL. */
const jm_document_calendar *jm_schedule_document_calendar(const jm_schedule_document *document,
                                                          const char *project, const char *name);

/* The order of both lists. */
int jm_schedule_document_order(const char *project, const char *name, const char *other_project,
                               const char *other_name);

/* Writes a document {"calendars": [...], "schedules": [...]} to a file, in a form that is the same
 * for the same schedules; or, where path is a directory or ends with a slash, one file for each
 * schedule and calendar: <project>/<name>.json, <project>/calendars/<name>.json, with what no file
 * name should have as %XX. Files that are there and not named stay. Errors: JM_ERR_IO. */
int jm_schedule_document_write(const json_t *document, const char *path, jm_err *err);

#endif
