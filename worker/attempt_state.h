/* The inside of an attempt, for the two files that are its code: attempt.c moves it through its
 * states, attempt_sinks.c takes what executors report. */
#ifndef JM_ATTEMPT_STATE_H
#define JM_ATTEMPT_STATE_H

#include "worker/attempt.h"
#include "worker/journal.h"
#include "worker/mask.h"

typedef enum attempt_state {
    ATTEMPT_BETWEEN,  /* before the first step, and between steps */
    ATTEMPT_RUNNING,  /* an executor has the step */
    ATTEMPT_STOPPING, /* it has been asked to end it */
    ATTEMPT_WAITING,  /* for the next try of the step */
    ATTEMPT_ENDED,
    ATTEMPT_STATES
} attempt_state;

typedef enum attempt_event {
    EVENT_NONE,
    EVENT_GO,      /* on to the next step, or the next try */
    EVENT_SUCCESS, /* the try ended so */
    EVENT_FAILURE,
    EVENT_PERMANENT,
    EVENT_TIMEOUT, /* of step or job */
    EVENT_STOP,    /* somebody asked */
    EVENT_HURRY,   /* ... and has no more time */
    ATTEMPT_EVENTS
} attempt_event;

/* A step that the handler reported. */
typedef struct handler_step {
    jm_journal_step row;
    char *name;
    bool over;
    struct handler_step *next;
} handler_step;

struct jm_attempt {
    jm_attempt_links links;
    const jm_attempt_env *env;
    jm_job *job;
    jm_job_type *type; /* a reference of its own: the job's goes with the last report */
    jm_journal journal;
    int64_t started_us;

    attempt_state state;
    attempt_event event; /* to be handled next */
    bool driving;        /* the loop that handles events is on the stack */

    int step; /* index; its try is run.try */
    jm_journal_step row;
    jm_step_run run;
    jm_timer deadline;  /* the earlier of step's and job's timeout */
    jm_timer chore;     /* running row, flush of rows, or the delay before the next try */
    jm_buf params;      /* merged, where there is a profile */
    jm_buf done;        /* members of "steps" so far, each with a comma behind it */
    jm_buf outcomes;    /* the same of "outcomes", where steps have conditions */
    jm_buf data, error; /* of the try that has just ended */
    bool has_data;
    jm_buf result; /* data of the last step that gave any */

    bool timed_out;     /* why it is stopping: a timeout, or ... */
    bool job_timed_out; /* ... and it was the whole job's */
    jm_end stop_end;    /* ... what somebody asked for */
    char *stop_error;
    bool stuck; /* it did not end in time, and the runner knows */

    jm_mask mask;     /* secrets that its steps were given */
    jm_buf line;      /* the handler's last line, masked */
    char *output_dir; /* its path, once asked for */
    bool output_dir_made;
    jm_buf out, errs; /* stdout and stderr of the children */
    int n_outputs;
    int return_code;
    char *files;
    int64_t total_size;
    handler_step *handler_steps;
    int n_handler_steps;
};

/* Appends what a step says, without secrets: JSON where it is sound JSON, else text. */
void jm_attempt_masked(const jm_attempt *attempt, const char *text, size_t len, jm_buf *out);
/* Checks the params, merged with the profile, against the type's schema. */
int jm_attempt_check_params(const jm_attempt *attempt, jm_err *err);
/* Whether the project has the documents that the type names, and whether they were looked for. */
int jm_attempt_check_documents(const jm_attempt *attempt, jm_err *err);
bool jm_attempt_has_documents(const jm_attempt *attempt);
/* Keeps how a step ended, for the conditions of later ones. */
void jm_attempt_add_outcome(jm_attempt *attempt, const char *name, const char *outcome);
/* Whether the conditions of the next step hold; otherwise it is recorded as skipped. */
bool jm_attempt_is_due(jm_attempt *attempt);

/* Rows have gathered: reports them now or soon. */
void jm_attempt_touched(jm_attempt *attempt);
/* Closes steps of the handler that are still running; lists and removes the output directory. */
void jm_attempt_close_sinks(jm_attempt *attempt, bool success);
void jm_attempt_free_sinks(jm_attempt *attempt);

#endif
