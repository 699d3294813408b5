/* Inside of jm_config, for config.c and config_print.c alone. */
#ifndef JM_CONFIG_PRIV_H
#define JM_CONFIG_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read by every thread, written by a reload. */
typedef struct jm_config_value {
    char *_Atomic text; /* NULL: unset */
    _Atomic int64_t num;
    char *source; /* "default", "path:line", "environment NAME", "command line" */
} jm_config_value;

/* A property of librdkafka other than bootstrap.servers, which is in the table. */
typedef struct jm_config_prop {
    char *name, *value, *source;
} jm_config_prop;

struct jm_config {
    jm_config_value *values; /* beside jm_config_keys */
    jm_config_prop *props;
    size_t n_props;
    char *path;
    bool path_named; /* by --config or the environment: then it must exist */
    char **args;     /* --section.key=value, for reloads */
    size_t n_args;
    char **retired; /* texts that reloads have replaced */
    size_t n_retired;
};

/* Whether a property of librdkafka holds a secret. */
bool jm_config_is_secret(const char *property);

#endif
