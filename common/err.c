/* Fills error objects. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Takes off what is left of a character that was cut: messages go into PostgreSQL's text. */
static void end_whole(char *text)
{
    size_t n = strlen(text), back = 0;
    while (back < n && back < 3 && ((unsigned char)text[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == n)
        return;
    unsigned char lead = (unsigned char)text[n - 1 - back];
    size_t needs = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (needs > back + 1)
        text[n - 1 - back] = 0;
}

static int set_va(jm_err *err, int code, const char *fmt, va_list ap)
{
    if (!err)
        return code;
    memset(err, 0, offsetof(jm_err, msg));
    err->code = code;
    err->retriable = code == JM_ERR_DB_DOWN || code == JM_ERR_TIMEOUT;
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    if (n >= (int)sizeof err->msg)
        end_whole(err->msg);
    return code;
}

int jm_err_set(jm_err *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_va(err, code, fmt, ap);
    va_end(ap);
    return code;
}

int jm_err_field(jm_err *err, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_va(err, JM_ERR_INVALID, fmt, ap);
    va_end(ap);
    if (err)
        snprintf(err->field, sizeof err->field, "%s", field);
    return JM_ERR_INVALID;
}

int jm_err_errno(jm_err *err, int code, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    set_va(err, code, fmt, ap);
    va_end(ap);
    if (err) {
        size_t n = strlen(err->msg);
        snprintf(err->msg + n, sizeof err->msg - n, ": %s", strerror(saved));
    }
    return code;
}

int jm_err_prefix(jm_err *err, const char *fmt, ...)
{
    char head[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    size_t n = strlen(head), room = sizeof err->msg - n - 3, len = strnlen(err->msg, room);
    memmove(err->msg + n + 2, err->msg, len);
    memcpy(err->msg, head, n);
    memcpy(err->msg + n, ": ", 2);
    err->msg[n + 2 + len] = 0;
    return err->code;
}
