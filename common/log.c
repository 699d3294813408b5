/* The log: one line an event, text or JSON, on stderr. */
#include "log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"

static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

/* The one process-wide setting: written at start and on SIGHUP, read by every thread. */
static _Atomic int min_level = JM_INFO;
static _Atomic bool as_json;

void jm_log_init(jm_log_level level, bool json)
{
    atomic_store(&min_level, (int)level);
    atomic_store(&as_json, json);
}

jm_log_level jm_log_get_level(void)
{
    return (jm_log_level)atomic_load_explicit(&min_level, memory_order_relaxed);
}

bool jm_log_level_parse(const char *text, jm_log_level *out)
{
    for (int i = 0; i < 4; i++) {
        if (!strcasecmp(text, names[i])) {
            *out = (jm_log_level)i;
            return true;
        }
    }
    return false;
}

bool jm_log_level_parse_job(const char *text, jm_log_level *out)
{
    static const struct {
        const char *name;
        jm_log_level level;
    } also[] = {
        {"warn", JM_WARNING}, {"critical", JM_ERROR}, {"fatal", JM_ERROR}, {"trace", JM_DEBUG}};
    if (jm_log_level_parse(text, out))
        return true;
    for (size_t i = 0; i < sizeof also / sizeof *also; i++) {
        if (!strcasecmp(also[i].name, text)) {
            *out = also[i].level;
            return true;
        }
    }
    return false;
}

const char *jm_log_level_name(jm_log_level level)
{
    return names[level];
}

/* Overwrites the bytes from p to end with at most three asterisks; the text only gets shorter. */
static void blank_range(char *p, char *end)
{
    size_t n = (size_t)(end - p), stars = n < 3 ? n : 3;
    memset(p, '*', stars);
    memmove(p + stars, end, strlen(end) + 1);
}

/* The value at p: a word, or quoted as in a connection string, where \\ escapes. */
static void blank_password(char *p)
{
    char *end = p + strcspn(p, " &\"'");
    if (*p == '\'')
        for (end = ++p; *end && *end != '\'';)
            end += *end == '\\' && end[1] ? 2 : 1;
    blank_range(p, end);
}

void jm_mask_secrets(char *text)
{
    for (char *p = text; (p = strstr(p, "://")); p += 3) {
        char *user = p + 3, *end = user + strcspn(user, " /\"'?");
        char *at = NULL;
        for (char *q = user; q < end; q++)
            if (*q == '@')
                at = q;
        char *colon = memchr(user, ':', (size_t)(end - user));
        if (at && colon && colon < at) {
            blank_range(colon + 1, at);
        }
    }
    for (char *p = text; (p = strcasestr(p, "password=")); p += 9)
        blank_password(p + 9);
}

static void put_pair(jm_buf *line, bool json, const char *key, const char *value)
{
    jm_buf masked = {0};
    jm_buf_adds(&masked, value);
    jm_mask_secrets(masked.data);
    masked.len = strlen(masked.data);
    if (json) {
        jm_buf_addf(line, ",\"%s\":", key);
        jm_buf_add_json(line, masked.data, masked.len);
    } else if (!strcmp(key, "message")) {
        for (size_t i = 0; i < masked.len; i++)
            jm_buf_addc(line, iscntrl((unsigned char)masked.data[i]) ? ' ' : masked.data[i]);
    } else {
        jm_buf_addf(line, " %s=", key);
        if (masked.len && !strpbrk(masked.data, " \"=\n"))
            jm_buf_adds(line, masked.data);
        else
            jm_buf_add_json(line, masked.data, masked.len);
    }
    jm_buf_fini(&masked);
}

static void begin(jm_buf *line, bool json, jm_log_level level, const char *module)
{
    char ts[JM_RFC3339_TEXT];
    jm_rfc3339_format(jm_utc_ms() * 1000, ts);
    char *dot = strchr(ts, '.');
    if (dot)
        memcpy(dot + 4, "Z", 2); /* milliseconds are enough here */
    if (json)
        jm_buf_addf(line, "{\"ts\":\"%s\",\"level\":\"%s\",\"module\":\"%s\"", ts, names[level],
                    module);
    else
        jm_buf_addf(line, "%s %-7s %s: ", ts, names[level], module);
}

static void finish(jm_buf *line, bool json)
{
    jm_buf_adds(line, json ? "}\n" : "\n");
    ssize_t n = write(STDERR_FILENO, line->data, line->len);
    (void)n; /* nowhere left to say it */
    jm_buf_fini(line);
}

void jm_log_kv(jm_log_level level, const char *module, const char *message, ...)
{
    if (level < jm_log_get_level())
        return;
    bool json = atomic_load_explicit(&as_json, memory_order_relaxed);
    jm_buf line = {0};
    begin(&line, json, level, module);
    put_pair(&line, json, "message", message);
    va_list ap;
    va_start(ap, message);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        if (value)
            put_pair(&line, json, key, value);
    }
    va_end(ap);
    finish(&line, json);
}

void jm_logf(jm_log_level level, const char *module, const char *fmt, ...)
{
    if (level < jm_log_get_level())
        return;
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jm_log_kv(level, module, text, NULL);
}
