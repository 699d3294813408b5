/* Keeps what a child writes, up to a cap: its beginning and its end. */
#ifndef JM_CAPTURE_H
#define JM_CAPTURE_H

#include <stdint.h>

#include "common/buf.h"

/* Embedded; set cap. */
typedef struct jm_capture {
    size_t cap;
    jm_buf head; /* the first half */
    jm_buf tail; /* the last half, and up to as much again before it */
    uint64_t total;
} jm_capture;

void jm_capture_add(jm_capture *capture, const char *bytes, size_t len);
/* Appends it as valid text; where bytes are missing in the middle, a line says how many. */
void jm_capture_text(const jm_capture *capture, jm_buf *out);
void jm_capture_clear(jm_capture *capture); /* empty again; keeps the memory */
void jm_capture_fini(jm_capture *capture);

#endif
