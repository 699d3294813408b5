/* Takes secrets out of text. */
#include "mask.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/json_scan.h"
#include "common/mem.h"

enum {
    LINE_MIN = 8,  /* bytes of a line of a secret that are one in themselves */
    BASE64_MIN = 8 /* digits of a secret in the midst of base64 that are not there by chance */
};

typedef struct jm_mask_word {
    char *text;
    size_t len;
} jm_mask_word;

void jm_mask_fini(jm_mask *mask)
{
    for (size_t i = 0; i < mask->n; i++) {
        explicit_bzero(mask->words[i].text, mask->words[i].len);
        free(mask->words[i].text);
    }
    free(mask->words);
    *mask = (jm_mask){0};
}

/* Keeps the longest first: of two that begin alike the longer one is replaced. */
static void add_word(jm_mask *mask, const char *text, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < mask->n; i++) {
        const jm_mask_word *word = &mask->words[i];
        if (word->len == len && !memcmp(word->text, text, len))
            return;
        at += word->len > len;
    }
    if (mask->n == mask->cap) {
        mask->cap = mask->cap ? mask->cap * 2 : 8;
        mask->words = jm_realloc(mask->words, mask->cap * sizeof *mask->words);
    }
    memmove(mask->words + at + 1, mask->words + at, (mask->n - at) * sizeof *mask->words);
    mask->words[at] = (jm_mask_word){jm_strndup(text, len), len};
    mask->n++;
}

static void add_buf(jm_mask *mask, jm_buf *word)
{
    add_word(mask, word->data, word->len);
    explicit_bzero(word->data, word->len);
    jm_buf_fini(word);
}

