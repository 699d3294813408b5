/* The lines between jobmill and a handler: one JSON object on its stdin, JSON lines back on
 * descriptor 3 (docs/handlers.md). */
#ifndef JM_HANDLER_PROTOCOL_H
#define JM_HANDLER_PROTOCOL_H

#include "common/buf.h"
#include "worker/executor.h"
#include "worker/raw_json.h"

/* Appends the line for stdin, with its newline. params and metadata go through digit for digit. */
void jm_handler_input(jm_buf *out, const jm_step_run *run);

typedef struct jm_handler_log {
    jm_log_level level;
    char *message; /* NULL: the line has no log */
    size_t len;
    jm_raw details;
} jm_handler_log;

typedef struct jm_handler_step {
    char *name;         /* NULL: the line has no step */
    const char *status; /* one of job_steps.status, static */
    jm_raw data;
    char *error; /* or NULL */
} jm_handler_step;

/* Ends a job with mode "loop". */
typedef struct jm_handler_end {
    bool given;
    int exit;    /* 0 to 255 */
    char *error; /* or NULL */
    char *id;    /* the job it ends, where the handler says it, or NULL */
} jm_handler_end;

/* One line of descriptor 3: the members it has. Raw pieces are borrowed from the line; strings are
 * its own. */
typedef struct jm_handler_line {
    jm_handler_log log;
    jm_handler_step step;
    bool has_progress;
    int64_t total, ok, failed; /* -1: not given */
    jm_raw set;                /* an object of scalars */
    jm_raw result;
    jm_handler_end end;
    bool is_object; /* a sound JSON object: also told of a line that is not understood */
    bool has_end;   /* it has a member "end": likewise */
} jm_handler_line;

/* What the warning about a broken line begins with. */
#define JM_HANDLER_NOT_UNDERSTOOD "a line on descriptor 3 is not understood"

/* JM_ERR_INVALID when it is no JSON object, has a member that is not known, or one of a wrong
 * shape; then nothing of it counts. */
int jm_handler_line_parse(const char *text, size_t len, jm_handler_line *out, jm_err *err);
void jm_handler_line_fini(jm_handler_line *line);

/* Whether the text is one sound JSON object (numbers of any size), as a step's data may be. */
bool jm_handler_is_object(const char *text, size_t len);

#endif
