/* The executor exec: one child process a try of a step. Its vtable is jm_executor_exec in
 * worker/executor.h; here is what its parts share with tests. */
#ifndef JM_EXEC_H
#define JM_EXEC_H

#include <stdint.h>

#include "common/buf.h"
#include "worker/executor.h"

enum {
    JM_EXEC_OUTPUT_BYTES = 64 * 1024,      /* kept of stdout and of stderr, by default */
    JM_EXEC_OUTPUT_MAX = 16 * 1024 * 1024, /* what limits.output_bytes may ask for */
    JM_EXEC_LINE_MAX = 1024 * 1024,        /* a line on descriptor 3, or the last one of stdout */
    JM_EXEC_TEMPFAIL = 75,                 /* sysexits.h */
    JM_EXEC_DATAERR = 65
};

/* What a wait status means: the verdict, the number that job_attempts.return_code gets, and, unless
 * it is success, words for the error. */
jm_verdict jm_exec_verdict(int wait_status, int *return_code, jm_buf *error);

#endif
