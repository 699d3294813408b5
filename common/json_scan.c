/* Strict JSON, scanned once where it lies. */
#include "json_scan.h"

#include <assert.h>
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* An open array or object. */
typedef struct frame {
    const char *at;
    size_t index;     /* of the element that is being read, from 0 (arrays) */
    size_t first_key; /* its first member on the stack of members (objects) */
    bool is_object;
} frame;

typedef struct scanner {
    jm_json *json;
    const char *start, *p, *end;
    jm_json_member *keys; /* members of all open objects, the root's first */
    size_t n_keys, cap_keys;
    int depth, max_depth;
    jm_err *err;
    frame frames[JM_JSON_DEPTH_MAX];
} scanner;

enum { DOUBLE_EXPONENT_MAX = 308, NUMERIC_SCALE_MAX = 16383, EXPONENT_STOP = 100000 };

const char *jm_json_kind_text(jm_json_kind kind)
{
    static const char *const texts[] = {"null",     "false",    "true",     "a number",
                                        "a string", "an array", "an object"};
    return texts[kind];
}

/* ---- errors: the place, in bytes, lines and as a path ---- */

/* The last member read of the open object i: the one before the first of the next open object. */
static size_t last_key(const scanner *s, int i)
{
    for (int j = i + 1; j < s->depth; j++)
        if (s->frames[j].is_object)
            return s->frames[j].first_key;
    return s->n_keys;
}

static void write_path(const scanner *s, char *field, size_t size)
{
    size_t n = 0;
    field[0] = 0;
    for (int i = 0; i < s->depth; i++) {
        const frame *f = &s->frames[i];
        char name[64], part[72];
        if (f->is_object) {
            size_t last = last_key(s, i);
            if (last == f->first_key)
                return; /* no member yet */
            jm_json_show(&s->keys[last - 1].name, name, sizeof name);
            snprintf(part, sizeof part, "%s%s", n ? "." : "", name);
        } else {
            snprintf(part, sizeof part, "[%zu]", f->index);
        }
        size_t len = strlen(part);
        if (n + len >= size)
            return;
        memcpy(field + n, part, len + 1);
        n += len;
    }
}

