/* Keeps what a child writes, up to a cap. */
#include "capture.h"

#include <inttypes.h>

#include "worker/text.h"

static size_t half(const jm_capture *capture)
{
    return capture->cap / 2;
}

void jm_capture_add(jm_capture *capture, const char *bytes, size_t len)
{
    size_t room = half(capture) - capture->head.len, tail = capture->cap - half(capture);
    capture->total += len;
    if (room) {
        size_t n = len < room ? len : room;
        jm_buf_add(&capture->head, bytes, n);
        bytes += n;
        len -= n;
    }
    if (len > tail) {
        jm_buf_clear(&capture->tail);
        bytes += len - tail;
        len = tail;
    }
    if (len)
        jm_buf_add(&capture->tail, bytes, len);
    if (capture->tail.len > 2 * tail)
        jm_buf_shift(&capture->tail, capture->tail.len - tail);
}

void jm_capture_text(const jm_capture *capture, jm_buf *out)
{
    size_t tail = capture->cap - half(capture);
    size_t skip = capture->tail.len > tail ? capture->tail.len - tail : 0;
    uint64_t kept = capture->head.len + capture->tail.len - skip;
    if (kept == capture->total) {
        /* In one piece, so that no character is split between the halves. */
        jm_buf whole = {0};
        jm_buf_add(&whole, capture->head.data, capture->head.len);
        jm_buf_add(&whole, capture->tail.data, capture->tail.len);
        jm_text_clean(out, whole.data, whole.len);
        jm_buf_fini(&whole);
        return;
    }
    jm_text_clean(out, capture->head.data, capture->head.len);
    jm_buf_addf(out, "\n[... %" PRIu64 " bytes left out, the cap is %zu ...]\n",
                capture->total - kept, capture->cap);
    if (capture->tail.len > skip)
        jm_text_clean(out, capture->tail.data + skip, capture->tail.len - skip);
}

void jm_capture_clear(jm_capture *capture)
{
    jm_buf_clear(&capture->head);
    jm_buf_clear(&capture->tail);
    capture->total = 0;
}

void jm_capture_fini(jm_capture *capture)
{
    jm_buf_fini(&capture->head);
    jm_buf_fini(&capture->tail);
}
