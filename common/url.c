/* URLs that jobmill is given to call. */
#include "common/url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* How many characters from the first one on are of those. */
static size_t span(const char *s, const char *end, const char *also, bool (*is)(int c))
{
    const char *p = s;
    while (p < end && *p && (is((unsigned char)*p) || strchr(also, *p)))
        p++;
    return (size_t)(p - s);
}

static bool is_plain(int c)
{
    return c < 128 && isalnum(c);
}

static bool is_hex(int c)
{
    return isxdigit(c);
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_visible(int c)
{
    return c > ' ' && c <= '~';
}

/* The host at s; NULL: there is none. Else what is behind it. */
static const char *skip_host(const char *s, const char *end)
{
    if (s < end && *s == '[') {
        size_t n = span(s + 1, end, ":.", is_hex);
        const char *close = s + 1 + n;
        return n && close < end && *close == ']' ? close + 1 : NULL;
    }
    size_t n = span(s, end, "._~%-", is_plain);
    return n ? s + n : NULL;
}

/* Behind "http://" or "https://"; NULL: it begins with neither. */
static const char *skip_scheme(const char *url, const char *end)
{
    size_t len = (size_t)(end - url);
    if (len > 7 && !memcmp(url, "http://", 7))
        return url + 7;
    return len > 8 && !memcmp(url, "https://", 8) ? url + 8 : NULL;
}

/* From the host on. */
static bool is_rest(const char *s, const char *end)
{
    const char *p = skip_host(s, end);
    if (p && p < end && *p == ':') {
        size_t digits = span(p + 1, end, "", is_digit);
        p = digits <= 5 ? p + 1 + digits : NULL;
    }
    if (!p || p == end)
        return p != NULL;
    return strchr("/?#", *p) && *p && p + span(p, end, "", is_visible) == end;
}

bool jm_url_is_http(const char *url, size_t len)
{
    const char *host = skip_scheme(url, url + len);
    return host && is_rest(host, url + len);
}

bool jm_url_is_source(const char *text)
{
    const char *end = text + strlen(text), *host = skip_scheme(text, end);
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return *text != 0; /* a path */
    if (!host)
        return false;
    const char *user_end = host + strcspn(host, "@/?#");
    if (*user_end == '@' && host + span(host, user_end, "", is_visible) == user_end)
        host = user_end + 1;
    return is_rest(host, end);
}
