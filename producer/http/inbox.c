/* Items on their way from requests to the thread that looks after them. */
#include "producer/http/inbox.h"

#include <stdlib.h>

#include "common/clock.h"

void jm_inbox_init(jm_inbox *inbox, const jm_inbox_options *options)
{
    *inbox = (jm_inbox){.options = *options};
    inbox->fresh_end = &inbox->fresh;
    pthread_mutex_init(&inbox->lock, NULL);
    jm_cond_init(&inbox->more);
}

static void *run(void *arg)
{
    const jm_inbox *inbox = arg;
    pthread_setname_np(pthread_self(), inbox->options.name);
    inbox->options.run(inbox->options.ctx);
    return NULL;
}

bool jm_inbox_add(jm_inbox *inbox, jm_inbox_item *item)
{
    pthread_mutex_lock(&inbox->lock);
    bool taken = !inbox->stop && inbox->n < inbox->options.max;
    if (taken) {
        item->next = NULL;
        *inbox->fresh_end = item;
        inbox->fresh_end = &item->next;
        inbox->n++;
        pthread_cond_signal(&inbox->more);
        if (!inbox->started && pthread_create(&inbox->thread, NULL, run, inbox))
            abort(); /* out of threads */
        inbox->started = true;
    }
    pthread_mutex_unlock(&inbox->lock);
    return taken;
}

void jm_inbox_stop(jm_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->stop = true;
    pthread_cond_broadcast(&inbox->more);
    pthread_mutex_unlock(&inbox->lock);
}

void jm_inbox_join(jm_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    bool started = inbox->started;
    inbox->started = false;
    pthread_mutex_unlock(&inbox->lock);
    if (started)
        pthread_join(inbox->thread, NULL);
}

void jm_inbox_fini(jm_inbox *inbox)
{
    pthread_cond_destroy(&inbox->more);
    pthread_mutex_destroy(&inbox->lock);
}

bool jm_inbox_take(jm_inbox *inbox, int64_t until_ms)
{
    pthread_mutex_lock(&inbox->lock);
    while (!inbox->stop && !inbox->fresh) {
        if (!inbox->held)
            pthread_cond_wait(&inbox->more, &inbox->lock);
        else if (!jm_cond_wait_until(&inbox->more, &inbox->lock, until_ms * 1000))
            break;
    }
    jm_inbox_item **end = &inbox->held;
    while (*end)
        end = &(*end)->next;
    *end = inbox->fresh;
    inbox->fresh = NULL;
    inbox->fresh_end = &inbox->fresh;
    bool go_on = !inbox->stop;
    pthread_mutex_unlock(&inbox->lock);
    return go_on;
}

void jm_inbox_rest(jm_inbox *inbox, int64_t until_ms)
{
    pthread_mutex_lock(&inbox->lock);
    while (!inbox->stop && jm_cond_wait_until(&inbox->more, &inbox->lock, until_ms * 1000))
        ;
    pthread_mutex_unlock(&inbox->lock);
}

int jm_inbox_count(const jm_inbox *inbox)
{
    int n = 0;
    for (const jm_inbox_item *item = inbox->held; item; item = item->next)
        n++;
    return n;
}

void jm_inbox_sift(jm_inbox *inbox, bool (*keep)(void *ctx, jm_inbox_item *item), void *ctx)
{
    int ended = 0;
    for (jm_inbox_item **at = &inbox->held; *at;) {
        jm_inbox_item *item = *at, *next = item->next;
        if (keep(ctx, item)) {
            at = &item->next;
        } else {
            *at = next;
            ended++;
        }
    }
    pthread_mutex_lock(&inbox->lock);
    inbox->n -= ended;
    pthread_mutex_unlock(&inbox->lock);
}
