/* Threads that work on requests, in the order in which they came. */
#include <stdlib.h>

#include "common/httpd_priv.h"
#include "common/mem.h"

enum { MAX_WAITING = 10000 };

struct jm_http_pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    jm_http_request *head, **tail;
    size_t waiting;
    bool closed;
    void (*work)(void *ctx, jm_http_request *);
    void *ctx;
    int n;
    pthread_t threads[];
};

static jm_http_request *take(jm_http_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->head && !pool->closed)
        pthread_cond_wait(&pool->more, &pool->lock);
    jm_http_request *request = pool->head;
    if (request) {
        pool->head = request->next;
        pool->waiting--;
        if (!pool->head)
            pool->tail = &pool->head;
    }
    pthread_mutex_unlock(&pool->lock);
    return request;
}

static void *run(void *arg)
{
    jm_http_pool *pool = arg;
    pthread_setname_np(pthread_self(), "jm-http");
    for (jm_http_request *request; (request = take(pool));)
        pool->work(pool->ctx, request);
    return NULL;
}

jm_http_pool *jm_http_pool_new(int threads, void (*work)(void *ctx, jm_http_request *), void *ctx)
{
    jm_http_pool *pool = jm_calloc(1, sizeof *pool + (size_t)threads * sizeof pool->threads[0]);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    pool->tail = &pool->head;
    pool->work = work;
    pool->ctx = ctx;
    for (pool->n = 0; pool->n < threads; pool->n++)
        if (pthread_create(&pool->threads[pool->n], NULL, run, pool))
            abort(); /* out of threads before the program has begun to work */
    return pool;
}

bool jm_http_pool_push(jm_http_pool *pool, jm_http_request *request)
{
    pthread_mutex_lock(&pool->lock);
    bool taken = !pool->closed && pool->waiting < MAX_WAITING;
    if (taken) {
        request->next = NULL;
        *pool->tail = request;
        pool->tail = &request->next;
        pool->waiting++;
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void jm_http_pool_close(jm_http_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n; i++)
        pthread_join(pool->threads[i], NULL);
    pool->n = 0;
}

void jm_http_pool_free(jm_http_pool *pool)
{
    if (!pool)
        return;
    jm_http_pool_close(pool);
    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
