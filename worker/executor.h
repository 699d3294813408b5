/* What can execute a step: the interface, the table, and the sinks an executor reports into. */
#ifndef JM_EXECUTOR_H
#define JM_EXECUTOR_H

#include "common/config.h"
#include "common/job.h"
#include "worker/job_type.h"
#include "worker/loop.h"
#include "worker/raw_json.h"
#include "worker/template.h"

struct jm_attempt;
struct jm_spawner;
struct jm_mask;

/* How one try of a step ended. */
typedef enum jm_verdict {
    JM_STEP_SUCCESS,
    JM_STEP_FAILURE,  /* may succeed if tried again */
    JM_STEP_PERMANENT /* trying again is pointless */
} jm_verdict;

/* What the worker's configuration tells executors; borrowed, lives as long as the runner. */
typedef struct jm_executor_env {
    const char *secrets_dir;          /* directory of the files behind ${secret:NAME}, or NULL */
    const char *callback_secret_file; /* in the place of secrets_dir/callback, or NULL */
    const char *http_ca_file;         /* certificates to trust instead of the system's, or NULL */
    bool http_allow_private; /* whether http may call loopback, link-local and private addresses */
    struct jm_pool_meter *pool_meter; /* counts stuck threads of plugin and sql, or NULL */
    int sql_connections;              /* sql steps that run at once; 0: a default */
    struct jm_lock_client *locks;     /* for plugins; NULL: there is no database */
    int plugin_threads;               /* plugin steps that run at once; 0: a default */
    int processes;    /* children of exec at once, idle ones with them; 0: no bound */
    int loop_idle_ms; /* until an idle child of mode "loop" is ended; 0: a minute */
} jm_executor_env;

/* Fills it from [worker]; the strings live as long as config. */
void jm_executor_env_read(jm_executor_env *env, const jm_config *config);

/* One try of one step, as its executor sees it. All of it is the runner's thread's. */
typedef struct jm_step_run {
    struct jm_attempt *attempt; /* for the sinks below */
    jm_loop *loop;
    struct jm_spawner *spawner;
    const jm_step_def *def;
    const jm_job *job;
    const char *params; /* merged over the profile; one JSON object, may span lines */
    size_t params_len;
    const char *steps_data; /* {"earlier step": its data} */
    int try;                /* from 1 */
    int kill_grace_ms;
    const jm_executor_env *env;
    struct jm_secrets *secrets;
    int64_t
        retry_after_us; /* set before jm_step_end: a failure is tried again no sooner; 0: none */
    void *shared;       /* what the executor's open gave */
    const char *output_dir; /* for files, as the executor's jm_step_output_dir gave it, or NULL */
    jm_timer timer;         /* the executor's own */
    void *state;            /* the executor's own */
} jm_step_run;

typedef struct jm_executor {
    const char *name; /* the key in a step's definition */
    jm_slot_class slot_class;
    /* Makes what all steps of this executor share (threads, connections), before its first step
     * starts; close ends it, after the last step has ended. Runner's thread; NULL: nothing is
     * shared. An error ends the step as a failure that may be retried. */
    int (*open)(jm_loop *loop, const jm_executor_env *env, void **shared, jm_err *err);
    void (*close)(void *shared);
    /* The definitions have been read again: what is kept for the next job, but holds on to files
     * that may have changed, is given up when its job is over. Runner's thread; may be NULL. */
    void (*reload)(void *shared);
    bool trivial; /* start does nothing but succeed: the runner may leave the call out */
    /* Checks a step's object when its type is loaded; pointer is its place in the definition. */
    int (*check)(const json_t *config, const char *pointer, jm_err *err);
    /* In the place of check where a step is worth preparing: makes run->def->compiled, which is
     * immutable and lives as long as the type; discard frees it. Any thread. */
    int (*compile)(const json_t *config, const char *pointer, void **compiled, jm_err *err);
    void (*discard)(void *compiled);
    /* Begins. Ends by jm_step_end, in this call or later. */
    void (*start)(jm_step_run *run);
    /* Asks it to end soon, by jm_step_end, in this call or later. Called once a try, and
     * again with a kill_grace_ms of 0 when there is no more time. */
    void (*stop)(jm_step_run *run);
} jm_executor;

/* What the executors of one runner share, opened one by one as they are needed. */
typedef struct jm_executors jm_executors;
jm_executors *jm_executors_new(jm_loop *loop, const jm_executor_env *env);
/* Opens what it shares, if it was not yet, and sets run->env and run->shared. */
int jm_executors_get(jm_executors *executors, const jm_executor *executor, jm_step_run *run,
                     jm_err *err);
void jm_executors_reload(jm_executors *executors);
void jm_executors_free(jm_executors *executors); /* closes; NULL is fine */

/* All that there are, in the order of the table in executor.c, by i from 0; NULL behind the last. A
 * new executor is a file that defines jm_executor_<name>, and <name> in that table. */
const jm_executor *jm_executor_at(size_t i);

/* ---- sinks, worker/attempt_sinks.c ---- */

/* What ${...} in the step's strings stands for; borrows from run. Secrets that are looked up in it
 * are masked from then on in everything that the attempt reports. */
jm_template_scope jm_step_scope(jm_step_run *run);
/* The value of a secret, borrowed until the next call, and masked as above. */
int jm_step_secret(jm_step_run *run, const char *name, const char **value, size_t *len,
                   jm_err *err);
/* Masks these as well. */
void jm_step_mask(jm_step_run *run, const struct jm_mask *mask);

/* A log row of the job. Any bytes are taken; details is a valid raw JSON value or NULL. */
void jm_step_log(jm_step_run *run, jm_log_level level, const char *message, size_t len,
                 const char *details);
/* What the child wrote; borrowed for the call. return_code -1: none. */
typedef struct jm_step_output {
    const char *out_text, *err_text; /* valid UTF-8 or NULL */
    int return_code;
} jm_step_output;
void jm_step_put_output(jm_step_run *run, const jm_step_output *output);
/* The directory for files of this attempt, made on the first call; NULL with err when it cannot be.
 */
const char *jm_step_output_dir(jm_step_run *run, jm_err *err);
/* Its path without making it, for handlers that make it when they need it. */
const char *jm_step_output_path(jm_step_run *run);
/* One line of the handler protocol. Never fails: a broken one becomes a WARNING row. Returns the
 * raw data of a result (borrowed from text, or until the next line), or {NULL}. */
jm_raw jm_step_handler_line(jm_step_run *run, const char *text, size_t len);

/* For executors that read the lines themselves: a line as it may be seen, *len with it, until the
 * next one. */
const char *jm_step_masked_line(jm_step_run *run, const char *text, size_t *len);
/* What a line that has been understood says, but its result and its end. */
struct jm_handler_line;
void jm_step_take_line(jm_step_run *run, const struct jm_handler_line *line);
/* A WARNING row about something the handler did wrong, with the beginning of the line, if any. */
void jm_step_complain(jm_step_run *run, const char *what, const char *why, const char *line,
                      size_t len);

/* The try has ended; the run is gone after the call. data is raw JSON or NULL. error says why it
 * did not succeed. */
void jm_step_end(jm_step_run *run, jm_verdict verdict, const char *data, size_t data_len,
                 const char *error);

#endif
