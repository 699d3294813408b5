/* What a child says while it has a job: standard output and error are kept and cut into lines, the
 * result waits for the end. */
#ifndef JM_EXEC_OUTPUT_H
#define JM_EXEC_OUTPUT_H

#include "common/buf.h"
#include "worker/capture.h"
#include "worker/executor.h"
#include "worker/lines.h"
#include "worker/mask.h"

/* Embedded, and does not move; used for one job after the other. */
typedef struct jm_exec_output {
    jm_step_run *run; /* whose it is; NULL between jobs */
    jm_capture out, err;
    jm_lines out_lines, err_lines;
    jm_buf result;   /* the last one on descriptor 3 */
    jm_buf last_out; /* the last line of stdout that is not blank */
    jm_buf last_err;
    jm_mask mask;              /* the secrets that the child was given */
    jm_buf out_rest, err_rest; /* what may be the beginning of one */
} jm_exec_output;

void jm_exec_output_init(jm_exec_output *output, size_t cap_bytes);
void jm_exec_output_fini(jm_exec_output *output);

/* From here on it is this job's. What came while there was none is kept with it. */
void jm_exec_output_begin(jm_exec_output *output, jm_step_run *run);
void jm_exec_output_stdout(jm_exec_output *output, const char *bytes, size_t len);
/* Each line also becomes a log row. */
void jm_exec_output_stderr(jm_exec_output *output, const char *bytes, size_t len);
void jm_exec_output_result(jm_exec_output *output, jm_raw result);
/* Hands all of it to the job and ends the try: the run is gone after the call, and the output is
 * nobody's before it. error gets the last line of stderr behind it; NULL with success. */
void jm_exec_output_finish(jm_exec_output *output, jm_verdict verdict, int return_code,
                           jm_buf *error);

/* Whether a line has nothing but spaces and tabs. */
bool jm_exec_is_blank(const char *line, size_t len);

#endif