static bool fail(scanner *s, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(scanner *s, const char *at, const char *fmt, ...)
{
    if (!s->err)
        return false;
    size_t line = 1;
    for (const char *p = s->start; p < at; p++)
        line += *p == '\n';
    char what[200], field[sizeof s->err->field];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    write_path(s, field, sizeof field);
    jm_err_field(s->err, field, "byte %zu, line %zu: %s", (size_t)(at - s->start), line, what);
    return false;
}

static bool fail_expected(scanner *s, const char *expected)
{
    if (s->p >= s->end)
        return fail(s, s->p, "expected %s, but the text ends", expected);
    unsigned char c = (unsigned char)*s->p;
    if (c > 0x20 && c < 0x7f)
        return fail(s, s->p, "expected %s, found '%c'", expected, c);
    return fail(s, s->p, "expected %s, found byte 0x%02X", expected, c);
}

/* ---- UTF-8 ---- */

/* Length of the valid sequence of more than one byte at p, or 0 (RFC 3629: nothing overlong, no
 * surrogates, nothing past U+10FFFF). */
static int utf8_len(const unsigned char *p, const unsigned char *end)
{
    unsigned char lead = p[0], low = 0x80, high = 0xbf;
    int n;
    if (lead >= 0xc2 && lead <= 0xdf)
        n = 2;
    else if (lead >= 0xe0 && lead <= 0xef)
        n = 3;
    else if (lead >= 0xf0 && lead <= 0xf4)
        n = 4;
    else
        return 0;
    if (end - p < n)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (int i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool jm_utf8_is_valid(const void *bytes, size_t len, size_t *chars)
{
    const unsigned char *p = bytes, *end = p + len;
    size_t count = 0;
    for (; p < end; count++) {
        int n = *p < 0x80 ? 1 : utf8_len(p, end);
        if (!n)
            return false;
        p += n;
    }
    if (chars)
        *chars = count;
    return true;
}

static size_t utf8_put(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* ---- escapes ---- */

static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i], low = (char)(c | 0x20);
        int d = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* Writes the character of the escape at p (behind its backslash) and returns where it ends. Valid
 * input only. */
static const char *unescape_one(const char *p, char *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*p != 'u') {
        *out = to[strchr(from, *p) - from];
        *n = 1;
        return p + 1;
    }
    uint32_t code = (uint32_t)hex4(p + 1, p + 5);
    p += 5;
    if (code >= 0xd800 && code <= 0xdbff) {
        uint32_t low = (uint32_t)hex4(p + 2, p + 6);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *n = utf8_put(code, out);
    return p;
}

/* The escape at s->p, a backslash. */
static bool scan_escape(scanner *s)
{
    const char *at = s->p++;
    if (s->p >= s->end)
        return fail(s, at, "unterminated string");
    char c = *s->p++;
    if (c != 'u') {
        if (!c || !strchr("\"\\/bfnrt", c))
            return fail(s, at, "no such escape in JSON");
        return true;
    }
    int code = hex4(s->p, s->end);
    if (code < 0)
        return fail(s, at, "\\u needs four hexadecimal digits");
    if (code == 0)
        return fail(s, at, "U+0000 cannot be stored; leave it out");
    s->p += 4;
    if (code < 0xd800 || code > 0xdfff)
        return true;
    int low = code <= 0xdbff && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u'
                  ? hex4(s->p + 2, s->end)
                  : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, at, "lone surrogate \\u%04x", (unsigned)code);
    s->p += 6;
    return true;
}

/* ---- strings ---- */

#define BYTES(c) (0x0101010101010101ull * (c))

/* A word whose top bits mark the bytes that need a look: quote, backslash, controls, non-ASCII. A
 * borrow can mark a byte too many behind a true one, never one too few before it. */
static uint64_t special(uint64_t w)
{
    uint64_t quote = w ^ BYTES('"'), slash = w ^ BYTES('\\');
    uint64_t hit = ((w - BYTES(0x20)) & ~w) | ((quote - BYTES(1)) & ~quote) |
                   ((slash - BYTES(1)) & ~slash) | w;
    return hit & BYTES(0x80);
}

static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t hit = special(le64toh(w));
        if (hit)
            return p + (__builtin_ctzll(hit) >> 3);
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* The string at s->p, a quote. */
static bool scan_string(scanner *s, jm_json_value *out)
{
    const char *open = s->p++, *from = s->p;
    *out = (jm_json_value){.kind = JM_JSON_STRING, .at = from};
    for (;;) {
        s->p = skip_plain(s->p, s->end);
        if (s->p >= s->end)
            return fail(s, open, "unterminated string");
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') {
            out->len = (size_t)(s->p++ - from);
            return true;
        }
        if (c == '\\') {
            out->escaped = true;
            if (!scan_escape(s))
                return false;
        } else if (c == 0) {
            return fail(s, s->p, "U+0000 cannot be stored; leave it out");
        } else if (c < 0x20) {
            return fail(s, s->p, "control character 0x%02X must be escaped in a string", c);
        } else {
            int n = utf8_len((const unsigned char *)s->p, (const unsigned char *)s->end);
            if (!n)
                return fail(s, s->p, "byte 0x%02X is not valid UTF-8", c);
            s->p += n;
        }
    }
}

size_t jm_json_unescape(const jm_json_value *string, char *out)
{
    const char *p = string->at, *end = p + string->len;
    char *to = out;
    while (p < end) {
        const char *slash = string->escaped ? memchr(p, '\\', (size_t)(end - p)) : NULL;
        size_t plain = (size_t)((slash ? slash : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (slash) {
            size_t n;
            p = unescape_one(p + 1, to, &n);
            to += n;
        }
    }
    *to = 0;
    return (size_t)(to - out);
}

size_t jm_json_chars(const jm_json_value *string)
{
    const char *p = string->at, *end = p + string->len;
    size_t chars = 0;
    while (p < end) {
        if (*p == '\\') {
            char scratch[4];
            size_t n;
            p = unescape_one(p + 1, scratch, &n);
            chars++;
        } else {
            chars += (*p++ & 0xc0) != 0x80;
        }
    }
    return chars;
}

/* Unescapes piece by piece, so that names can be hashed and compared without a copy. Returns the
 * bytes written to out, at most 8; 0 at the end. */
static size_t unescape_some(const char **p, const char *end, char out[8])
{
    size_t n = 0;
    while (*p < end && n <= 4) {
        if (**p == '\\') {
            size_t more;
            *p = unescape_one(*p + 1, out + n, &more);
            n += more;
        } else {
            out[n++] = *(*p)++;
        }
    }
    return n;
}

bool jm_json_equals(const jm_json_value *string, const char *text, size_t len)
{
    if (!string->escaped)
        return string->len == len && memcmp(string->at, text, len) == 0;
    const char *p = string->at, *end = p + string->len;
    char some[8];
    size_t n;
    while ((n = unescape_some(&p, end, some))) {
        if (n > len || memcmp(some, text, n) != 0)
            return false;
        text += n;
        len -= n;
    }
    return len == 0;
}

void jm_json_show(const jm_json_value *string, char *out, size_t size)
{
    const char *p = string->at, *end = p + string->len;
    size_t n = 0;
    while (p < end) {
        char c[4];
        size_t len;
        if (*p == '\\') {
            p = unescape_one(p + 1, c, &len);
        } else {
            int more = (unsigned char)*p < 0x80
                           ? 1
                           : utf8_len((const unsigned char *)p, (const unsigned char *)end);
            len = more ? (size_t)more : 1;
            memcpy(c, p, len);
            p += len;
        }
        if (n + len + 1 > size)
            break;
        if ((unsigned char)c[0] < 0x20 || c[0] == 0x7f)
            c[0] = '?';
        memcpy(out + n, c, len);
        n += len;
    }
    out[n] = 0;
}

/* ---- names: no name twice in one object ---- */

static uint64_t mix(uint64_t hash, uint64_t w)
{
    hash = (hash ^ w) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 32;
}

static uint64_t mix_bytes(uint64_t hash, const char *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        hash = mix(hash, w);
    }
    uint64_t w = len;
    for (size_t i = 0; i < len; i++)
        w = w << 8 | (unsigned char)p[i];
    return mix(hash, w);
}

static uint64_t hash_name(const jm_json_value *name)
{
    if (!name->escaped)
        return mix_bytes(0x2545f4914f6cdd1dull, name->at, name->len);
    /* Rare: through a copy, so that it equals the hash of the same name without escapes. */
    char small[256], *copy = name->len < sizeof small ? small : jm_malloc(name->len + 1);
    size_t len = jm_json_unescape(name, copy);
    uint64_t hash = mix_bytes(0x2545f4914f6cdd1dull, copy, len);
    if (copy != small)
        free(copy);
    return hash;
}

static int compare_names(const jm_json_value *a, const jm_json_value *b)
{
    if (!a->escaped && !b->escaped) {
        if (a->len != b->len)
            return a->len < b->len ? -1 : 1;
        return memcmp(a->at, b->at, a->len);
    }
    const char *pa = a->at, *pb = b->at;
    char ca = 0, cb = 0, bufa[8], bufb[8];
    size_t na = 0, nb = 0, ia = 0, ib = 0;
    for (;;) {
        if (ia == na)
            na = unescape_some(&pa, a->at + a->len, bufa), ia = 0;
        if (ib == nb)
            nb = unescape_some(&pb, b->at + b->len, bufb), ib = 0;
        if (!na || !nb)
            return (na > 0) - (nb > 0);
        ca = bufa[ia++];
        cb = bufb[ib++];
        if (ca != cb)
            return (unsigned char)ca < (unsigned char)cb ? -1 : 1;
    }
}

static bool is_same_name(const jm_json_member *a, const jm_json_member *b)
{
    return a->hash == b->hash && compare_names(&a->name, &b->name) == 0;
}

/* By hash, then name, then place: equal names become neighbours, the later one behind. */
static int compare_members(const void *pa, const void *pb)
{
    const jm_json_member *a = *(const jm_json_member *const *)pa;
    const jm_json_member *b = *(const jm_json_member *const *)pb;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    int c = compare_names(&a->name, &b->name);
    return c ? c : a->name.at < b->name.at ? -1 : a->name.at > b->name.at;
}

static const jm_json_member *twice_among_many(const jm_json_member *keys, size_t n)
{
    const jm_json_member *twice = NULL;
    const jm_json_member **sorted = jm_malloc(n * sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &keys[i];
    qsort(sorted, n, sizeof *sorted, compare_members);
    for (size_t i = 1; i < n; i++)
        if (is_same_name(sorted[i - 1], sorted[i]) && (!twice || sorted[i] < twice))
            twice = sorted[i];
    free(sorted);
    return twice;
}

static const jm_json_member *twice_among_few(const jm_json_member *keys, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (is_same_name(&keys[i], &keys[j]))
                return &keys[i];
    return NULL;
}

/* Checks the members of the innermost object, which is about to close. */
static bool check_names(scanner *s)
{
    const frame *f = &s->frames[s->depth - 1];
    const jm_json_member *keys = s->keys + f->first_key;
    size_t n = s->n_keys - f->first_key;
    if (n < 2)
        return true;
    const jm_json_member *twice = n <= 12 ? twice_among_few(keys, n) : twice_among_many(keys, n);
    if (!twice)
        return true;
    char name[64];
    jm_json_show(&twice->name, name, sizeof name);
    s->n_keys = (size_t)(twice - s->keys) + 1; /* the path of the error ends in this name */
    return fail(s, twice->name.at - 1, "\"%s\" stands twice in one object", name);
}

static void push_key(scanner *s, const jm_json_value *name)
{
    if (s->n_keys == s->cap_keys) {
        size_t cap = s->cap_keys * 4;
        bool was_few = s->keys == s->json->few;
        jm_json_member *keys = jm_realloc(was_few ? NULL : s->keys, cap * sizeof *keys);
        if (was_few)
            memcpy(keys, s->keys, s->n_keys * sizeof *keys);
        s->keys = keys;
        s->cap_keys = cap;
    }
    jm_json_member *key = &s->keys[s->n_keys++];
    key->name = *name;
    key->hash = hash_name(name);
}

/* ---- numbers and literals ---- */

static bool is_digit(const scanner *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static size_t skip_digits(scanner *s)
{
    const char *from = s->p;
    while (is_digit(s))
        s->p++;
    return (size_t)(s->p - from);
}

/* For numbers with fraction or exponent, whose double may overflow only when the first digit stands
 * for more than 10^307: strtod decides. */
static bool is_double(const char *at, size_t len)
{
    char text[JM_JSON_DIGITS_MAX + 32];
    if (len >= sizeof text)
        return false;
    memcpy(text, at, len);
    text[len] = 0;
    double d = strtod(text, NULL);
    return d - d == 0; /* false for infinities */
}

/* exponent: as written, capped. n_int digits before the point, n_fraction behind it. */
static bool check_range(scanner *s, const char *at, size_t n_int, size_t n_fraction, long exponent)
{
    if ((long)n_fraction - exponent > NUMERIC_SCALE_MAX || exponent > NUMERIC_SCALE_MAX)
        return fail(s, at, "a number with this exponent cannot be stored");
    if ((long)n_int + exponent > DOUBLE_EXPONENT_MAX && !is_double(at, (size_t)(s->p - at)))
        return fail(s, at,
                    "this number is out of a double's range (1.8e308); write it as a string");
    return true;
}

static long scan_exponent(scanner *s)
{
    bool negative = false;
    long exponent = 0;
    s->p++;
    if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
        negative = *s->p++ == '-';
    for (; is_digit(s); s->p++)
        if (exponent < EXPONENT_STOP)
            exponent = exponent * 10 + (*s->p - '0');
    return negative ? -exponent : exponent;
}

static bool scan_number(scanner *s, jm_json_value *out)
{
    const char *at = s->p;
    size_t n_fraction = 0;
    bool plain = true;
    if (*s->p == '-')
        s->p++;
    if (!is_digit(s))
        return fail_expected(s, "a digit");
    const char *first = s->p;
    size_t n_int = skip_digits(s);
    if (*first == '0' && n_int > 1)
        return fail(s, at, "a number must not begin with 0");
    if (s->p < s->end && *s->p == '.') {
        plain = false;
        s->p++;
        if (!(n_fraction = skip_digits(s)))
            return fail_expected(s, "a digit behind the point");
    }
    long exponent = 0;
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        plain = false;
        exponent = scan_exponent(s);
        if (s->p[-1] < '0' || s->p[-1] > '9')
            return fail_expected(s, "a digit of the exponent");
    }
    *out = (jm_json_value){.kind = JM_JSON_NUMBER, .at = at, .len = (size_t)(s->p - at)};
    if (out->len > JM_JSON_DIGITS_MAX && out->len - (*at == '-') > JM_JSON_DIGITS_MAX)
        return fail(s, at, "a number may have at most %d digits; write it as a string",
                    JM_JSON_DIGITS_MAX);
    return plain || check_range(s, at, n_int, n_fraction, exponent);
}

static bool scan_literal(scanner *s, const char *word, jm_json_kind kind, jm_json_value *out)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return fail_expected(s, "a value");
    *out = (jm_json_value){.kind = kind, .at = s->p, .len = len};
    s->p += len;
    return true;
}

bool jm_json_int(const jm_json_value *number, int64_t *out)
{
    char text[32];
    if (number->kind != JM_JSON_NUMBER || number->len >= sizeof text)
        return false;
    memcpy(text, number->at, number->len);
    text[number->len] = 0;
    if (!strpbrk(text, ".eE")) {
        *out = strtoll(text, NULL, 10);
        return number->len <= 18; /* longer ones may not fit, and no field is that large */
    }
    double d = strtod(text, NULL);
    if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0) || d != (double)(int64_t)d)
        return false;
    *out = (int64_t)d;
    return true;
}

