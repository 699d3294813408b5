/* Takes what looks like a secret out of values that people who may read the audit log see. */
#include "producer/service/audit_mask.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* Compared without case and without what parts words. */
static const char *const telling[] = {
    "password",  "passwd",     "passphrase", "secret",    "token",         "apikey",
    "accesskey", "privatekey", "credential", "signature", "authorization", "cookie",
};

static bool is_telling(const char *name, size_t len)
{
    char plain[64];
    size_t n = 0;
    for (size_t i = 0; i < len && n < sizeof plain - 1; i++)
        if (isalnum((unsigned char)name[i]))
            plain[n++] = (char)tolower((unsigned char)name[i]);
    plain[n] = 0;
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
        if (strstr(plain, telling[i]))
            return true;
    return false;
}

static bool is_reference(const char *text)
{
    size_t len = strlen(text);
    return len > 10 && !strncmp(text, "${secret:", 9) && strchr(text, '}') == text + len - 1;
}

/* ---- URLs ---- */

/* Where a URL ends: at what cannot stand in one. */
static size_t url_length(const char *url)
{
    return strcspn(url, " \t\r\n\"'<>");
}

/* The part between :// and the path, without its password. */
static void add_authority(jm_buf *out, const char *text, size_t len)
{
    const char *at = memrchr(text, '@', len);
    const char *colon = at ? memchr(text, ':', (size_t)(at - text)) : NULL;
    if (!colon) {
        jm_buf_add(out, text, len);
        return;
    }
    jm_buf_add(out, text, (size_t)(colon + 1 - text));
    jm_buf_adds(out, JM_AUDIT_MASKED);
    jm_buf_add(out, at, len - (size_t)(at - text));
}

/* name=value&name=value, the values of telling names masked. */
static void add_parameters(jm_buf *out, const char *text, size_t len)
{
    for (const char *end = text + len; text < end;) {
        size_t one = strcspn(text, "&;#");
        if (one > (size_t)(end - text))
            one = (size_t)(end - text);
        const char *equals = memchr(text, '=', one);
        if (equals && is_telling(text, (size_t)(equals - text))) {
            jm_buf_add(out, text, (size_t)(equals + 1 - text));
            jm_buf_adds(out, JM_AUDIT_MASKED);
        } else {
            jm_buf_add(out, text, one);
        }
        text += one;
        if (text < end)
            jm_buf_addc(out, *text++);
    }
}

static void add_url(jm_buf *out, const char *url, size_t len)
{
    size_t authority = strcspn(url, "/?#");
    if (authority > len)
        authority = len;
    add_authority(out, url, authority);
    url += authority;
    len -= authority;
    size_t path = strcspn(url, "?");
    if (path >= len) {
        jm_buf_add(out, url, len);
        return;
    }
    jm_buf_add(out, url, path + 1);
    add_parameters(out, url + path + 1, len - path - 1);
}

/* NULL: there is nothing to mask; else the caller frees. */
static char *mask_text(const char *text)
{
    jm_buf out = {0};
    const char *p = text;
    for (const char *found; (found = strstr(p, "://"));) {
        jm_buf_add(&out, p, (size_t)(found + 3 - p));
        size_t len = url_length(found + 3);
        add_url(&out, found + 3, len);
        p = found + 3 + len;
    }
    jm_buf_adds(&out, p);
    if (strcmp(jm_buf_str(&out), text) != 0)
        return jm_buf_take(&out);
    jm_buf_fini(&out);
    return NULL;
}

/* ---- values ---- */

/* What stands for a value, or NULL: it stays. depth is bounded by that of JSON that we read. */
static json_t *instead(json_t *value)
{
    if (!json_is_string(value)) {
        jm_audit_mask(value);
        return NULL;
    }
    char *text = mask_text(json_string_value(value));
    json_t *masked = text ? json_string(text) : NULL;
    free(text);
    return masked;
}

static bool holds_secret(const char *name, const json_t *value)
{
    if (!is_telling(name, strlen(name)))
        return false;
    /* Numbers are counts, and tokens of locks. */
    return json_is_object(value) || json_is_array(value) ||
           (json_is_string(value) && !is_reference(json_string_value(value)));
}

void jm_audit_mask(json_t *value)
{
    const char *name;
    json_t *member;
    void *next;
    size_t i;
    json_object_foreach_safe(value, next, name, member)
    {
        json_t *other = holds_secret(name, member) ? json_string(JM_AUDIT_MASKED) : instead(member);
        if (other)
            json_object_set_new(value, name, other);
    }
    json_array_foreach(value, i, member)
    {
        json_t *other = instead(member);
        if (other)
            json_array_set_new(value, i, other);
    }
}
