/* What makes the schedules of the database those of a document: found first, then shown, then done,
 * exactly that or nothing. */
#ifndef JM_SERVICE_SCHEDULE_CHANGES_H
#define JM_SERVICE_SCHEDULE_CHANGES_H

#include "producer/service/schedule_document.h"

typedef struct jm_schedule_change {
    enum { JM_SCHEDULE_ADD, JM_SCHEDULE_EDIT, JM_SCHEDULE_DELETE } kind;
    const char *project, *name;
    json_t *before, *after;            /* definitions; NULL: there is none */
    json_t *preview;                   /* coming instants, as jm_schedule_preview_of; or NULL */
    const jm_document_schedule *given; /* NULL when it is to be deleted */
    jm_uuid id;                        /* not of an addition */
    int version;                       /* that was compared */
} jm_schedule_change;

typedef struct jm_calendar_change {
    bool added; /* otherwise changed */
    const jm_document_calendar *given;
    const char *definition, *description; /* before, when changed */
    int64_t schedules;                    /* that use it before */
} jm_calendar_change;

/* Borrows the document. */
typedef struct jm_schedule_changes {
    jm_schedule_change *items; /* by project and name */
    size_t n, cap;
    size_t added, changed, deleted, unchanged;
    size_t owned; /* schedules that the one who asks may delete */
    jm_calendar_change *calendars;
    size_t n_calendars;
    jm_arena *arena;
} jm_schedule_changes;

jm_schedule_changes *jm_schedule_changes_new(const jm_schedule_document *document);
void jm_schedule_changes_free(jm_schedule_changes *changes);
/* One more; counted by its kind. */
jm_schedule_change *jm_schedule_changes_add(jm_schedule_changes *changes, int kind);
bool jm_schedule_changes_is_none(const jm_schedule_changes *changes);

/* For people: a line each ("+ name  ...", "~ name  field old -> new", "- name"), instants below,
 * counts at the end. */
void jm_schedule_changes_print(const jm_schedule_changes *changes, jm_buf *out);
/* For programs: {"added": [], "changed": [], "deleted": [], "unchanged": n, "calendars": {"added":
 * [], "changed": []}}, with definitions before and after. */
json_t *jm_schedule_changes_json(const jm_schedule_changes *changes);

#endif
