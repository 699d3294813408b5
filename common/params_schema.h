/* The documented subset of JSON Schema that params are checked against: compiled once, strict about
 * what it does not know (docs/job-types.md). */
#ifndef JM_PARAMS_SCHEMA_H
#define JM_PARAMS_SCHEMA_H

#include <jansson.h>

#include "common/err.h"

/* Immutable once compiled; any number of threads may check with it. */
typedef struct jm_params_schema jm_params_schema;

/* schema: an object, true or false. A keyword that is not in the subset, or has a wrong value, is
 * JM_ERR_INVALID with err->field its JSON pointer behind pointer. */
int jm_params_schema_compile(const json_t *schema, const char *pointer, jm_params_schema **out,
                             jm_err *err);
void jm_params_schema_free(jm_params_schema *schema); /* NULL is fine */

/* JM_ERR_INVALID with err->field the JSON pointer of the first value that does not fit ("" for the
 * whole), and a message that says what was expected there and what was found. */
int jm_params_schema_check(const jm_params_schema *schema, const json_t *value, jm_err *err);

#endif
