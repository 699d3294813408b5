/* A growing string of bytes, always NUL-terminated behind its length. */
#ifndef JM_BUF_H
#define JM_BUF_H

#include <stddef.h>
#include <stdint.h>

/* Embedded; {0} is an empty, valid buffer. */
typedef struct jm_buf {
    char *data; /* NULL until the first write */
    size_t len, cap;
} jm_buf;

void jm_buf_fini(jm_buf *buf);
void jm_buf_clear(jm_buf *buf);                 /* keeps the memory */
char *jm_buf_take(jm_buf *buf);                 /* the caller frees; buf is empty afterwards */
const char *jm_buf_str(const jm_buf *buf);      /* never NULL; borrowed */
char *jm_buf_reserve(jm_buf *buf, size_t more); /* room for more bytes at data+len */
void jm_buf_add(jm_buf *buf, const void *p, size_t n);
void jm_buf_addc(jm_buf *buf, char c);
void jm_buf_adds(jm_buf *buf, const char *s);
void jm_buf_addf(jm_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends s as a JSON string with its quotes, escaping what JSON requires; s must be valid UTF-8.
 */
void jm_buf_add_json(jm_buf *buf, const char *s, size_t len);
/* Appends the path of a field, such as depends_on[0].external_id, as a JSON pointer. */
void jm_buf_add_pointer(jm_buf *buf, const char *field, size_t len);
/* Removes the first n bytes. */
void jm_buf_shift(jm_buf *buf, size_t n);

#endif
