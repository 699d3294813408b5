/* One who listens to a stream of server-sent events, as the threads of live.c and tail.c look after
 * them. */
#ifndef JM_HTTP_LISTENER_H
#define JM_HTTP_LISTENER_H

#include <stddef.h>

#include "producer/http/inbox.h"
#include "producer/http/request.h"

struct jm_http_stream;
struct jm_key_hold;

enum {
    JM_LISTENER_BEAT_MS = 15000 /* between two comments on a stream on which nothing happens */
};

/* The first member of what its thread keeps of it. */
typedef struct jm_listener {
    jm_inbox_item item;
    struct jm_http_stream *stream; /* NULL: ended with a word to one that was too slow */
    struct jm_key_hold *key;
    int64_t told_ms; /* when something was last written */
    bool over;
} jm_listener;

/* Answers the request with a stream that ends with the key it was asked with. */
void jm_listener_begin(jm_listener *listener, jm_req *req);
/* Nothing, once it is over; over, where he has gone or reads too slowly, which he is told. */
void jm_listener_write(jm_listener *listener, const char *data, size_t len);
void jm_listener_say(jm_listener *listener, const char *text);
/* Hands it to its thread, or turns it away with a word. */
void jm_listener_join(jm_listener *listener, jm_inbox *inbox);
/* Whether it goes on: over once its key holds no longer, with a word; on a quiet stream says the
 * comment. What is over has been freed. */
bool jm_listener_keep(jm_listener *listener, const char *comment);
/* For jm_inbox_sift, where the program is stopping. */
bool jm_listener_stop(void *ctx, jm_inbox_item *item);

#endif
