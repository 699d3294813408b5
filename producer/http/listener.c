/* The part that all streams have in common. */
#include "producer/http/listener.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/httpd.h"
#include "producer/http/key_cache.h"

/* Last words on a stream. */
#define TOO_SLOW "event: dropped\ndata: {\"reason\":\"this listener reads too slowly\"}\n\n"
#define TOO_MANY "event: dropped\ndata: {\"reason\":\"there are too many listeners\"}\n\n"
#define NO_KEY   "event: dropped\ndata: {\"reason\":\"the key holds no longer\"}\n\n"
#define STOPPING "event: stopping\ndata: {}\n\n"

void jm_listener_begin(jm_listener *listener, jm_req *req)
{
    listener->key = jm_req_hold(req);
    listener->stream = jm_req_stream(req);
    listener->told_ms = jm_mono_ms();
}

void jm_listener_write(jm_listener *listener, const char *data, size_t len)
{
    if (listener->over)
        return;
    int rc = jm_http_stream_write(listener->stream, data, len);
    listener->over = rc != JM_OK;
    listener->told_ms = jm_mono_ms();
    if (rc == JM_ERR_TIMEOUT) {
        jm_http_stream_drop(listener->stream, TOO_SLOW);
        listener->stream = NULL;
    }
}

void jm_listener_say(jm_listener *listener, const char *text)
{
    jm_listener_write(listener, text, strlen(text));
}

static void end(jm_listener *listener)
{
    if (listener->stream)
        jm_http_stream_end(listener->stream);
    jm_key_hold_free(listener->key);
    free(listener);
}

void jm_listener_join(jm_listener *listener, jm_inbox *inbox)
{
    if (jm_inbox_add(inbox, &listener->item))
        return;
    jm_listener_say(listener, TOO_MANY);
    end(listener);
}

bool jm_listener_keep(jm_listener *listener, const char *comment)
{
    if (!listener->over && jm_key_hold_has_ended(listener->key)) {
        jm_listener_say(listener, NO_KEY);
        listener->over = true;
    }
    if (!listener->over && jm_mono_ms() - listener->told_ms > JM_LISTENER_BEAT_MS)
        jm_listener_say(listener, comment);
    bool kept = !listener->over;
    if (!kept)
        end(listener);
    return kept;
}

bool jm_listener_stop(void *ctx, jm_inbox_item *item)
{
    jm_listener *listener = (jm_listener *)item;
    (void)ctx;
    jm_listener_say(listener, STOPPING);
    end(listener);
    return false;
}
