/* What the API asks the database about keys that it is shown: whether they hold, and noting their
 * use. All block on the database. */
#ifndef JM_SERVICE_KEY_ACCESS_H
#define JM_SERVICE_KEY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid7.h"
#include "producer/service/key_text.h"

struct jm_pg;

/* A key that holds. */
typedef struct jm_key_row {
    jm_uuid id, parent_id;
    bool is_session; /* parent_id is set */
    char name[101], scope[8], project[101];
    int64_t expires_us; /* 0: never */
    uint8_t hash[JM_KEY_HASH];
} jm_key_row;

/* Errors: JM_ERR_NOT_FOUND: it does not hold. */
int jm_key_access_find(struct jm_pg *pg, const jm_key *key, jm_key_row *row, jm_err *err);

/* Calls on_row for each of n keys that holds still. */
typedef void jm_key_access_row(void *ctx, const jm_key_row *row);
int jm_key_access_still(struct jm_pg *pg, const jm_uuid *ids, int n, jm_key_access_row *on_row,
                        void *ctx, jm_err *err);

/* When each of n keys was last used. */
int jm_key_access_used(struct jm_pg *pg, const jm_uuid *ids, const int64_t *at_us, int n,
                       jm_err *err);

#endif
