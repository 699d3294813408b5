/* How far long work is: a bar on a terminal, elsewhere a line each 10 s, both on standard error. */
#ifndef JM_CLI_PROGRESS_H
#define JM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct jm_cli_progress {
    const char *what; /* plural: "instants"; borrowed */
    int64_t began_ms, said_ms;
    bool terminal, drawn;
} jm_cli_progress;

void jm_cli_progress_begin(jm_cli_progress *progress, const char *what);
/* Tells where it is, if it is time; cheap enough to be called for each item. of may be less than
 * done or 0: then it is not known. what may change in between ("schedules judged"). */
void jm_cli_progress_at(jm_cli_progress *progress, int64_t done, int64_t of);
/* Wipes the bar away, so that what came of it stands in its place. */
void jm_cli_progress_end(jm_cli_progress *progress);

/* Appends what is shown, without the end of the line: "[######......]  50 %  1 of 2 instants, 3 s
 * left" with a bar, "1 of 2 instants (50 %), 3 s left" without. */
void jm_cli_progress_text(jm_buf *text, const char *what, int64_t done, int64_t of,
                          int64_t elapsed_ms, bool bar);

#endif
