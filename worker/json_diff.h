/* What differs between two JSON values, place by place, for people. */
#ifndef JM_JSON_DIFF_H
#define JM_JSON_DIFF_H

#include <jansson.h>
#include <stdbool.h>

#include "common/buf.h"

/* Appends a line "pointer: expected X, got Y\n" for each place that differs; numbers are compared
 * by value. partial: members that only actual has do not count. NULL stands for nothing there.
 * Returns whether there is no difference. */
bool jm_json_diff(const json_t *expected, const json_t *actual, const char *pointer, bool partial,
                  jm_buf *out);

#endif
