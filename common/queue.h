/* A hand-over between threads: an intrusive, bounded, closable queue of many producers and one
 * consumer. Whole chains move under one lock, so the cost a job is a fraction of a lock. */
#ifndef JM_QUEUE_H
#define JM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First member of whatever travels. */
typedef struct jm_node {
    struct jm_node *next;
} jm_node;

/* Chain under construction by one thread; {0} is empty. */
typedef struct jm_chain {
    jm_node *head, *tail;
    size_t n;
} jm_chain;

void jm_chain_add(jm_chain *chain, jm_node *node);
jm_node *jm_chain_take(jm_chain *chain);            /* the first node, or NULL */
void jm_chain_append(jm_chain *to, jm_chain *from); /* leaves from empty; takes no time */

typedef struct jm_queue jm_queue;

/* bound: items after which jm_queue_push_wait blocks and jm_queue_is_full says so; 0: no bound. */
jm_queue *jm_queue_new(size_t bound);
void jm_queue_free(jm_queue *queue); /* must be empty */

/* Moves the chain in, bound or not; never blocks. Returns JM_ERR_CLOSED (the chain stays with the
 * caller) once the queue is closed. */
int jm_queue_push(jm_queue *queue, jm_chain *chain);
/* As push, but first waits until the queue is below its bound; JM_ERR_TIMEOUT after timeout_ms. */
int jm_queue_push_wait(jm_queue *queue, jm_chain *chain, int timeout_ms);
bool jm_queue_is_full(jm_queue *queue);
size_t jm_queue_len(jm_queue *queue);

/* Takes everything there is into chain (appended), waiting up to timeout_ms for something to come
 * (-1: without end; 0: not at all). Returns JM_OK, JM_ERR_TIMEOUT, or JM_ERR_CLOSED once the queue
 * is closed and empty. */
int jm_queue_pop_all(jm_queue *queue, jm_chain *chain, int timeout_ms);
/* Lets a waiting consumer return JM_ERR_TIMEOUT now: something outside the queue has changed. */
void jm_queue_wake(jm_queue *queue);
/* Refuses pushes from now on and wakes all; what is inside can still be popped. */
void jm_queue_close(jm_queue *queue);

/* A descriptor that is readable whenever the queue is non-empty, woken or closed: for epoll. Made
 * on the first call; pop_all clears it. */
int jm_queue_fd(jm_queue *queue);

#endif
