/* Keys of the API: making, listing, revoking them, and sessions of browsers. The rules and queries
 * behind the command line and the API. Values have the columns of table api_keys as members, but
 * never the hash; the caller owns them. All block on the database. */
#ifndef JM_SERVICE_KEYS_H
#define JM_SERVICE_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/service/change.h"
#include "producer/service/key_text.h"

struct jm_pg;
struct jm_page;

typedef struct jm_keys_entry {
    const char *name, *scope;
    const char *project; /* NULL: all */
    int64_t expires_us;  /* 0: never */
} jm_keys_entry;

/* The text of *key is shown to whoever asked for it and is nowhere else. *made is the row. Errors:
 * JM_ERR_INVALID with the field, JM_ERR_NOT_FOUND (project), JM_ERR_CONFLICT (a key of that name
 * holds in that project). */
int jm_keys_create(struct jm_pg *pg, const jm_keys_entry *entry, const jm_change *change,
                   jm_key *key, json_t **made, jm_err *err);
/* The checks of it that need no database. */
int jm_keys_check(const jm_keys_entry *entry, jm_err *err);

/* Newest first. all: also those that were revoked or have expired; project NULL: of all. *next as
 * that of jm_audit_list. */
int jm_keys_list(struct jm_pg *pg, bool all, const char *project, const struct jm_page *page,
                 json_t **items, char **next, jm_err *err);

/* By id, prefix (with or without jm_) or name, of those that were revoked only where none else has
 * it. project: only of this one; NULL: any. Errors: JM_ERR_NOT_FOUND; JM_ERR_CONFLICT, with their
 * ids, where several are meant. */
int jm_keys_show(struct jm_pg *pg, const char *which, const char *project, json_t **key,
                 jm_err *err);
/* Ends it with its sessions. *key is the row as it was. Errors as of jm_keys_show, and
 * JM_ERR_CONFLICT when it was revoked before. */
int jm_keys_revoke(struct jm_pg *pg, const char *which, const char *project,
                   const jm_change *change, json_t **key, jm_err *err);

/* A session for a browser, of the key with that id, for so many seconds. Errors: JM_ERR_CONFLICT
 * where that key is a session itself or holds no longer. */
int jm_keys_open_session(struct jm_pg *pg, const char *key_id, int seconds, const jm_change *change,
                         jm_key *session, jm_err *err);
int jm_keys_close_session(struct jm_pg *pg, const char *session_id, const jm_change *change,
                          jm_err *err);

#endif
