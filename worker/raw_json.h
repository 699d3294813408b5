/* Finds values in JSON text without decoding them, so that they can be handed on digit for digit.
 */
#ifndef JM_RAW_JSON_H
#define JM_RAW_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of somebody's text: a value from its first byte to its last. p is NULL for none. */
typedef struct jm_raw {
    const char *p;
    size_t len;
} jm_raw;

/* All take text that a JSON parser has accepted; on any other they find nothing or nonsense, but
 * stay inside it. */

/* The value of a member of an object (the last, where the key comes twice); {NULL} when there is
 * none or the text is no object. */
jm_raw jm_raw_member(const char *text, size_t len, const char *key);

/* Goes through the members of an object: starts at *pos = 0, false at the end. key has its quotes.
 */
bool jm_raw_next(const char *text, size_t len, size_t *pos, jm_raw *key, jm_raw *value);

/* The value under an RFC 6901 pointer ("" is the whole). With nearest, the innermost value on the
 * way that exists instead of {NULL}. */
jm_raw jm_raw_at(const char *text, size_t len, const char *pointer, bool nearest);

/* Whether the pointer is well-formed: "" or begins with '/', '~' only before 0 or 1. */
bool jm_raw_pointer_ok(const char *pointer);

#endif
