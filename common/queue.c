/* A hand-over between threads: bounded, closable, many producers, one consumer. */
#include "queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "mem.h"

struct jm_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    jm_chain chain;
    size_t bound;
    int fd; /* eventfd, -1 until asked for */
    bool closed, woken;
};

void jm_chain_add(jm_chain *chain, jm_node *node)
{
    node->next = NULL;
    if (chain->tail)
        chain->tail->next = node;
    else
        chain->head = node;
    chain->tail = node;
    chain->n++;
}

jm_node *jm_chain_take(jm_chain *chain)
{
    jm_node *node = chain->head;
    if (!node)
        return NULL;
    chain->head = node->next;
    if (!chain->head)
        chain->tail = NULL;
    chain->n--;
    node->next = NULL;
    return node;
}

void jm_chain_append(jm_chain *to, jm_chain *from)
{
    if (!from->head)
        return;
    if (to->tail)
        to->tail->next = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    to->n += from->n;
    *from = (jm_chain){0};
}

jm_queue *jm_queue_new(size_t bound)
{
    jm_queue *queue = jm_calloc(1, sizeof *queue);
    pthread_mutex_init(&queue->lock, NULL);
    jm_cond_init(&queue->filled);
    jm_cond_init(&queue->drained);
    queue->bound = bound;
    queue->fd = -1;
    return queue;
}

void jm_queue_free(jm_queue *queue)
{
    if (!queue)
        return;
    assert(!queue->chain.n);
    if (queue->fd >= 0)
        close(queue->fd);
    pthread_cond_destroy(&queue->filled);
    pthread_cond_destroy(&queue->drained);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static void ring(jm_queue *queue)
{
    pthread_cond_signal(&queue->filled);
    if (queue->fd >= 0) {
        uint64_t one = 1;
        ssize_t n = write(queue->fd, &one, sizeof one);
        (void)n; /* fails only when it is readable anyway */
    }
}

int jm_queue_push(jm_queue *queue, jm_chain *chain)
{
    if (!chain->n)
        return JM_OK;
    pthread_mutex_lock(&queue->lock);
    int rc = JM_OK;
    if (queue->closed) {
        rc = JM_ERR_CLOSED;
    } else {
        bool was_empty = !queue->chain.n;
        jm_chain_append(&queue->chain, chain);
        if (was_empty)
            ring(queue);
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

int jm_queue_push_wait(jm_queue *queue, jm_chain *chain, int timeout_ms)
{
    int64_t deadline_us = jm_mono_us() + timeout_ms * INT64_C(1000);
    pthread_mutex_lock(&queue->lock);
    int rc = JM_OK;
    while (!queue->closed && queue->bound && queue->chain.n >= queue->bound && rc == JM_OK)
        if (!jm_cond_wait_until(&queue->drained, &queue->lock, deadline_us))
            rc = JM_ERR_TIMEOUT;
    pthread_mutex_unlock(&queue->lock);
    return rc ? rc : jm_queue_push(queue, chain);
}

bool jm_queue_is_full(jm_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool full = queue->bound && queue->chain.n >= queue->bound;
    pthread_mutex_unlock(&queue->lock);
    return full;
}

size_t jm_queue_len(jm_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t n = queue->chain.n;
    pthread_mutex_unlock(&queue->lock);
    return n;
}

static int wait_filled(jm_queue *queue, int timeout_ms)
{
    int64_t deadline_us = timeout_ms > 0 ? jm_mono_us() + timeout_ms * INT64_C(1000) : 0;
    while (!queue->chain.n && !queue->closed && !queue->woken) {
        if (timeout_ms == 0)
            return JM_ERR_TIMEOUT;
        if (timeout_ms < 0)
            pthread_cond_wait(&queue->filled, &queue->lock);
        else if (!jm_cond_wait_until(&queue->filled, &queue->lock, deadline_us))
            break;
    }
    if (queue->chain.n)
        return JM_OK;
    return queue->closed ? JM_ERR_CLOSED : JM_ERR_TIMEOUT;
}

int jm_queue_pop_all(jm_queue *queue, jm_chain *chain, int timeout_ms)
{
    pthread_mutex_lock(&queue->lock);
    int rc = wait_filled(queue, timeout_ms);
    queue->woken = false;
    jm_chain_append(chain, &queue->chain);
    if (queue->fd >= 0 && !queue->closed) {
        uint64_t count;
        ssize_t n = read(queue->fd, &count, sizeof count);
        (void)n; /* EAGAIN when it was not readable */
    }
    pthread_cond_broadcast(&queue->drained);
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

void jm_queue_wake(jm_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->woken = true;
    ring(queue);
    pthread_mutex_unlock(&queue->lock);
}

void jm_queue_close(jm_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    ring(queue);
    pthread_cond_broadcast(&queue->drained);
    pthread_mutex_unlock(&queue->lock);
}

int jm_queue_fd(jm_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    if (queue->fd < 0) {
        queue->fd =
            eventfd(queue->chain.n || queue->closed || queue->woken, EFD_NONBLOCK | EFD_CLOEXEC);
        if (queue->fd < 0)
            abort(); /* out of descriptors before the program has begun to work */
    }
    pthread_mutex_unlock(&queue->lock);
    return queue->fd;
}
