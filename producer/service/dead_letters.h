/* Dead letters: records that could not become jobs. */
#ifndef JM_SERVICE_DEAD_LETTERS_H
#define JM_SERVICE_DEAD_LETTERS_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"

struct jm_pg;

/* Newest first, without values but with "value_bytes". reason and topic may be NULL. Keys and
 * values are text where they are valid UTF-8, else {"base64": ...}. */
int jm_dead_letters_list(struct jm_pg *pg, const char *reason, const char *topic, int64_t limit,
                         int64_t offset, json_t **items, jm_err *err);
/* One, whole. Errors: JM_ERR_INVALID (no UUID), JM_ERR_NOT_FOUND. */
int jm_dead_letters_show(struct jm_pg *pg, const char *id, json_t **letter, jm_err *err);

#endif
