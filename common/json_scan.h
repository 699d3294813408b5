/* Strict JSON, scanned once where it lies: validates a whole text and finds the members of its root
 * without copying or building anything. Values stay slices of the text, so no number loses a digit.
 */
#ifndef JM_JSON_SCAN_H
#define JM_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum {
    JM_JSON_DEPTH_MAX = 32,    /* arrays and objects inside each other, the root being the first */
    JM_JSON_DIGITS_MAX = 1000, /* of one number */
    JM_JSON_INLINE = 32        /* members of open objects that need no heap */
};

typedef enum jm_json_kind {
    JM_JSON_NULL,
    JM_JSON_FALSE,
    JM_JSON_TRUE,
    JM_JSON_NUMBER,
    JM_JSON_STRING,
    JM_JSON_ARRAY,
    JM_JSON_OBJECT
} jm_json_kind;

const char *jm_json_kind_text(jm_json_kind kind); /* "a string", "an object", ... */

/* A slice of the text. Of a string: what is between its quotes, still escaped. */
typedef struct jm_json_value {
    const char *at;
    size_t len;
    jm_json_kind kind;
    bool escaped; /* the string has a backslash in it */
} jm_json_value;

typedef struct jm_json_member {
    jm_json_value name, value;
    uint64_t hash; /* of the unescaped name */
} jm_json_member;

/* A text and, where its root is an object, the root's members in their order. Embedded;
 * jm_json_fini after every scan, also a failed one. Do not copy: it may point into itself. */
typedef struct jm_json {
    jm_json_value root;
    jm_json_member *members;
    size_t n_members;
    size_t cap; /* private from here */
    jm_json_member few[JM_JSON_INLINE];
} jm_json;

/* Scans the whole text: one value and nothing behind it but white space; RFC 8259 with nothing
 * added, valid UTF-8, no U+0000, no lone surrogate, no name twice in one object (compared
 * unescaped), at most max_depth deep (up to JM_JSON_DEPTH_MAX), no number that PostgreSQL or a
 * double cannot hold: at most JM_JSON_DIGITS_MAX digits, and one with fraction or exponent within a
 * double's range. Borrows the text. Takes time in proportion to it (n log n in the members of one
 * object), and memory only for more than JM_JSON_INLINE members open at once. Errors:
 * JM_ERR_INVALID with the place and what was expected; err->field is the path of the place, as
 * "params.items[3].name". */
int jm_json_scan(jm_json *json, const char *text, size_t len, int max_depth, jm_err *err);
void jm_json_fini(jm_json *json);

/* Walks a container that jm_json_scan has passed, member by member. */
typedef struct jm_json_iter {
    const char *p, *end;
    bool is_object;
} jm_json_iter;

void jm_json_iter_init(jm_json_iter *iter, const jm_json_value *container);
/* name is left alone for arrays and may be NULL. Returns false behind the last one. */
bool jm_json_iter_next(jm_json_iter *iter, jm_json_value *name, jm_json_value *value);

/* The next four are for strings that have been scanned. Writes the unescaped bytes to out (room for
 * value->len + 1) with a NUL behind; returns their number. */
size_t jm_json_unescape(const jm_json_value *string, char *out);
size_t jm_json_chars(const jm_json_value *string); /* code points of the unescaped string */
bool jm_json_equals(const jm_json_value *string, const char *text, size_t len);
/* As jm_json_unescape into a buffer of size bytes, cut behind a whole character, control characters
 * shown as '?': for error messages. */
void jm_json_show(const jm_json_value *string, char *out, size_t size);

/* A scanned number without a fractional part (4, 4.0 and 4e0 are one) as an integer; false when it
 * has one or does not fit. */
bool jm_json_int(const jm_json_value *number, int64_t *out);

/* Whether the bytes are valid UTF-8; *chars (may be NULL) is the number of code points. */
bool jm_utf8_is_valid(const void *bytes, size_t len, size_t *chars);

#endif
