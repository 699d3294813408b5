/* One thread's event loop: descriptors by epoll, timers in a heap. */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

enum { EVENTS_A_TURN = 128 };

struct jm_watch {
    jm_loop *loop;
    int fd;
    uint32_t events;
    jm_watch_fn *fn; /* NULL once freed: events of this turn may still point here */
    void *ctx;
    jm_watch *next_dead;
};

struct jm_loop {
    int epoll;
    int64_t now_us;
    jm_watch *dead;
    jm_timer **heap; /* from 1; heap[i] is never later than heap[2i] and heap[2i+1] */
    int n_timers, cap_timers;
    jm_queue *posts;
    jm_watch *posts_watch;
};

static void on_posts(void *ctx, uint32_t events)
{
    jm_loop *loop = ctx;
    jm_chain posts = {0};
    (void)events;
    jm_queue_pop_all(loop->posts, &posts, 0);
    for (jm_node *node; (node = jm_chain_take(&posts));) {
        jm_post *post = (jm_post *)node;
        post->fn(post->ctx); /* may free the post */
    }
}

void jm_loop_post(jm_loop *loop, jm_post *post)
{
    jm_chain chain = {0};
    jm_chain_add(&chain, &post->node);
    jm_queue_push(loop->posts, &chain);
}

int jm_loop_new(jm_loop **out, jm_err *err)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return jm_err_errno(err, JM_ERR_IO, "cannot make an epoll descriptor");
    jm_loop *loop = jm_calloc(1, sizeof *loop);
    loop->epoll = fd;
    loop->now_us = jm_mono_us();
    loop->posts = jm_queue_new(0);
    loop->posts_watch = jm_loop_watch(loop, jm_queue_fd(loop->posts), EPOLLIN, on_posts, loop);
    if (!loop->posts_watch) {
        jm_err_errno(err, JM_ERR_IO, "cannot watch the loop's posts");
        jm_loop_free(loop);
        return err->code;
    }
    *out = loop;
    return JM_OK;
}

static void bury(jm_loop *loop)
{
    for (jm_watch *watch = loop->dead, *next; watch; watch = next) {
        next = watch->next_dead;
        free(watch);
    }
    loop->dead = NULL;
}

void jm_loop_free(jm_loop *loop)
{
    if (!loop)
        return;
    assert(!loop->n_timers);
    jm_chain dropped = {0};
    jm_watch_free(loop->posts_watch);
    bury(loop);
    jm_queue_pop_all(loop->posts, &dropped, 0);
    jm_queue_free(loop->posts);
    close(loop->epoll);
    free(loop->heap);
    free(loop);
}

jm_watch *jm_loop_watch(jm_loop *loop, int fd, uint32_t events, jm_watch_fn *fn, void *ctx)
{
    jm_watch *watch = jm_calloc(1, sizeof *watch);
    *watch = (jm_watch){.loop = loop, .fd = fd, .events = events, .fn = fn, .ctx = ctx};
    struct epoll_event ev = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &ev)) {
        free(watch);
        return NULL;
    }
    return watch;
}

void jm_watch_set_events(jm_watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    struct epoll_event ev = {.events = events, .data.ptr = watch};
    int rc = epoll_ctl(watch->loop->epoll, EPOLL_CTL_MOD, watch->fd, &ev);
    assert(!rc);
    (void)rc;
}

void jm_watch_free(jm_watch *watch)
{
    if (!watch)
        return;
    epoll_ctl(watch->loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fn = NULL;
    watch->next_dead = watch->loop->dead;
    watch->loop->dead = watch;
}

static void put(jm_loop *loop, int place, jm_timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void sift_up(jm_loop *loop, int place, jm_timer *timer)
{
    for (; place > 1 && loop->heap[place / 2]->at_us > timer->at_us; place /= 2)
        put(loop, place, loop->heap[place / 2]);
    put(loop, place, timer);
}

static void sift_down(jm_loop *loop, int place, jm_timer *timer)
{
    for (int child; (child = 2 * place) <= loop->n_timers; place = child) {
        if (child < loop->n_timers && loop->heap[child + 1]->at_us < loop->heap[child]->at_us)
            child++;
        if (loop->heap[child]->at_us >= timer->at_us)
            break;
        put(loop, place, loop->heap[child]);
    }
    put(loop, place, timer);
}

void jm_timer_clear(jm_loop *loop, jm_timer *timer)
{
    int place = timer->place;
    if (!place)
        return;
    timer->place = 0;
    jm_timer *last = loop->heap[loop->n_timers--];
    if (last == timer)
        return;
    if (place > 1 && loop->heap[place / 2]->at_us > last->at_us)
        sift_up(loop, place, last);
    else
        sift_down(loop, place, last);
}

void jm_timer_set(jm_loop *loop, jm_timer *timer, int64_t at_us, jm_timer_fn *fn, void *ctx)
{
    jm_timer_clear(loop, timer);
    timer->at_us = at_us;
    timer->fn = fn;
    timer->ctx = ctx;
    if (loop->n_timers + 1 >= loop->cap_timers) {
        loop->cap_timers = loop->cap_timers ? loop->cap_timers * 2 : 64;
        loop->heap = jm_realloc(loop->heap, (size_t)loop->cap_timers * sizeof(jm_timer *));
    }
    sift_up(loop, ++loop->n_timers, timer);
}

int64_t jm_loop_now_us(const jm_loop *loop)
{
    return loop->now_us;
}

static int wait_ms(const jm_loop *loop, int max_wait_ms)
{
    if (!loop->n_timers)
        return max_wait_ms;
    int64_t left_us = loop->heap[1]->at_us - jm_mono_us();
    if (left_us <= 0)
        return 0;
    int64_t left_ms = (left_us + 999) / 1000;
    return left_ms < max_wait_ms ? (int)left_ms : max_wait_ms;
}

void jm_loop_turn(jm_loop *loop, int max_wait_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    int n = epoll_wait(loop->epoll, events, EVENTS_A_TURN, wait_ms(loop, max_wait_ms));
    loop->now_us = jm_mono_us();
    for (int i = 0; i < n; i++) {
        jm_watch *watch = events[i].data.ptr;
        if (watch->fn)
            watch->fn(watch->ctx, events[i].events);
    }
    bury(loop);
    while (loop->n_timers && loop->heap[1]->at_us <= loop->now_us) {
        jm_timer *timer = loop->heap[1];
        jm_timer_clear(loop, timer);
        timer->fn(timer->ctx);
    }
}
