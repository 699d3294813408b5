/* Jobs that wait for others which have ended: they are looked after right behind the commit that
 * ended those. Nothing depends on it: the janitor finds what was left. */
#ifndef JM_DEPENDENTS_H
#define JM_DEPENDENTS_H

#include <stdbool.h>

#include "common/pg.h"

/* Ended jobs whose dependents have not been looked after. Embedded; one thread. */
typedef struct jm_dependents {
    jm_col parents;
    int chunks; /* since the parents were taken up */
} jm_dependents;

void jm_dependents_init(jm_dependents *dependents);
void jm_dependents_fini(jm_dependents *dependents);
void jm_dependents_add(jm_dependents *dependents, const jm_uuid *ended);
bool jm_dependents_any(const jm_dependents *dependents);

/* Takes ended jobs from a result: ids in its first column, in column `flag` whether jobs wait for
 * them. Binary. */
void jm_dependents_add_rows(jm_dependents *dependents, const PGresult *res, int flag);

/* Told of each queue in which jobs have become ready to start. */
typedef void jm_dependents_ready(void *ctx, const char *queue);

/* One transaction: looks after up to 200 dependents; those that are cancelled thereby become ended
 * jobs themselves. There may be more: see jm_dependents_any. After JM_ERR_DB_DOWN or a retriable
 * error the same is tried at the next call; after another one it is left to the janitor. */
int jm_dependents_settle(jm_dependents *dependents, jm_pg *pg, jm_dependents_ready *ready,
                         void *ctx, jm_err *err);
/* What a result of dependencies_settle says: queues that are ready, jobs that ended in turn. */
void jm_dependents_take_fates(jm_dependents *dependents, const PGresult *res,
                              jm_dependents_ready *ready, void *ctx);

#endif
