/* Makes text of any bytes: valid UTF-8 without U+0000, as PostgreSQL's text takes it. */
#ifndef JM_TEXT_H
#define JM_TEXT_H

#include "common/buf.h"

/* Appends the bytes with every invalid sequence and every NUL replaced by U+FFFD. */
void jm_text_clean(jm_buf *out, const char *bytes, size_t len);
/* The largest n <= limit at which the text can be cut without splitting a character. */
size_t jm_text_cut(const char *bytes, size_t len, size_t limit);

#endif
