/* Configuration: one table of keys, filled from file, environment and command line in that order.
 */
#ifndef JM_CONFIG_H
#define JM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

typedef struct jm_config jm_config;

/* Reads the file (--config FILE, else $JOBMILL_CONFIG, else /etc/jobmill/jobmill.conf if it is
 * there), the environment JOBMILL_<SECTION>_<KEY>, and --section.key=value arguments. What it
 * understands is removed from argv (argc and argv are compacted); the rest is the caller's. Unknown
 * keys are errors with the nearest known one; values are checked against type and range. err->field
 * is section.key. */
int jm_config_load(jm_config **out, int *argc, char **argv, jm_err *err);
/* The same sources again, for SIGHUP: only keys marked reloadable change; the names of others that
 * differ are logged. On error the old values stay. */
int jm_config_reload(jm_config *config, jm_err *err);
void jm_config_free(jm_config *config);

/* Sets the process's log up from [log]. jm_daemon_start and jm_config_reload have done it. */
void jm_config_apply_log(const jm_config *config);

/* Values by "section.key". A key that is not in the table, or of another type, is our bug (assert).
 * Strings are borrowed for as long as the configuration lives (a reload keeps the old ones); NULL
 * when unset without a default. Any thread. */
const char *jm_config_str(const jm_config *config, const char *key);
int64_t jm_config_int(const jm_config *config, const char *key);
bool jm_config_bool(const jm_config *config, const char *key);

/* The connection string (key=value words) from [database] url, or from host, port, name, user, and
 * password_file. The caller frees. Errors: JM_ERR_UNSUPPORTED when [database] enabled is false,
 * JM_ERR_INVALID, JM_ERR_IO. */
int jm_config_conninfo(const jm_config *config, char **out, jm_err *err);

/* Calls f for every librdkafka property of [kafka], in the file's spelling. */
void jm_config_each_kafka(const jm_config *config,
                          void (*f)(void *ctx, const char *name, const char *value), void *ctx);

/* Effective values and where each came from; secrets masked. */
void jm_config_print(const jm_config *config, FILE *to);
/* From the same table: the options part of --help, the sample file, docs/configuration.md. */
void jm_config_print_help(FILE *to);
void jm_config_print_sample(FILE *to);
void jm_config_print_markdown(FILE *to);
/* The man page jobmill.conf(5), for scdoc. */
void jm_config_print_scdoc(FILE *to);

#endif