/* The code point of valid UTF-8 at p; *len is its bytes. */
static unsigned code_point(const unsigned char *p, int *len)
{
    *len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    unsigned c = *len == 1 ? *p : *p & (0xff >> (*len + 1));
    for (int i = 1; i < *len; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

/* As inside a JSON string: as it is, and in ASCII only. */
static void add_json(jm_mask *mask, const char *text, size_t len, bool upper)
{
    jm_buf quoted = {0}, ascii = {0};
    jm_buf_add_json(&quoted, text, len);
    for (size_t i = 1; i + 1 < quoted.len;) {
        int n;
        unsigned c = code_point((const unsigned char *)quoted.data + i, &n);
        if (c < 0x80)
            jm_buf_addc(&ascii, (char)c);
        else if (c < 0x10000)
            jm_buf_addf(&ascii, upper ? "\\u%04X" : "\\u%04x", c);
        else
            jm_buf_addf(&ascii, upper ? "\\u%04X\\u%04X" : "\\u%04x\\u%04x",
                        0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
        i += (size_t)n;
    }
    add_word(mask, quoted.data + 1, quoted.len - 2);
    explicit_bzero(quoted.data, quoted.len);
    jm_buf_fini(&quoted);
    add_buf(mask, &ascii);
}

static void add_percent(jm_mask *mask, const char *text, size_t len, bool upper)
{
    jm_buf encoded = {0};
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     strchr("-._~", c);
        if (plain)
            jm_buf_addc(&encoded, (char)c);
        else
            jm_buf_addf(&encoded, upper ? "%%%02X" : "%%%02x", c);
    }
    add_buf(mask, &encoded);
}

/* As it looks in the base64 of a text in which it stands behind 0, 1 or 2 bytes more than a
 * multiple of 3: those digits that are the secret's alone, whatever stands before and after it; and
 * with its end, where it is encoded by itself. */
static void add_base64(jm_mask *mask, const char *text, size_t len)
{
    unsigned char *plain = jm_calloc(len + 2, 1);
    char *encoded = jm_malloc((len + 4) / 3 * 4 + 5);
    for (size_t before = 0; before < 3; before++) {
        memcpy(plain + before, text, len);
        int n = EVP_EncodeBlock((unsigned char *)encoded, plain, (int)(before + len));
        size_t from = (before * 8 + 5) / 6, to = (before + len) * 8 / 6;
        if (!before)
            add_word(mask, encoded, (size_t)n);
        if (to >= from + BASE64_MIN)
            add_word(mask, encoded + from, to - from);
        explicit_bzero(encoded, (size_t)n);
    }
    explicit_bzero(plain, len + 2);
    free(plain);
    free(encoded);
}

static void add_forms(jm_mask *mask, const char *text, size_t len)
{
    add_word(mask, text, len);
    for (int upper = 0; upper < 2; upper++) {
        if (jm_utf8_is_valid(text, len, NULL))
            add_json(mask, text, len, upper);
        add_percent(mask, text, len, upper);
    }
    add_base64(mask, text, len);
}

void jm_mask_add(jm_mask *mask, const char *secret, size_t len)
{
    for (size_t i = 0; i < mask->n; i++)
        if (mask->words[i].len == len && !memcmp(mask->words[i].text, secret, len))
            return;
    add_forms(mask, secret, len);
    if (!memchr(secret, '\n', len))
        return;
    for (size_t from = 0; from < len;) {
        const char *end = memchr(secret + from, '\n', len - from);
        size_t n = end ? (size_t)(end - secret) - from : len - from;
        if (n >= LINE_MIN)
            add_forms(mask, secret + from, n);
        from += n + 1;
    }
}

void jm_mask_merge(jm_mask *mask, const jm_mask *other)
{
    for (size_t i = 0; i < other->n; i++)
        add_word(mask, other->words[i].text, other->words[i].len);
}

/* The word that stands at p, or NULL. */
static const jm_mask_word *word_at(const jm_mask *mask, const char *p, size_t len)
{
    for (size_t i = 0; i < mask->n; i++)
        if (mask->words[i].len <= len && *p == *mask->words[i].text &&
            !memcmp(p, mask->words[i].text, mask->words[i].len))
            return &mask->words[i];
    return NULL;
}

/* Where the first word begins; len when there is none. */
static size_t find_word(const jm_mask *mask, const char *text, size_t len,
                        const jm_mask_word **found)
{
    size_t at = len;
    *found = NULL;
    for (size_t i = 0; i < mask->n; i++) {
        const jm_mask_word *word = &mask->words[i];
        const char *p = memmem(text, len, word->text, word->len);
        if (p && (size_t)(p - text) < at) {
            at = (size_t)(p - text);
            *found = word;
        }
    }
    if (*found)
        *found = word_at(mask, text + at, len - at);
    return at;
}

void jm_mask_text(const jm_mask *mask, const char *text, size_t len, jm_buf *out)
{
    const jm_mask_word *word;
    while (len) {
        size_t at = find_word(mask, text, len, &word);
        jm_buf_add(out, text, at);
        if (!word)
            return;
        jm_buf_adds(out, JM_MASK_TEXT);
        text += at + word->len;
        len -= at + word->len;
    }
}

static bool holds_word(const jm_mask *mask, const char *text, size_t len)
{
    const jm_mask_word *word;
    find_word(mask, text, len, &word);
    return word != NULL;
}

/* The end of the string whose opening quote is at i. */
static size_t string_end(const char *json, size_t len, size_t i)
{
    for (i++; i < len && json[i] != '"'; i++)
        if (json[i] == '\\')
            i++;
    return i < len ? i + 1 : len;
}

static void mask_string(const jm_mask *mask, const char *json, size_t len, jm_buf *out)
{
    jm_json_value string = {.at = json + 1,
                            .len = len - 2,
                            .kind = JM_JSON_STRING,
                            .escaped = memchr(json, '\\', len) != NULL};
    jm_buf text = {0}, masked = {0};
    text.len = jm_json_unescape(&string, jm_buf_reserve(&text, string.len + 1));
    if (holds_word(mask, text.data, text.len)) {
        jm_mask_text(mask, text.data, text.len, &masked);
        jm_buf_add_json(out, jm_buf_str(&masked), masked.len);
    } else {
        jm_buf_add(out, json, len);
    }
    jm_buf_fini(&text);
    jm_buf_fini(&masked);
}

static size_t scalar_end(const char *json, size_t len, size_t i)
{
    while (i < len && !strchr(",]}:{[\" \t\r\n", json[i]))
        i++;
    return i;
}

void jm_mask_json(const jm_mask *mask, const char *json, size_t len, jm_buf *out)
{
    if (!mask->n) {
        jm_buf_add(out, json, len);
        return;
    }
    for (size_t i = 0; i < len;) {
        size_t end = json[i] == '"' ? string_end(json, len, i) : scalar_end(json, len, i);
        if (end == i) {
            jm_buf_addc(out, json[i++]);
            continue;
        }
        if (json[i] == '"' && end - i >= 2)
            mask_string(mask, json + i, end - i, out);
        else if (holds_word(mask, json + i, end - i))
            jm_buf_adds(out, "\"" JM_MASK_TEXT "\"");
        else
            jm_buf_add(out, json + i, end - i);
        i = end;
    }
}

/* How many bytes at the end of the text may be the beginning of a word. */
static size_t open_end(const jm_mask *mask, const char *text, size_t len)
{
    size_t most = 0;
    for (size_t i = 0; i < mask->n; i++) {
        const jm_mask_word *word = &mask->words[i];
        for (size_t n = word->len - 1 < len ? word->len - 1 : len; n > most; n--) {
            if (!memcmp(text + len - n, word->text, n)) {
                most = n;
                break;
            }
        }
    }
    return most;
}

void jm_mask_stream(const jm_mask *mask, jm_buf *rest, const char *text, size_t len, bool last,
                    jm_buf *out)
{
    const jm_mask_word *word;
    jm_buf_add(rest, text, len);
    const char *p = rest->data;
    size_t left = rest->len;
    for (;;) {
        size_t at = find_word(mask, p, left, &word);
        size_t held = last ? 0 : open_end(mask, p, left);
        /* A longer word may still be under way where a shorter one has been found. */
        if (!word || at > left - held)
            at = left - held;
        jm_buf_add(out, p, at);
        p += at;
        left -= at;
        if (!word || (held && left == held))
            break;
        jm_buf_adds(out, JM_MASK_TEXT);
        p += word->len;
        left -= word->len;
    }
    jm_buf_shift(rest, rest->len - left);
}
