/* Finds values in JSON text without decoding them. */
#include "raw_json.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static size_t skip_space(const char *text, size_t len, size_t i)
{
    while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r'))
        i++;
    return i;
}

static size_t skip_string(const char *text, size_t len, size_t i)
{
    for (i++; i < len && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i < len ? i + 1 : len;
}

/* The end of the value that begins at i. Brackets are only counted: the text is known to be sound.
 */
static size_t skip_value(const char *text, size_t len, size_t i)
{
    size_t depth = 0;
    while (i < len) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, len, i);
        } else if (c == '{' || c == '[') {
            depth++;
            i++;
        } else if (c == '}' || c == ']') {
            if (!depth)
                return i;
            depth--;
            i++;
        } else if (depth) {
            i++;
            continue;
        } else {
            while (i < len && !strchr(",]} \t\r\n", text[i]))
                i++;
            return i;
        }
        if (!depth)
            return i;
    }
    return len;
}

/* One element behind *pos in an array or object; open is the bracket it begins with. */
static bool next_element(const char *text, size_t len, size_t *pos, char open, jm_raw *element)
{
    size_t i = skip_space(text, len, *pos);
    if (!*pos) {
        if (i >= len || text[i] != open)
            return false;
        i = skip_space(text, len, i + 1);
    } else if (i < len && text[i] == ',') {
        i = skip_space(text, len, i + 1);
    }
    if (i >= len || text[i] == '}' || text[i] == ']')
        return false;
    size_t end = skip_value(text, len, i);
    if (end == i)
        return false;
    *element = (jm_raw){text + i, end - i};
    *pos = end;
    return true;
}

bool jm_raw_next(const char *text, size_t len, size_t *pos, jm_raw *key, jm_raw *value)
{
    if (!next_element(text, len, pos, '{', key))
        return false;
    size_t i = skip_space(text, len, *pos);
    if (i >= len || text[i] != ':')
        return false;
    i = skip_space(text, len, i + 1);
    size_t end = skip_value(text, len, i);
    *value = (jm_raw){text + i, end - i};
    *pos = end;
    return true;
}

static bool key_is(jm_raw raw, const char *key, size_t key_len)
{
    if (raw.len < 2)
        return false;
    if (!memchr(raw.p, '\\', raw.len))
        return raw.len - 2 == key_len && !memcmp(raw.p + 1, key, key_len);
    json_t *decoded = json_loadb(raw.p, raw.len, JSON_DECODE_ANY, NULL);
    bool is = decoded && json_string_length(decoded) == key_len &&
              !memcmp(json_string_value(decoded), key, key_len);
    json_decref(decoded);
    return is;
}

static jm_raw member(const char *text, size_t len, const char *name, size_t name_len)
{
    jm_raw found = {NULL, 0}, key, value;
    for (size_t pos = 0; jm_raw_next(text, len, &pos, &key, &value);)
        if (key_is(key, name, name_len))
            found = value;
    return found;
}

jm_raw jm_raw_member(const char *text, size_t len, const char *key)
{
    return member(text, len, key, strlen(key));
}

static jm_raw item(const char *text, size_t len, const char *token, size_t token_len)
{
    if (!token_len || token_len > 9 || (token[0] == '0' && token_len > 1))
        return (jm_raw){NULL, 0};
    size_t index = 0;
    for (size_t i = 0; i < token_len; i++) {
        if (!isdigit((unsigned char)token[i]))
            return (jm_raw){NULL, 0};
        index = index * 10 + (size_t)(token[i] - '0');
    }
    jm_raw value;
    for (size_t pos = 0; next_element(text, len, &pos, '[', &value);)
        if (!index--)
            return value;
    return (jm_raw){NULL, 0};
}

bool jm_raw_pointer_ok(const char *pointer)
{
    if (*pointer && *pointer != '/')
        return false;
    for (const char *p = pointer; *p; p++)
        if (*p == '~' && p[1] != '0' && p[1] != '1')
            return false;
    return true;
}

/* Decodes one reference token into key, which has room for it. */
static size_t decode_token(const char *token, size_t len, char *key)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (token[i] == '~' && i + 1 < len)
            key[n++] = token[++i] == '1' ? '/' : '~';
        else
            key[n++] = token[i];
    }
    return n;
}

jm_raw jm_raw_at(const char *text, size_t len, const char *pointer, bool nearest)
{
    size_t i = skip_space(text, len, 0);
    jm_raw at = {text + i, len - i};
    char *key = jm_malloc(strlen(pointer) + 1);
    while (*pointer == '/') {
        size_t token_len = strcspn(++pointer, "/");
        size_t key_len = decode_token(pointer, token_len, key);
        jm_raw next = at.len && *at.p == '[' ? item(at.p, at.len, key, key_len)
                                             : member(at.p, at.len, key, key_len);
        if (!next.p) {
            if (!nearest)
                at = next;
            break;
        }
        at = next;
        pointer += token_len;
    }
    free(key);
    while (at.p && at.len && strchr(" \t\r\n", at.p[at.len - 1]))
        at.len--;
    return at;
}
