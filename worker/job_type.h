/* One job type: a JSON definition, checked and immutable, counted by reference. */
#ifndef JM_JOB_TYPE_H
#define JM_JOB_TYPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/log.h"

typedef enum jm_slot_class {
    JM_SLOT_NONE,    /* ends at once: noop, fail */
    JM_SLOT_PROCESS, /* child processes: [worker] concurrency */
    JM_SLOT_ASYNC    /* everything that waits without a process: [worker] concurrency_async */
} jm_slot_class;

struct jm_executor; /* worker/executor.h */

typedef struct jm_step_def {
    char *name;
    const struct jm_executor *executor;
    json_t *config; /* the executor's object */
    void *compiled; /* what the executor made of it, or NULL */
    int timeout_s;  /* 0: none of its own */
    int retry;      /* tries within one attempt of the job; 1 by default */
    double retry_delay_s;
    json_t *set;          /* {metadata key: JSON pointer} or NULL */
    struct jm_when *when; /* worker/when.h: whether it runs at all; NULL: always */
} jm_step_def;

typedef struct jm_job_type {
    int refs; /* atomic */
    char *name;
    char *description;               /* or NULL */
    char hash[65];                   /* SHA-256 of the canonical definition, hex */
    json_t *params_schema;           /* or NULL */
    struct jm_params_schema *schema; /* common/params_schema.h: the same, compiled */
    json_t *profiles;                /* {name: {params}} or NULL */
    char **searchable;               /* metadata keys to index; NULL-terminated, never NULL */
    char **documents;                /* names of those handed to its jobs; likewise */
    int timeout_s;                   /* 0: none */
    int max_attempts;                /* 3 */
    double backoff_initial_s, backoff_factor, backoff_max_s, backoff_jitter;
    int concurrency;    /* per worker; 0: no limit of its own */
    bool ordered;       /* ordering: key */
    bool blocks;        /* on_failure: block */
    bool depends_ended; /* depends: "ended": what its jobs depend on need not have completed */
    bool log_off;       /* log_level: off */
    jm_log_level log_level;
    jm_slot_class slot_class; /* the widest of its steps */
    jm_step_def *steps;
    int n_steps;
    bool has_when;          /* a step of it has */
    _Atomic int slots_used; /* worker/slots.h */
} jm_job_type;

/* Parses and checks one definition. source is the file's name for messages ("file:line:column:
 * ..."), text its content. Unknown keys are errors with the nearest known one; err->field is a JSON
 * pointer. */
int jm_job_type_parse(const char *source, const char *text, size_t len, jm_job_type **out,
                      jm_err *err);
jm_job_type *jm_job_type_ref(jm_job_type *type);
void jm_job_type_unref(jm_job_type *type); /* NULL is fine */
/* noop, sleep, fail: made without a file. */
int jm_job_type_builtin(const char *name, jm_job_type **out, jm_err *err);

/* Backoff before the attempt after this one, in microseconds, with jitter. */
int64_t jm_job_type_backoff_us(const jm_job_type *type, int attempt);

#endif
