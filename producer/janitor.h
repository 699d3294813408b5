/* The janitor: a thread that looks once a second what there is to do, and has a table of chores for
 * it, most of them one query each. */
#ifndef JM_JANITOR_H
#define JM_JANITOR_H

#include "common/config.h"
#include "common/events.h"
#include "common/pg.h"
#include "common/wakeup.h"
#include "producer/look.h"

typedef struct jm_janitor jm_janitor;

typedef struct jm_janitor_options {
    const jm_config *config; /* borrowed */
    const char *conninfo, *schema;
    jm_db_clock *clock;
    jm_wakeup *wakeup; /* gets hints for workers; borrowed, may be NULL */
    jm_events *events; /* about jobs that end here; borrowed, may be NULL */
    /* Told what each look has seen, on the janitor's thread; must not block. May be NULL. */
    void (*on_look)(void *ctx, const jm_look *look);
    void *ctx;
    jm_pulse *pulse; /* NULL: nobody watches */
} jm_janitor_options;

typedef struct jm_janitor_stats {
    uint64_t lost_workers, rescued, expired, swept;
    uint64_t forgotten; /* rows of the ledger */
    int64_t clock_us;   /* this machine's clock minus PostgreSQL's */
    bool clock_off;     /* by so much that it is said */
} jm_janitor_stats;

jm_janitor *jm_janitor_new(const jm_janitor_options *options); /* starts the thread */
void jm_janitor_free(jm_janitor *janitor); /* stops it; the producer's row says so */
/* The configuration has been reloaded. Any thread. */
void jm_janitor_reload(jm_janitor *janitor);
/* Whether the database is within reach. Any thread. */
bool jm_janitor_is_up(const jm_janitor *janitor);
void jm_janitor_get_stats(const jm_janitor *janitor, jm_janitor_stats *out);

#endif
