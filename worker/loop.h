/* One thread's event loop: descriptors by epoll, timers in a heap. */
#ifndef JM_LOOP_H
#define JM_LOOP_H

#include <stdint.h>

#include "common/err.h"
#include "common/queue.h"

typedef struct jm_loop jm_loop;
typedef struct jm_watch jm_watch; /* one descriptor that is watched */
typedef void jm_watch_fn(void *ctx, uint32_t events);
typedef void jm_timer_fn(void *ctx);

/* Embedded in whoever waits; {0} is a timer that is not set. */
typedef struct jm_timer {
    int64_t at_us;
    int place; /* in the heap, from 1; 0: not set */
    jm_timer_fn *fn;
    void *ctx;
} jm_timer;

int jm_loop_new(jm_loop **out, jm_err *err);
void jm_loop_free(jm_loop *loop); /* timers and watches must be gone; NULL is fine */

/* Calls fn with the epoll events of fd, level-triggered. Returns NULL when the kernel refuses. */
jm_watch *jm_loop_watch(jm_loop *loop, int fd, uint32_t events, jm_watch_fn *fn, void *ctx);
void jm_watch_set_events(jm_watch *watch, uint32_t events);
/* Takes it out; its fn is not called again, also not for events of this turn. fd is left open, and
 * must not be closed before. NULL is fine. */
void jm_watch_free(jm_watch *watch);

/* Sets (or moves) the timer to a monotonic instant. */
void jm_timer_set(jm_loop *loop, jm_timer *timer, int64_t at_us, jm_timer_fn *fn, void *ctx);
void jm_timer_clear(jm_loop *loop, jm_timer *timer); /* harmless when it is not set */

/* A call that another thread wants made on the loop's thread; embedded in whoever posts it. */
typedef struct jm_post {
    jm_node node;
    void (*fn)(void *ctx);
    void *ctx;
} jm_post;
/* Any thread: fn(ctx) is called in one of the next turns, in the order of the posts. The post must
 * stay where it is until fn has been called; calls that are still waiting when the loop is freed
 * are dropped. */
void jm_loop_post(jm_loop *loop, jm_post *post);

/* The monotonic clock, read once a turn. */
int64_t jm_loop_now_us(const jm_loop *loop);
/* Waits for events and timers, at most max_wait_ms, and calls what is due. */
void jm_loop_turn(jm_loop *loop, int max_wait_ms);

#endif
