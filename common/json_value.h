/* JSON values as people mean them: numbers compared by their value, whatever they are written like.
 */
#ifndef JM_JSON_VALUE_H
#define JM_JSON_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Any value, also a scalar. Whole numbers past 64 bits become reals. NULL when it is no JSON or has
 * a number past a double's range. The caller drops the reference. */
json_t *jm_json_load(const char *text, size_t len);

/* As json_equal, but 1 and 1.0 are equal. */
bool jm_json_value_equal(const json_t *a, const json_t *b);
/* Two numbers by value, or two strings by their code points: *order is below, at or above 0. False
 * for everything else. */
bool jm_json_value_compare(const json_t *a, const json_t *b, int *order);

#endif
