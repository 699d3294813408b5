/* A growing string of bytes, always NUL-terminated behind its length. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

void jm_buf_fini(jm_buf *buf)
{
    free(buf->data);
    *buf = (jm_buf){0};
}

void jm_buf_clear(jm_buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = 0;
}

char *jm_buf_take(jm_buf *buf)
{
    char *data = buf->data ? buf->data : jm_strdup("");
    *buf = (jm_buf){0};
    return data;
}

const char *jm_buf_str(const jm_buf *buf)
{
    return buf->data ? buf->data : "";
}

char *jm_buf_reserve(jm_buf *buf, size_t more)
{
    size_t need = buf->len + more + 1;
    if (need > buf->cap) {
        size_t cap = buf->cap ? buf->cap * 2 : 64;
        while (cap < need)
            cap *= 2;
        buf->data = jm_realloc(buf->data, cap);
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void jm_buf_add(jm_buf *buf, const void *p, size_t n)
{
    char *to = jm_buf_reserve(buf, n);
    if (n)
        memcpy(to, p, n);
    buf->len += n;
    buf->data[buf->len] = 0;
}

void jm_buf_addc(jm_buf *buf, char c)
{
    jm_buf_add(buf, &c, 1);
}

void jm_buf_adds(jm_buf *buf, const char *s)
{
    jm_buf_add(buf, s, strlen(s));
}

void jm_buf_addf(jm_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *to = jm_buf_reserve(buf, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)n;
}

void jm_buf_add_json(jm_buf *buf, const char *s, size_t len)
{
    jm_buf_addc(buf, '"');
    size_t from = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        jm_buf_add(buf, s + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\')
            jm_buf_addf(buf, "\\%c", c);
        else if (c == '\n')
            jm_buf_adds(buf, "\\n");
        else if (c == '\t')
            jm_buf_adds(buf, "\\t");
        else
            jm_buf_addf(buf, "\\u%04x", c);
    }
    jm_buf_add(buf, s + from, len - from);
    jm_buf_addc(buf, '"');
}

void jm_buf_shift(jm_buf *buf, size_t n)
{
    memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
    buf->data[buf->len] = 0;
}

void jm_buf_add_pointer(jm_buf *buf, const char *field, size_t len)
{
    jm_buf_addc(buf, '/');
    for (size_t i = 0; i < len; i++) {
        if (field[i] == '.' || field[i] == '[') {
            if (i) /* a list that is the whole has no name before it */
                jm_buf_addc(buf, '/');
        } else if (field[i] != ']')
            jm_buf_addc(buf, field[i]);
    }
}
