/* JSON through jansson without losing a digit: numbers that a double or a 64-bit integer would bend
 * are carried as marked strings and written as the numbers they were. */
#ifndef JM_JSON_EXACT_H
#define JM_JSON_EXACT_H

#include <jansson.h>
#include <stddef.h>

#include "common/err.h"

/* Loads one value. Fractions, exponents and integers of more than 18 digits become strings that
 * only jm_json_exact_dump reads; everything else is as jansson loads it. Duplicate keys are errors.
 * Errors: JM_ERR_INVALID with line, column and reason. */
int jm_json_exact_load(const char *text, size_t len, json_t **out, jm_err *err);

/* Writes a value (loaded by the above, or made by hand); the caller frees. flags as for json_dumps.
 */
char *jm_json_exact_dump(const json_t *value, size_t flags);

/* The text of a string; NULL for any other value, a number that was carried as a string among them.
 * Borrowed. */
const char *jm_json_exact_text(const json_t *value);

/* Whether a text of JSON is such as a job's params or metadata may be, in whatever way they come:
 * as common/json_scan.h has it, so that numbers with a fraction or exponent are within a double's
 * range. The error says where it is not. */
int jm_json_exact_check(const char *text, size_t len, jm_err *err);

/* The digits of a number that was carried as a string, or NULL for any other value. Borrowed. */
const char *jm_json_exact_number(const json_t *value);

#endif
