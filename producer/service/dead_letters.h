/* Dead letters: records that could not become jobs. */
#ifndef JM_SERVICE_DEAD_LETTERS_H
#define JM_SERVICE_DEAD_LETTERS_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid7.h"

struct jm_pg;
struct jm_page;

/* Which of them; strings are borrowed. NULL and 0 stand for any. */
typedef struct jm_dead_filter {
    const char *reason, *topic, *field;
    int64_t from_us, to_us; /* when they were put there: from, and before */
} jm_dead_filter;

typedef enum jm_dead_state { JM_DEAD_ANY, JM_DEAD_OPEN, JM_DEAD_REDRIVEN } jm_dead_state;

/* Newest first, without values but with "value_bytes". *next as that of jm_audit_list. Keys and
 * values are text where they are valid UTF-8, else {"base64": ...}. */
int jm_dead_letters_list(struct jm_pg *pg, const jm_dead_filter *filter, jm_dead_state state,
                         const struct jm_page *page, json_t **items, char **next, jm_err *err);
/* One, whole. Errors: JM_ERR_INVALID (no UUID), JM_ERR_NOT_FOUND. */
int jm_dead_letters_show(struct jm_pg *pg, const char *id, json_t **letter, jm_err *err);

#endif
