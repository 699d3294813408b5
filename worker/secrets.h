/* Secrets: files of one directory, read when they are asked for and again when they have changed.
 */
#ifndef JM_SECRETS_H
#define JM_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

enum {
    JM_SECRET_MIN_BYTES = 4, /* fewer could not be masked without masking everything */
    JM_SECRET_MAX_BYTES = 65536
};

/* One owner at a time; the calls read small files. */
typedef struct jm_secrets jm_secrets;

/* Letters, digits, '.', '_' and '-', not beginning with '.', at most 100. */
bool jm_secret_name_ok(const char *name);

jm_secrets *jm_secrets_new(const char *dir); /* NULL: every secret is missing */
void jm_secrets_free(jm_secrets *secrets);   /* overwrites them; NULL is fine */

/* The content of dir/name, or of path (NULL: none of its own) in its place, without a newline at
 * the end; NUL behind it; borrowed until the next call. JM_ERR_NOT_FOUND when there is no such file
 * (or no directory is set), JM_ERR_INVALID when it may be read or written by everybody, is no file,
 * has a NUL or too few or too many bytes, JM_ERR_IO. Messages name the secret, never its value. */
int jm_secrets_get(jm_secrets *secrets, const char *name, const char *path, const char **value,
                   size_t *len, jm_err *err);

#endif
