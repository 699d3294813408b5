/* Reads members of a definition's objects, with ranges and did-you-mean. */
#ifndef JM_DEFINITION_H
#define JM_DEFINITION_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

/* An object of the definition and its JSON pointer, for messages. */
typedef struct jm_def {
    const json_t *object;
    const char *pointer;
} jm_def;

/* All: an absent member leaves *out as it is; a wrong one is JM_ERR_INVALID with err->field the
 * pointer of the member. Strings are borrowed. */
int jm_def_int(jm_def def, const char *key, int min, int max, int *out, jm_err *err);
int jm_def_number(jm_def def, const char *key, double min, double max, double *out, jm_err *err);
int jm_def_string(jm_def def, const char *key, const char **out, jm_err *err);
/* One of n words: *out is its place. */
int jm_def_word(jm_def def, const char *key, const char *const *words, int n, int *out,
                jm_err *err);
int jm_def_object(jm_def def, const char *key, json_t **out, jm_err *err);
/* A list of strings; not_empty: with at least one. */
int jm_def_strings(jm_def def, const char *key, bool not_empty, json_t **out, jm_err *err);

/* Refuses members that are not known (n words), with the nearest known one. */
int jm_def_known(jm_def def, const char *const *known, size_t n, jm_err *err);
/* The pointer of a member, as far as it fits; key NULL: of the object itself. */
void jm_def_pointer(jm_def def, const char *key, char *out, size_t size);
/* JM_ERR_INVALID about a member: its pointer is err->field. key NULL: about the object itself. */
int jm_def_error(jm_def def, const char *key, jm_err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
