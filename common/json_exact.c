/* JSON through jansson without losing a digit. */
#include "common/json_exact.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json_scan.h"

/* U+E000, of the private use area, begins every string that stands for something else: with '#' a
 * number, doubled a string that began with it itself. */
#define MARK        "\xee\x80\x80"
#define NUMBER_MARK MARK "#"

/* Length of the number of JSON's grammar at s, 0 if there is none. */
static size_t number_len(const char *s, const char *end)
{
    const char *p = s;
    if (p < end && *p == '-')
        p++;
    const char *digits = p;
    while (p < end && isdigit((unsigned char)*p))
        p++;
    if (p == digits || (*digits == '0' && p - digits > 1))
        return 0;
    if (p < end && *p == '.') {
        const char *from = ++p;
        while (p < end && isdigit((unsigned char)*p))
            p++;
        if (p == from)
            return 0;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        const char *from = p;
        while (p < end && isdigit((unsigned char)*p))
            p++;
        if (p == from)
            return 0;
    }
    return (size_t)(p - s);
}

static bool is_plain(const char *number, size_t len)
{
    return len <= 18 && !memchr(number, '.', len) && !memchr(number, 'e', len) &&
           !memchr(number, 'E', len);
}

/* Length of the string that begins at s, with its quotes. */
static size_t string_len(const char *s, const char *end)
{
    const char *p = s + 1;
    while (p < end && *p != '"')
        p += *p == '\\' && p + 1 < end ? 2 : 1;
    return (size_t)(p < end ? p + 1 - s : end - s);
}

/* Copies the string that begins at s (its quote) and returns what follows it. */
static const char *copy_string(jm_buf *to, const char *s, const char *end)
{
    size_t n = string_len(s, end);
    jm_buf_addc(to, '"');
    if ((n >= 4 && !memcmp(s + 1, MARK, 3)) || (n >= 7 && !strncasecmp(s + 1, "\\ue000", 6)))
        jm_buf_adds(to, MARK);
    jm_buf_add(to, s + 1, n - 1);
    return s + n;
}

static void mark_numbers(jm_buf *to, const char *s, const char *end)
{
    while (s < end) {
        size_t n = 0;
        if (*s == '"') {
            s = copy_string(to, s, end);
            continue;
        }
        if (*s == '-' || isdigit((unsigned char)*s))
            n = number_len(s, end);
        if (n && !is_plain(s, n)) {
            jm_buf_adds(to, "\"" NUMBER_MARK);
            jm_buf_add(to, s, n);
            jm_buf_addc(to, '"');
        } else {
            n = n ? n : 1;
            jm_buf_add(to, s, n);
        }
        s += n;
    }
}

int jm_json_exact_load(const char *text, size_t len, json_t **out, jm_err *err)
{
    const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;
    jm_buf marked = {0};
    json_error_t why, plain;
    mark_numbers(&marked, text, text + len);
    *out = json_loadb(jm_buf_str(&marked), marked.len, flags, &why);
    jm_buf_fini(&marked);
    if (*out)
        return JM_OK;
    json_t *again = json_loadb(text, len, flags, &plain); /* for the place in what was given */
    json_decref(again);
    const json_error_t *e = again ? &why : &plain;
    if (strstr(e->text, "JSON_ALLOW_NUL")) /* jansson's word to a program */
        return jm_err_set(err, JM_ERR_INVALID, "\\u0000 is not allowed (line %d, column %d)",
                          e->line, e->column);
    return jm_err_set(err, JM_ERR_INVALID, "%s (line %d, column %d)", e->text, e->line, e->column);
}

/* Undoes the marks in dumped text. */
static char *unmark(const char *text)
{
    jm_buf out = {0};
    const char *end = text + strlen(text);
    while (text < end) {
        size_t n = *text == '"' ? string_len(text, end) : strcspn(text, "\"");
        if (n > 4 && !memcmp(text, "\"" NUMBER_MARK, 5)) {
            jm_buf_add(&out, text + 5, n - 6);
        } else if (n > 4 && !memcmp(text, "\"" MARK, 4)) { /* doubled: one of the two goes */
            jm_buf_addc(&out, '"');
            jm_buf_add(&out, text + 4, n - 4);
        } else {
            jm_buf_add(&out, text, n);
        }
        text += n;
    }
    return jm_buf_take(&out);
}

char *jm_json_exact_dump(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
    if (!text)
        return NULL;
    char *out = unmark(text);
    free(text);
    return out;
}

const char *jm_json_exact_number(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && !strncmp(text, NUMBER_MARK, 4) ? text + 4 : NULL;
}

const char *jm_json_exact_text(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t mark = sizeof MARK - 1;
    if (!text || strncmp(text, MARK, mark) != 0)
        return text;
    return strncmp(text + mark, MARK, mark) ? NULL : text + mark;
}

int jm_json_exact_check(const char *text, size_t len, jm_err *err)
{
    jm_json json;
    int rc = jm_json_scan(&json, text, len, JM_JSON_DEPTH_MAX - 1, err); /* a member of a message */
    jm_json_fini(&json);
    return rc;
}