/* ---- structure ---- */

static void skip_space(scanner *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

/* The name of a member and its colon; s->p is where the name should begin. */
static bool scan_name(scanner *s, const char *expected)
{
    jm_json_value name;
    if (s->p >= s->end || *s->p != '"')
        return fail_expected(s, expected);
    if (!scan_string(s, &name))
        return false;
    push_key(s, &name);
    skip_space(s);
    if (s->p >= s->end || *s->p != ':')
        return fail_expected(s, "':' behind a member's name");
    s->p++;
    return true;
}

static bool open_container(scanner *s, bool is_object)
{
    if (s->depth == s->max_depth)
        return fail(s, s->p, "nested deeper than %d levels", s->max_depth);
    s->frames[s->depth++] = (frame){.at = s->p++, .first_key = s->n_keys, .is_object = is_object};
    return true;
}

/* s->p is at the closing bracket of the innermost container. */
static bool close_container(scanner *s, jm_json_value *out)
{
    const frame *f = &s->frames[s->depth - 1];
    if (f->is_object && !check_names(s))
        return false;
    s->p++;
    *out = (jm_json_value){.kind = f->is_object ? JM_JSON_OBJECT : JM_JSON_ARRAY,
                           .at = f->at,
                           .len = (size_t)(s->p - f->at)};
    if (--s->depth > 0)
        s->n_keys = f->first_key; /* the root's members stay: they are the result */
    return true;
}

/* One value, or the beginning of a container: *opened says that a value inside it comes next. */
static bool scan_value(scanner *s, jm_json_value *out, bool *opened)
{
    *opened = false;
    skip_space(s);
    switch (s->p < s->end ? *s->p : 0) {
    case '"':
        return scan_string(s, out);
    case '{':
    case '[': {
        bool is_object = *s->p == '{';
        if (!open_container(s, is_object))
            return false;
        skip_space(s);
        if (s->p < s->end && *s->p == (is_object ? '}' : ']'))
            return close_container(s, out);
        *opened = true;
        return !is_object || scan_name(s, "a member's name or '}'");
    }
    case 't':
        return scan_literal(s, "true", JM_JSON_TRUE, out);
    case 'f':
        return scan_literal(s, "false", JM_JSON_FALSE, out);
    case 'n':
        return scan_literal(s, "null", JM_JSON_NULL, out);
    default:
        if (is_digit(s) || (s->p < s->end && *s->p == '-'))
            return scan_number(s, out);
        return fail_expected(s, "a value");
    }
}

/* Behind a value inside a container: a comma (*more), or closing brackets, each of which makes the
 * container the value just read. Stops behind the comma, or when the root is closed. */
static bool scan_behind(scanner *s, jm_json_value *value, bool *more)
{
    *more = false;
    while (s->depth > 0) {
        frame *f = &s->frames[s->depth - 1];
        if (f->is_object)
            s->keys[s->n_keys - 1].value = *value;
        skip_space(s);
        char c = s->p < s->end ? *s->p : 0;
        if (c == ',') {
            s->p++;
            f->index++;
            *more = true;
            if (!f->is_object)
                return true;
            skip_space(s);
            return scan_name(s, "a member's name");
        }
        if (c != (f->is_object ? '}' : ']'))
            return fail_expected(s, f->is_object ? "',' or '}'" : "',' or ']'");
        if (!close_container(s, value))
            return false;
    }
    return true;
}

static bool scan_text(scanner *s, jm_json_value *root)
{
    bool more = true;
    if (s->end - s->p >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
        return fail(s, s->p, "begins with a byte order mark; leave it out");
    while (more) {
        bool opened;
        if (!scan_value(s, root, &opened))
            return false;
        if (!opened && !scan_behind(s, root, &more))
            return false;
    }
    skip_space(s);
    return s->p == s->end || fail_expected(s, "nothing behind the value");
}

int jm_json_scan(jm_json *json, const char *text, size_t len, int max_depth, jm_err *err)
{
    assert(max_depth > 0 && max_depth <= JM_JSON_DEPTH_MAX);
    scanner s;
    s.json = json;
    s.start = s.p = text;
    s.end = text + len;
    s.keys = json->few;
    s.n_keys = 0;
    s.cap_keys = JM_JSON_INLINE;
    s.depth = 0;
    s.max_depth = max_depth;
    s.err = err;
    bool ok = scan_text(&s, &json->root);
    json->members = s.keys;
    json->cap = s.cap_keys;
    json->n_members = ok && json->root.kind == JM_JSON_OBJECT ? s.n_keys : 0;
    return ok ? JM_OK : JM_ERR_INVALID;
}

void jm_json_fini(jm_json *json)
{
    if (json->members != json->few)
        free(json->members);
    json->members = NULL;
    json->n_members = 0;
}

/* ---- walking what has been scanned ---- */

static const char *skip_string(const char *p)
{
    for (p++; *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p + 1;
}

static const char *skip_container(const char *p)
{
    int depth = 0;
    for (;;) {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        p++;
        if (!depth)
            return p;
    }
}

static const char *skip_gaps(const char *p, const char *end)
{
    while (p < end &&
           (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t' || *p == ',' || *p == ':'))
        p++;
    return p;
}

static const char *read_scanned(const char *p, jm_json_value *out)
{
    const char *from = p;
    *out = (jm_json_value){.at = from};
    switch (*p) {
    case '"':
        p = skip_string(p);
        out->kind = JM_JSON_STRING;
        out->at = from + 1;
        out->len = (size_t)(p - from) - 2;
        out->escaped = memchr(out->at, '\\', out->len) != NULL;
        return p;
    case '{':
    case '[':
        p = skip_container(p);
        out->kind = *from == '{' ? JM_JSON_OBJECT : JM_JSON_ARRAY;
        break;
    case 't':
        out->kind = JM_JSON_TRUE;
        p += 4;
        break;
    case 'f':
        out->kind = JM_JSON_FALSE;
        p += 5;
        break;
    case 'n':
        out->kind = JM_JSON_NULL;
        p += 4;
        break;
    default:
        out->kind = JM_JSON_NUMBER;
        p += strspn(p, "0123456789+-.eE");
    }
    out->len = (size_t)(p - from);
    return p;
}

void jm_json_iter_init(jm_json_iter *iter, const jm_json_value *container)
{
    assert(container->kind == JM_JSON_OBJECT || container->kind == JM_JSON_ARRAY);
    *iter = (jm_json_iter){.p = container->at + 1,
                           .end = container->at + container->len - 1,
                           .is_object = container->kind == JM_JSON_OBJECT};
}

bool jm_json_iter_next(jm_json_iter *iter, jm_json_value *name, jm_json_value *value)
{
    jm_json_value unused;
    iter->p = skip_gaps(iter->p, iter->end);
    if (iter->p >= iter->end)
        return false;
    if (iter->is_object) {
        iter->p = read_scanned(iter->p, name ? name : &unused);
        iter->p = skip_gaps(iter->p, iter->end);
    }
    iter->p = read_scanned(iter->p, value);
    return true;
}
