/* What an attempt has to say: reports travel from the runner to the record thread. */
#ifndef JM_OUTCOME_H
#define JM_OUTCOME_H

#include "common/job.h"
#include "common/log.h"

/* How an attempt ended. The values other than JM_END_NONE end the attempt. */
typedef enum jm_end {
    JM_END_NONE,      /* still running: steps and logs so far */
    JM_END_COMPLETED, /* job completed */
    JM_END_FAILED,    /* job failed: permanent failure, or no attempt left */
    JM_END_RETRY,     /* failed, to be tried again after retry_in_us */
    JM_END_CANCELLED, /* cancelled by request */
    JM_END_RETURNED   /* handed back at shutdown without using up an attempt */
} jm_end;

typedef struct jm_step_row {
    int seq; /* from 1 within the attempt */
    const char *name;
    const char *status; /* running success failed skipped cancelled */
    const char *data;   /* raw JSON or NULL */
    const char *error;  /* or NULL */
    int attempts;
    int64_t started_us, ended_us; /* monotonic; ended_us 0 while running */
    bool update;                  /* a running row was written before: this one closes it */
} jm_step_row;

typedef struct jm_log_row {
    int seq;          /* from 1 within the attempt */
    const char *step; /* or NULL */
    int64_t at_us;    /* monotonic */
    jm_log_level level;
    const char *message; /* valid UTF-8 without U+0000 */
    const char *details; /* raw JSON or NULL */
} jm_log_row;

/* One report. Made by the runner, owned by the record thread once pushed, freed with
 * jm_report_free. All strings are valid UTF-8 without U+0000; JSON values are valid. */
typedef struct jm_report {
    jm_node node;
    jm_job *job; /* borrowed: lives until its last report has been recorded */
    jm_end end;
    const char *error;  /* why it did not complete, or NULL */
    const char *reason; /* for job_attempts.outcome where it is more exact: "timeout", or NULL */
    int64_t retry_in_us;
    int64_t started_us, ended_us; /* monotonic: of the attempt */
    int64_t completed_us;         /* jobs.completed_at once it is recorded, or 0 */
    jm_step_row *steps;
    int n_steps;
    jm_log_row *logs;
    int n_logs;
    const char *result;       /* raw JSON or NULL */
    const char *set_metadata; /* raw JSON object to be merged into jobs.metadata, or NULL */
    const char *progress;     /* raw JSON {"total","ok","failed"}, or NULL */
    int64_t items_total, items_ok, items_failed; /* -1: unknown */
    const char *out_text, *err_text;             /* stdout and stderr, capped, or NULL */
    int return_code;                             /* -1: none */
    const char *output_files;                    /* raw JSON list or NULL */
    int64_t total_size;
    struct jm_arena
        *arena; /* owns all of the above except names borrowed from the job and its type; or NULL */
    /* For the common job of one step: no arena, no allocation but the report itself. */
    jm_step_row one_step;
    jm_log_row one_log;
    char one_text[64];
    /* Set where it was read back from a spool: times are PostgreSQL's, job and all it says stand in
     * the arena, and job_type is unknown. What is added to a report must be added to
     * report_wire.c. */
    bool from_spool;
    int64_t claim_seq;             /* of the job's claim */
    const char *const *searchable; /* keys among set_metadata; NULL-terminated, or NULL */
} jm_report;

jm_report *jm_report_new(jm_job *job); /* zeroed, return_code and items -1 */
void jm_report_free(jm_report *report);

#endif
