/* Takes secrets out of what a step has to say before it becomes a row or a log line. */
#ifndef JM_MASK_H
#define JM_MASK_H

#include <stdbool.h>

#include "common/buf.h"

#define JM_MASK_TEXT "[secret]"

/* What is to be masked: each secret as it is, as it looks inside a JSON string, percent-encoded and
 * in base64, and each long line of one that has several. Embedded; {0} masks nothing. */
typedef struct jm_mask {
    struct jm_mask_word *words; /* the longest first */
    size_t n, cap;
} jm_mask;

void jm_mask_fini(jm_mask *mask);                                /* overwrites what it held */
void jm_mask_add(jm_mask *mask, const char *secret, size_t len); /* the same twice counts once */
/* Adds all words of another. */
void jm_mask_merge(jm_mask *mask, const jm_mask *other);

/* Appends the text with every secret replaced. */
void jm_mask_text(const jm_mask *mask, const char *text, size_t len, jm_buf *out);
/* The same for JSON that is sound: strings are compared decoded; a number that holds a secret
 * becomes a string. */
void jm_mask_json(const jm_mask *mask, const char *json, size_t len, jm_buf *out);

/* Text that comes in pieces: what may be the beginning of a secret is held back in *rest until more
 * comes, or until last. */
void jm_mask_stream(const jm_mask *mask, jm_buf *rest, const char *text, size_t len, bool last,
                    jm_buf *out);

#endif
