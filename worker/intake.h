/* What the consumer hands batches to: the store, with a database or without. */
#ifndef JM_INTAKE_H
#define JM_INTAKE_H

#include "worker/batch.h"

/* Functions of any thread. */
typedef struct jm_intake {
    void *ctx;
    bool (*wants)(void *ctx);                /* room for another batch */
    bool (*is_idle)(void *ctx);              /* even a small batch is welcome */
    int (*push)(void *ctx, jm_batch *batch); /* takes it; JM_ERR_CLOSED when stopping */
    bool (*is_paused)(void *ctx, int queue); /* enough of this queue waits already */
} jm_intake;

#endif
