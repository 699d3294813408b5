/* Cuts a stream of bytes into lines. */
#include "lines.h"

#include <string.h>

static void give(jm_lines *lines, const char *line, size_t len, bool cut)
{
    if (len && !cut && line[len - 1] == '\r')
        len--;
    lines->fn(lines->ctx, line, len, cut);
}

/* Keeps part of a line that has not ended; gives its beginning out once it is too long. */
static void keep(jm_lines *lines, const char *bytes, size_t len)
{
    if (lines->skipping || !len)
        return;
    size_t room = lines->max - lines->rest.len;
    jm_buf_add(&lines->rest, bytes, len < room ? len : room);
    if (len <= room)
        return;
    lines->skipping = true;
    give(lines, lines->rest.data, lines->rest.len, true);
    jm_buf_clear(&lines->rest);
}

static void end_line(jm_lines *lines)
{
    if (!lines->skipping)
        give(lines, jm_buf_str(&lines->rest), lines->rest.len, false);
    lines->skipping = false;
    jm_buf_clear(&lines->rest);
}

void jm_lines_add(jm_lines *lines, const char *bytes, size_t len)
{
    while (len) {
        const char *newline = memchr(bytes, '\n', len);
        size_t n = newline ? (size_t)(newline - bytes) : len;
        if (newline && !lines->rest.len && !lines->skipping && n <= lines->max) {
            give(lines, bytes, n, false);
        } else {
            keep(lines, bytes, n);
            if (newline)
                end_line(lines);
        }
        n += newline != NULL;
        bytes += n;
        len -= n;
    }
}

void jm_lines_end(jm_lines *lines)
{
    if (lines->rest.len)
        end_line(lines);
    lines->skipping = false;
}

void jm_lines_fini(jm_lines *lines)
{
    jm_buf_fini(&lines->rest);
}
