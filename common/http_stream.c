/* Answers that go on: what is written waits in a bounded buffer until the connection takes it. */
#include <stdlib.h>
#include <string.h>

#include "common/httpd_priv.h"
#include "common/mem.h"

enum { MAX_WAITING_BYTES = 256 << 10, BLOCK_BYTES = 16 << 10 };

struct jm_http_stream {
    pthread_mutex_t lock; /* held while the connection is suspended or resumed, so that neither is
                             done twice */
    struct MHD_Connection *connection;
    jm_buf waiting;
    bool suspended; /* nothing to send: the connection sleeps until something is written */
    bool ended;     /* nothing more will be written */
    bool gone;      /* the connection has ended */
    int refs;       /* of the connection and of the writer */
};

static void unref(jm_http_stream *stream)
{
    bool last = --stream->refs == 0;
    pthread_mutex_unlock(&stream->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&stream->lock);
    jm_buf_fini(&stream->waiting);
    free(stream);
}

/* On the server's thread, whenever the connection can take more. */
static ssize_t on_read(void *cls, uint64_t pos, char *to, size_t max)
{
    jm_http_stream *stream = cls;
    ssize_t n = 0;
    (void)pos;
    pthread_mutex_lock(&stream->lock);
    if (stream->waiting.len) {
        n = (ssize_t)(stream->waiting.len < max ? stream->waiting.len : max);
        memcpy(to, stream->waiting.data, (size_t)n);
        jm_buf_shift(&stream->waiting, (size_t)n);
    } else if (stream->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&stream->lock);
    return n;
}

static void on_gone(void *cls)
{
    jm_http_stream *stream = cls;
    pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    unref(stream);
}

static void wake(jm_http_stream *stream)
{
    if (stream->suspended && !stream->gone)
        MHD_resume_connection(stream->connection);
    stream->suspended = false;
}

jm_http_stream *jm_http_answer_stream(jm_http_request *request, int status,
                                      const char *content_type)
{
    jm_http_stream *stream = jm_calloc(1, sizeof *stream);
    pthread_mutex_init(&stream->lock, NULL);
    stream->connection = request->connection;
    stream->refs = 2;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, stream, on_gone);
    if (!response)
        abort(); /* out of memory */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    jm_http_set_answer(request, status, response, 0);
    return stream;
}

int jm_http_stream_write(jm_http_stream *stream, const void *data, size_t len)
{
    int rc = JM_OK;
    pthread_mutex_lock(&stream->lock);
    if (stream->gone)
        rc = JM_ERR_CLOSED;
    else if (stream->waiting.len + len > MAX_WAITING_BYTES)
        rc = JM_ERR_TIMEOUT;
    else {
        jm_buf_add(&stream->waiting, data, len);
        wake(stream);
    }
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

void jm_http_stream_drop(jm_http_stream *stream, const char *text)
{
    pthread_mutex_lock(&stream->lock);
    jm_buf_adds(&stream->waiting, text);
    pthread_mutex_unlock(&stream->lock);
    jm_http_stream_end(stream);
}

void jm_http_stream_end(jm_http_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    wake(stream);
    unref(stream);
}
