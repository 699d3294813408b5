/* Backup and restore: projects, documents, calendars and schedules as one JSON document. */
#ifndef JM_SERVICE_BACKUP_H
#define JM_SERVICE_BACKUP_H

#include <jansson.h>
#include <stddef.h>

#include "common/err.h"
#include "producer/service/change.h"
#include "producer/service/findings.h"

struct jm_pg;

enum { JM_BACKUP_VERSION = 1, JM_BACKUP_BYTES_MAX = 64 << 20 };

/* What there is at one moment, of a project (NULL: of all): {"jobmill_backup": 1, "program", "at",
 * "projects", "documents", "calendars", "schedules"}, each by project and name. Without schedules
 * that a sync owns, earlier versions of documents, jobs and keys. The caller drops the reference;
 * jm_json_exact_dump writes it. Errors: JM_ERR_NOT_FOUND (project), those of the database. */
int jm_backup(struct jm_pg *pg, const char *project, json_t **backup, jm_err *err);

/* Makes the database what a backup says, in one transaction: what it names is made or changed, what
 * it does not name stays. Each change has its row in the audit log. name stands for the file in
 * messages. *restored: of projects, documents, calendars and schedules {"created": [names],
 * "changed": [names], "unchanged": n}, names of what is in a project as "project/name". Errors:
 * JM_ERR_INVALID, in err or in findings; JM_ERR_CONFLICT; those of the database. */
int jm_restore(struct jm_pg *pg, const char *name, const char *text, size_t len,
               const jm_change *change, json_t **restored, jm_findings *findings, jm_err *err);

#endif
