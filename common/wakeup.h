/* LISTEN and coalesced NOTIFY on a connection of its own: a hint that something is due, never
 * needed for correctness. Channel: the schema's name. Payloads: "" anything, "pending", "ready
 * <queue>", "schedules", "cancel <job id>", "topics". */
#ifndef JM_WAKEUP_H
#define JM_WAKEUP_H

#include "common/config.h"
#include "common/pg.h"

typedef struct jm_wakeup jm_wakeup;

/* Starts a thread that listens and calls on_notify(ctx, payload) from it, and sends what
 * jm_wakeup_send asks for, at most 20 a second, equal payloads once. on_notify may be NULL. */
jm_wakeup *jm_wakeup_new(const char *conninfo, const char *schema,
                         void (*on_notify)(void *ctx, const char *payload), void *ctx);
/* Ends the thread: on_notify is not called any more; what is sent from now on is dropped. Not from
 * on_notify. */
void jm_wakeup_stop(jm_wakeup *wakeup);
void jm_wakeup_free(jm_wakeup *wakeup); /* stops it too; nobody may send any more */
void jm_wakeup_send(jm_wakeup *wakeup, const char *payload); /* any thread; never blocks */

#endif
