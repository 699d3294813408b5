/* Makes text of any bytes. */
#include "text.h"

/* Bytes of the valid sequence at p, or 0. Overlong forms, surrogates and what lies beyond U+10FFFF
 * are invalid. */
static size_t sequence(const unsigned char *p, size_t len)
{
    if (p[0] < 0x80)
        return p[0] != 0;
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 0;
    if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    if (!n || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

void jm_text_clean(jm_buf *out, const char *bytes, size_t len)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t from = 0, i = 0;
    while (i < len) {
        size_t n = sequence(p + i, len - i);
        if (n) {
            i += n;
            continue;
        }
        jm_buf_add(out, bytes + from, i - from);
        jm_buf_adds(out, "\xef\xbf\xbd");
        from = ++i;
    }
    jm_buf_add(out, bytes + from, len - from);
}

size_t jm_text_cut(const char *bytes, size_t len, size_t limit)
{
    if (len <= limit)
        return len;
    size_t n = limit;
    while (n && limit - n < 4 && ((unsigned char)bytes[n] & 0xc0) == 0x80)
        n--;
    return n;
}
