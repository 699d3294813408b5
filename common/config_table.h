/* The table of configuration keys: what there is, of which type and range, and what it is for. */
#ifndef JM_CONFIG_TABLE_H
#define JM_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

typedef enum jm_config_type {
    JM_CONFIG_STR,
    JM_CONFIG_INT,
    JM_CONFIG_BOOL,
    JM_CONFIG_CHOICE /* one of a few words */
} jm_config_type;

enum {
    JM_CONFIG_RELOADABLE = 1, /* SIGHUP changes it in a running program */
    JM_CONFIG_UNUSED = 2      /* accepted, but its feature is not in this version */
};

typedef struct jm_config_key {
    const char *section, *name;
    jm_config_type type;
    const char *def; /* NULL: unset */
    int64_t min, max;
    const char *const *choices; /* NULL-terminated, of JM_CONFIG_CHOICE */
    unsigned flags;
    /* NULL, or says with false that the text is not acceptable; needs says what would be. */
    bool (*check)(const char *text);
    const char *needs;
    const char *help; /* one or two sentences without a trailing period's newline */
} jm_config_key;

typedef struct jm_config_section {
    const char *name, *help;
} jm_config_section;

extern const jm_config_key jm_config_keys[];
extern const size_t jm_config_n_keys;
extern const jm_config_section jm_config_sections[];
extern const size_t jm_config_n_sections;

/* Index of a key, or -1. */
int jm_config_key_find(const char *section, const char *name);
/* Index of a section, or -1. */
int jm_config_section_find(const char *section);
/* Checks text against type and range; *out is the number of an integer or boolean. On failure fills
 * err with what would be right (the caller adds where it stands). */
int jm_config_key_check(const jm_config_key *key, const char *text, int64_t *out, jm_err *err);

#endif
