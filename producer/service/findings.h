/* What is wrong with a document: every finding with its file and its place. */
#ifndef JM_SERVICE_FINDINGS_H
#define JM_SERVICE_FINDINGS_H

#include <jansson.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/mem.h"

enum {
    JM_FINDINGS_MAX = 1000, /* further ones are counted */
    JM_FINDINGS_LOGGED = 20 /* what a log line or a row of a table has of them */
};

/* Where something stands. Strings are borrowed. */
typedef struct jm_place {
    const char *file;
    const char *path; /* "schedules[3]", or "" for the file's one value */
} jm_place;

typedef struct jm_finding {
    const char *file;    /* NULL: it stands nowhere */
    const char *path;    /* "schedules[3]", or "" */
    const char *field;   /* "cron_expression", or "" */
    const char *message; /* what is wrong, and what would be right */
} jm_finding;

/* Embedded; {0} is none. */
typedef struct jm_findings {
    jm_finding *items;
    size_t n, cap;
    size_t total;    /* with those beyond JM_FINDINGS_MAX */
    jm_arena *arena; /* of the strings */
} jm_findings;

void jm_findings_fini(jm_findings *findings);
/* Adds err, with its field, at a place; NULL: what is wrong stands nowhere. */
void jm_findings_add(jm_findings *findings, const jm_place *place, const jm_err *err);
/* JM_OK when there are none, else JM_ERR_INVALID. */
int jm_findings_code(const jm_findings *findings);

/* Adds a line for each, "file: path.field: message", up to most, and how many there are besides. */
void jm_findings_print(const jm_findings *findings, size_t most, jm_buf *out);
/* [{"pointer": "/schedules/3/cron_expression", "detail": "..."}]; pointer only where there is a
 * place. The caller owns it. */
json_t *jm_findings_json(const jm_findings *findings);

#endif
