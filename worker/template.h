/* Strings of a definition with ${...} in them: checked once when the type is loaded, expanded for
 * each try with the escaping of the place where the value stands. */
#ifndef JM_TEMPLATE_H
#define JM_TEMPLATE_H

#include <jansson.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/job.h"

/* A string as pieces: text, and references to values:
 *   ${params.a.b}  ${metadata.a}  ${steps.NAME.a}  ${job.id}  ${step.name}  ${secret:NAME}
 * each but the secret also with a default, ${params.a:-text}. Members of objects by name, elements
 * of arrays by number; $${ is a literal ${. Immutable. */
typedef struct jm_template jm_template;

/* Where a text stands: how the values in it are escaped, and what they must not be. */
typedef enum jm_place {
    JM_PLACE_TEXT,     /* as it is */
    JM_PLACE_HEADER,   /* no control characters, no object or array */
    JM_PLACE_PATH,     /* percent-encoded; not empty, no object or array */
    JM_PLACE_QUERY,    /* percent-encoded, no object or array: also for form bodies */
    JM_PLACE_JSON_TEXT /* inside a JSON string */
} jm_place;

/* JM_ERR_INVALID with a message that quotes the reference; err->field is left to the caller. */
int jm_template_text(const char *text, jm_place place, jm_template **out, jm_err *err);
/* A value that is to be sent as JSON. A string of nothing but one reference becomes the value
 * itself, numbers digit for digit; references in other strings are escaped; names stay as they are.
 */
int jm_template_json(const json_t *value, jm_template **out, jm_err *err);
void jm_template_free(jm_template *template); /* NULL is fine */

bool jm_template_is_reference(const jm_template *template); /* one reference and nothing else */
bool jm_template_is_literal(const jm_template *template);   /* no reference at all */
bool jm_template_has_secret(const jm_template *template);
bool jm_template_is_constant(const jm_template *template); /* no reference but to secrets */

/* What references are looked up in; borrowed for the call. */
typedef struct jm_template_scope {
    const jm_job *job;
    const char *params; /* JSON object */
    size_t params_len;
    const char *steps_data; /* {"step": data}, or NULL */
    const char *step;
    int try;
    /* The value of a secret, borrowed until the next call; NULL: there are none here. */
    int (*secret)(void *ctx, const char *name, const char **value, size_t *len, jm_err *err);
    void *ctx;
} jm_template_scope;

/* Appends the text. An absent value, or null where a text is wanted, is its default, or
 * JM_ERR_INVALID that names it; an error of the scope's secret is handed on. */
int jm_template_expand(const jm_template *template, const jm_template_scope *scope, jm_buf *out,
                       jm_err *err);
/* As a bound parameter: a template of nothing but one reference gives strings decoded, null as
 * *is_null, everything else as its JSON text; any other is expanded. For templates of
 * JM_PLACE_TEXT. */
int jm_template_value(const jm_template *template, const jm_template_scope *scope, jm_buf *out,
                      bool *is_null, jm_err *err);

#endif
