/* What requests hand to a thread that looks after all of it from then on, so that waiting holds
 * neither a thread nor a connection for each. The thread is there from the first item on. */
#ifndef JM_HTTP_INBOX_H
#define JM_HTTP_INBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The first member of whatever is handed over. */
typedef struct jm_inbox_item {
    struct jm_inbox_item *next;
} jm_inbox_item;

typedef struct jm_inbox_options {
    const char *name;       /* of the thread, at most 15 characters */
    void (*run)(void *ctx); /* the thread: takes until that says no, then ends what it holds */
    void *ctx;
    int max; /* items at once */
} jm_inbox_options;

typedef struct jm_inbox {
    jm_inbox_options options;
    jm_inbox_item *held; /* the thread's, in the order in which they came */
    pthread_mutex_t lock;
    pthread_cond_t more;
    jm_inbox_item *fresh, **fresh_end; /* not yet taken */
    int n;                             /* fresh and held */
    bool stop, started;
    pthread_t thread;
} jm_inbox;

void jm_inbox_init(jm_inbox *inbox, const jm_inbox_options *options);
/* false: there are too many already, or the end has come; the item is still the caller's. */
bool jm_inbox_add(jm_inbox *inbox, jm_inbox_item *item);
/* No item is taken in from now on, and the thread is to end. */
void jm_inbox_stop(jm_inbox *inbox);
/* Waits until it has. */
void jm_inbox_join(jm_inbox *inbox);
void jm_inbox_fini(jm_inbox *inbox); /* after jm_inbox_join */

/* ---- for the thread ---- */

/* Puts what has come behind what is held; false: it is time to end. Waits for an item, when some
 * are held no longer than until_ms (jm_mono_ms()). */
bool jm_inbox_take(jm_inbox *inbox, int64_t until_ms);
/* Waits until then, or for the end, whatever comes. */
void jm_inbox_rest(jm_inbox *inbox, int64_t until_ms);
/* How many are held. */
int jm_inbox_count(const jm_inbox *inbox);
/* Goes through what is held. keep says false of an item that it has ended and freed. */
void jm_inbox_sift(jm_inbox *inbox, bool (*keep)(void *ctx, jm_inbox_item *item), void *ctx);

#endif
