/* Cuts a stream of bytes into lines. */
#ifndef JM_LINES_H
#define JM_LINES_H

#include <stdbool.h>

#include "common/buf.h"

/* Called for each line without its newline (and carriage return). cut: it was longer than max, and
 * this is its beginning. */
typedef void jm_line_fn(void *ctx, const char *line, size_t len, bool cut);

/* Embedded; set max and fn, and ctx where fn wants one. */
typedef struct jm_lines {
    size_t max; /* bytes a line may have */
    jm_line_fn *fn;
    void *ctx;
    jm_buf rest;   /* a line that has begun */
    bool skipping; /* the rest of a line that was too long */
} jm_lines;

void jm_lines_add(jm_lines *lines, const char *bytes, size_t len);
/* The stream is over: what has begun is a line too. */
void jm_lines_end(jm_lines *lines);
void jm_lines_fini(jm_lines *lines);

#endif
