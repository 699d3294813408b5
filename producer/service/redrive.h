/* Redriving: dead letters are sent to their topics again, each at most once unless it is asked for
 * again. */
#ifndef JM_SERVICE_REDRIVE_H
#define JM_SERVICE_REDRIVE_H

#include "common/config.h"
#include "producer/service/change.h"
#include "producer/service/dead_letters.h"

/* Strings and ids are borrowed. */
typedef struct jm_redrive {
    jm_dead_filter filter;
    const jm_uuid *ids; /* only these, which must all be there; NULL: as the filter says */
    size_t n_ids;
    bool again;        /* also those that were sent again before */
    const char *value; /* of one that is named by its id: in the place of its own; NULL */
    double rate;       /* at most so many a second; 0: no bound */
    int64_t limit;     /* at most so many; 0: all */
    size_t shown;      /* at most so many are listed in the result */
    /* Is told how far it has come; may be NULL. false: stop. */
    bool (*progress)(void *ctx, int64_t done, int64_t of);
    void *ctx;
} jm_redrive;

/* Oldest first. What would only be put aside again is left where it is. *result, also after an
 * error that came when some had been sent: {"redriven": n, "refused": n, "left": n (by the limit,
 * or because it was stopped), "dry_run", "items": [{"id", "topic", "redriven_as", "refused": why or
 * null}]}; the caller drops it. One that was sent is marked once Kafka has acknowledged it; one
 * that was not marked keeps the id of its job, so that to do it over makes no second job. Errors:
 * JM_ERR_NOT_FOUND and JM_ERR_CONFLICT (an id is not there, or was sent before; nothing is sent),
 * JM_ERR_KAFKA, those of the database. */
int jm_redrive_run(const jm_config *config, struct jm_pg *pg, const jm_redrive *redrive,
                   const jm_change *change, json_t **result, jm_err *err);

#endif
