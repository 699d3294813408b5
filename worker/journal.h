/* What an attempt has to say, gathered until it is worth a report: rows of steps and logs with
 * their numbers, caps, metadata and progress. */
#ifndef JM_JOURNAL_H
#define JM_JOURNAL_H

#include "common/buf.h"
#include "worker/job_type.h"
#include "worker/outcome.h"

enum {
    JM_JOURNAL_MAX_LOGS = 10000, /* rows an attempt may write by its handler */
    JM_JOURNAL_MAX_STEPS = 1000, /* steps a handler may report */
    JM_JOURNAL_MAX_MESSAGE = 8192,
    JM_JOURNAL_MAX_LOG_BYTES = 8 << 20,   /* of all those rows */
    JM_JOURNAL_MAX_STEP_BYTES = 16 << 20, /* of the data of all steps of an attempt */
    JM_JOURNAL_MAX_SET = 65536            /* bytes of metadata that a job's steps may set */
};

/* Embedded. */
typedef struct jm_journal {
    jm_job *job;
    const jm_job_type *type;
    jm_report *open; /* what has not been taken yet, or NULL */
    int open_no;     /* rises with each report taken */
    int step_seq, log_seq, handler_logs;
    size_t log_bytes, step_bytes;
    int cap_steps, cap_logs;
    int64_t items_total, items_ok, items_failed; /* as last reported; -1: never */
    bool muted;                                  /* the handler wrote more than it may */
    bool stripped;                               /* steps gave more data than they may */
    jm_buf set;     /* members of set_metadata, each with a comma behind it */
    jm_buf all_set; /* the same of the whole attempt, where the type's steps have conditions */
} jm_journal;

/* A step that is under way and may have a row already. */
typedef struct jm_journal_step {
    int seq;
    int open_no; /* report that its running row went into; -1: none */
    const char *name;
    int64_t started_us;
} jm_journal_step;

void jm_journal_init(jm_journal *journal, jm_job *job, const jm_job_type *type);
void jm_journal_fini(jm_journal *journal);

/* The report under construction with its arena, made when there is none. */
jm_report *jm_journal_report(jm_journal *journal);
/* What is there to be reported, or NULL; the caller owns it. */
jm_report *jm_journal_take(jm_journal *journal);
/* Enough has gathered that it should be taken now. */
bool jm_journal_is_large(const jm_journal *journal);

/* A row of jobmill's own. always: retries, failures and cancels, which only "off" silences. */
void jm_journal_note(jm_journal *journal, jm_log_level level, bool always, const char *step,
                     int64_t at_us, const char *message);
/* A row of the handler: filtered by level, capped in length and number, cleaned of what no text
 * column takes. details is valid raw JSON or NULL. */
void jm_journal_handler_log(jm_journal *journal, jm_log_level level, const char *step,
                            int64_t at_us, const char *message, size_t len, const char *details,
                            size_t details_len);

/* Gives a step its number. name is borrowed for as long as the journal lives. */
void jm_journal_step_begin(jm_journal *journal, jm_journal_step *step, const char *name,
                           int64_t now_us);
/* Writes its row, or replaces the one it has: ended_us 0 while it goes on. data is raw JSON. */
void jm_journal_step_row(jm_journal *journal, jm_journal_step *step, const char *status,
                         int attempts, int64_t ended_us, const char *data, size_t data_len,
                         const char *error);

/* Adds a member to set_metadata: key as JSON with its quotes, value a raw scalar. False when there
 * is no room for more. */
bool jm_journal_set(jm_journal *journal, const char *key, size_t key_len, const char *value,
                    size_t len);
/* -1 leaves a count as it is. */
void jm_journal_progress(jm_journal *journal, int64_t total, int64_t ok, int64_t failed);

#endif
