/* A step whose work blocks a thread of a pool: its start, its end, and what happens when it is told
 * to stop and does not. */
#ifndef JM_BLOCKING_H
#define JM_BLOCKING_H

#include "common/buf.h"
#include "worker/executor.h"
#include "worker/pool.h"

typedef struct jm_blocking jm_blocking;

typedef struct jm_blocking_ops {
    const char *name; /* of the executor, for messages */
    /* On a thread: sets verdict, data and error; must not touch run. */
    void (*work)(jm_blocking *step);
    /* Loop's thread: a note of jm_pool_say; run is there. NULL: none come. */
    void (*take)(jm_blocking *step, jm_pool_note *note);
    /* Frees what the executor has beside this struct, and the struct. Any thread. */
    void (*free)(jm_blocking *step);
} jm_blocking_ops;

/* First member of what an executor keeps of a step, on the heap. */
struct jm_blocking {
    jm_pool_task task;
    const jm_blocking_ops *ops;
    jm_step_run *run; /* loop's thread only */
    char id[JM_UUID_TEXT];
    /* How it ended; set by work. */
    jm_verdict verdict;
    jm_buf data;  /* the step's data, raw JSON, or empty */
    jm_buf error; /* why it did not succeed */
};

/* Begins; ends by jm_step_end. Takes the step over, also when it cannot begin. */
void jm_blocking_start(jm_blocking *step, const jm_blocking_ops *ops, jm_pool *pool,
                       jm_step_run *run);
/* The executor's stop: cancels, and after the grace gives the thread up. */
void jm_blocking_stop(jm_step_run *run);

#endif
