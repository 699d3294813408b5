/* The object of a step with exec, checked and taken apart when its type is loaded. */
#ifndef JM_EXEC_DEF_H
#define JM_EXEC_DEF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Immutable; any thread. Strings are those of config. */
typedef struct jm_exec_def {
    json_t *config;
    const char **argv;                  /* NULL-terminated */
    const json_t *env;                  /* {name: value} or NULL */
    const char *cwd;                    /* or NULL */
    const char *user;                   /* or NULL */
    int64_t cpu_s, memory_bytes, files; /* 0: none */
    size_t output_bytes;
    bool loop; /* the child stays for the next job */
} jm_exec_def;

/* compile and discard of the executor: *out is a jm_exec_def. */
int jm_exec_def_compile(const json_t *config, const char *pointer, void **out, jm_err *err);
void jm_exec_def_discard(void *compiled);

#endif
