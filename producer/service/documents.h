/* Documents: JSON of applications, every version kept. The rules and queries behind the command
 * line and the API. A document has the columns of its table as members, its body digit for digit
 * (jm_json_exact_dump writes it); the caller owns what it is given. All block on the database. */
#ifndef JM_SERVICE_DOCUMENTS_H
#define JM_SERVICE_DOCUMENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/service/change.h"

struct jm_pg;
struct jm_page;

enum { JM_DOCUMENT_BYTES_MAX = 1 << 20 };

/* What a change may ask for: the version that the document has, or that there is none. */
enum { JM_DOCUMENT_ANY = 0, JM_DOCUMENT_NEW = -1 };

/* Strings are borrowed. */
typedef struct jm_document_entry {
    const char *project, *name;
    const char *body;        /* JSON */
    const char *description; /* NULL: none, or as it was */
    int64_t if_version;      /* or one of the above */
    const char *action;      /* for the audit log; NULL: create or update */
} jm_document_entry;

typedef enum jm_document_fate {
    JM_DOCUMENT_UNCHANGED, /* it is that already: no version is made */
    JM_DOCUMENT_CHANGED,
    JM_DOCUMENT_CREATED
} jm_document_fate;

/* Makes a document, or a version of one that is there. Errors: JM_ERR_INVALID with field "name",
 * "body" or "description"; JM_ERR_NOT_FOUND (project); JM_ERR_CONFLICT with field "version" where
 * it has another one; those of the database. */
int jm_documents_set(struct jm_pg *pg, const jm_document_entry *entry, const jm_change *change,
                     json_t **document, jm_document_fate *fate, jm_err *err);
/* The same inside the caller's transaction, without looking at change->dry_run. *fate and errors as
 * above. */
int jm_documents_put(struct jm_pg *pg, const jm_document_entry *entry, const jm_change *change,
                     jm_document_fate *fate, jm_err *err);
/* A new version with the body and description of an earlier one, also of a document that is
 * deleted. */
int jm_documents_rollback(struct jm_pg *pg, const char *project, const char *name, int64_t version,
                          int64_t if_version, const jm_change *change, json_t **document,
                          jm_err *err);
/* Its versions stay. Errors: JM_ERR_NOT_FOUND, JM_ERR_CONFLICT as above. */
int jm_documents_delete(struct jm_pg *pg, const char *project, const char *name, int64_t if_version,
                        const jm_change *change, jm_err *err);

typedef struct jm_documents_page {
    const char *project; /* NULL: all */
    const char *prefix;  /* of the name; NULL: any */
    const char *cursor;  /* as a page before gave it; NULL: from the first on */
    int64_t limit, offset;
    int64_t *total; /* as of jm_page */
} jm_documents_page;

/* By project and name, without bodies but with "bytes". *next: the cursor of the page behind a full
 * one, or NULL; the caller frees. Errors: JM_ERR_INVALID with field "cursor". */
int jm_documents_list(struct jm_pg *pg, const jm_documents_page *page, json_t **items, char **next,
                      jm_err *err);
int jm_documents_show(struct jm_pg *pg, const char *project, const char *name, json_t **document,
                      jm_err *err);
/* Newest first, without bodies: version, action, at, actor,
 * source, reason, bytes, description. Errors: JM_ERR_NOT_FOUND when there never was one. */
int jm_documents_versions(struct jm_pg *pg, const char *project, const char *name,
                          const struct jm_page *page, json_t **items, char **next, jm_err *err);
/* One of them, with its body; null where the version deleted it. */
int jm_documents_version(struct jm_pg *pg, const char *project, const char *name, int64_t version,
                         json_t **document, jm_err *err);
/* What differs between two versions: {"from", "to", "changes"}, as jm_json_changes. 0: to the
 * newest; from the one before. */
int jm_documents_diff(struct jm_pg *pg, const char *project, const char *name, int64_t from,
                      int64_t to, json_t **diff, jm_err *err);

#endif
