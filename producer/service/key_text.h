/* Keys as text: making one, what is kept of it, and the lines of a file of keys. Pure. */
#ifndef JM_SERVICE_KEY_TEXT_H
#define JM_SERVICE_KEY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* "jm_" and 32 random bytes in base32 (a-z, 2-7), which a double click selects. */
#define JM_KEY_TEXT   56 /* bytes with the NUL */
#define JM_KEY_PREFIX 9  /* the 8 characters after jm_, with a NUL */
#define JM_KEY_HASH   32
#define JM_KEY_HEX    65 /* a hash as hex digits, with a NUL */

typedef struct jm_key {
    char text[JM_KEY_TEXT];
    char prefix[JM_KEY_PREFIX];
    uint8_t hash[JM_KEY_HASH];
    char hex[JM_KEY_HEX]; /* hash */
} jm_key;

/* A new one. Errors: JM_ERR_IO when the system has no randomness. */
int jm_key_make(jm_key *key, jm_err *err);
/* One that somebody shows. false: it has not the form of a key. */
bool jm_key_read(jm_key *key, const char *text, size_t len);

/* Whether two hashes are the same, in a time that does not depend on them. */
bool jm_key_hash_equal(const uint8_t a[JM_KEY_HASH], const uint8_t b[JM_KEY_HASH]);

bool jm_key_is_name(const char *name);   /* of a key: [A-Za-z0-9][A-Za-z0-9._@-]{0,99} */
bool jm_key_is_scope(const char *scope); /* read, submit, admin */

/* A line of a file of keys: hash, scope, project or *, name. */
typedef struct jm_key_line {
    uint8_t hash[JM_KEY_HASH];
    char scope[8];
    char project[101]; /* "": all */
    char name[101];
} jm_key_line;

/* *is_key is false for an empty line and a comment (#). Errors: JM_ERR_INVALID. */
int jm_key_line_parse(const char *line, jm_key_line *out, bool *is_key, jm_err *err);

#endif
