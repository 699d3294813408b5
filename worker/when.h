/* Conditions of a step: `when` of a definition, checked when the type is loaded and asked before
 * the step starts. */
#ifndef JM_WHEN_H
#define JM_WHEN_H

#include <jansson.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"
#include "worker/raw_json.h"

/* {"/pointer": scalar or {"operator": operand, ...}, ...}: all must hold. Immutable. */
typedef struct jm_when jm_when;

/* earlier: the names of the n steps before this one. Errors are JM_ERR_INVALID with err->field the
 * place in the definition; pointer is that of the object. */
int jm_when_parse(const json_t *when, const char *pointer, const char *const *earlier, size_t n,
                  jm_when **out, jm_err *err);
void jm_when_free(jm_when *when); /* NULL is fine */

/* What the pointers lead into: JSON objects, or {NULL}. */
typedef struct jm_when_scope {
    jm_raw params;
    jm_raw metadata, set; /* as the job came, and what its steps have set since */
    jm_raw steps;         /* {"step": data} */
    jm_raw outcomes;      /* {"step": "success" | "skipped"} */
} jm_when_scope;

/* Whether all conditions hold. Otherwise the first that does not is appended to why, as
 * "/params/n gt 5 (it is 3)". */
bool jm_when_holds(const jm_when *when, const jm_when_scope *scope, jm_buf *why);

#endif
