/* The log: one line an event, text or JSON, on stderr. */
#ifndef JM_LOG_H
#define JM_LOG_H

#include <stdbool.h>

typedef enum jm_log_level { JM_DEBUG, JM_INFO, JM_WARNING, JM_ERROR } jm_log_level;

/* Sets level and format for the process. Call before threads start, or again on SIGHUP. */
void jm_log_init(jm_log_level level, bool json);
jm_log_level jm_log_get_level(void);
bool jm_log_level_parse(const char *text, jm_log_level *out); /* debug info warning error */
/* The same of a job's log line, where names that other systems have are taken too: trace, warn,
 * critical, fatal. */
bool jm_log_level_parse_job(const char *text, jm_log_level *out);
const char *jm_log_level_name(jm_log_level level); /* as it stands in job_logs: "INFO" */

/* Writes one line: time, level, module, message, then "key=value" pairs. The keys and values are
 * strings in turn, ended by NULL, e.g. jm_log_kv(JM_INFO, "relay", "published", "job_id", id,
 * NULL). A NULL value is left out. Passwords in URLs (scheme://user:password@) and "password=..."
 * are masked. Thread-safe, one write(2) a line. */
void jm_log_kv(jm_log_level level, const char *module, const char *message, ...)
    __attribute__((sentinel));
/* As printf. */
void jm_logf(jm_log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Masks passwords in place, as the log does; for anything else that prints a URL. */
void jm_mask_secrets(char *text);

#endif
