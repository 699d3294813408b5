/* Keys as text: making one, what is kept of it, and the lines of a file of keys. */
#include "producer/service/key_text.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define START "jm_"

enum { BYTES = 32, PREFIX = JM_KEY_PREFIX - 1, START_LEN = sizeof START - 1 };

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

/* Prefix and hash of the text. */
static void derive(jm_key *key)
{
    memcpy(key->prefix, key->text + START_LEN, PREFIX);
    key->prefix[PREFIX] = 0;
    SHA256((const unsigned char *)key->text, strlen(key->text), key->hash);
    for (int i = 0; i < JM_KEY_HASH; i++)
        snprintf(key->hex + 2 * i, 3, "%02x", key->hash[i]);
}

int jm_key_make(jm_key *key, jm_err *err)
{
    uint8_t random[BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return jm_err_errno(err, JM_ERR_IO, "no random bytes for a key");
    char *to = key->text;
    unsigned bits = 0, have = 0;
    memcpy(to, START, START_LEN);
    to += START_LEN;
    for (int i = 0; i < BYTES; i++) {
        bits = bits << 8 | random[i];
        for (have += 8; have >= 5; have -= 5)
            *to++ = digits[bits >> (have - 5) & 31];
    }
    if (have)
        *to++ = digits[bits << (5 - have) & 31];
    *to = 0;
    OPENSSL_cleanse(random, sizeof random);
    derive(key);
    return JM_OK;
}

bool jm_key_read(jm_key *key, const char *text, size_t len)
{
    if (len != JM_KEY_TEXT - 1 || memcmp(text, START, START_LEN) != 0)
        return false;
    memcpy(key->text, text, len);
    key->text[len] = 0;
    if (strspn(key->text + START_LEN, digits) != len - START_LEN)
        return false;
    derive(key);
    return true;
}

bool jm_key_hash_equal(const uint8_t a[JM_KEY_HASH], const uint8_t b[JM_KEY_HASH])
{
    return !CRYPTO_memcmp(a, b, JM_KEY_HASH);
}

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool jm_key_is_name(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 100 && !strchr("._@-", name[0]) &&
           strspn(name, LETTERS UPPER "0123456789._@-") == len;
}

bool jm_key_is_scope(const char *scope)
{
    return !strcmp(scope, "read") || !strcmp(scope, "submit") || !strcmp(scope, "admin");
}

/* ---- lines ---- */

static bool is_project(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 100 && !strchr("._-", name[0]) &&
           strspn(name, LETTERS "0123456789._-") == len;
}

static bool read_hash(const char *hex, uint8_t hash[JM_KEY_HASH])
{
    if (strlen(hex) != JM_KEY_HEX - 1 || strspn(hex, "0123456789abcdefABCDEF") != JM_KEY_HEX - 1)
        return false;
    for (int i = 0; i < JM_KEY_HASH; i++) {
        const char byte[] = {hex[2 * i], hex[2 * i + 1], 0};
        hash[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return true;
}

/* Words of a line, at most n; returns how many there are. */
static int cut(char *line, char **words, int n)
{
    int found = 0;
    char *save = NULL;
    for (char *word = strtok_r(line, " \t\r\n", &save); word;
         word = strtok_r(NULL, " \t\r\n", &save))
        if (found++ < n)
            words[found - 1] = word;
    return found;
}

int jm_key_line_parse(const char *line, jm_key_line *out, bool *is_key, jm_err *err)
{
    char text[512], *words[4];
    line += strspn(line, " \t");
    *is_key = *line && !strchr("#\r\n", *line);
    if (!*is_key)
        return JM_OK;
    if (snprintf(text, sizeof text, "%s", line) >= (int)sizeof text || cut(text, words, 4) != 4)
        return jm_err_set(err, JM_ERR_INVALID,
                          "a line is hash, scope, project (or *) and name, parted by spaces");
    const char *hex = words[0], *scope = words[1], *project = words[2], *name = words[3];
    if (!read_hash(hex, out->hash))
        return jm_err_set(err, JM_ERR_INVALID, "the hash must be 64 hexadecimal digits");
    if (!jm_key_is_scope(scope))
        return jm_err_set(err, JM_ERR_INVALID, "scope \"%s\" is none of read, submit, admin",
                          scope);
    if (strcmp(project, "*") != 0 && !is_project(project))
        return jm_err_set(err, JM_ERR_INVALID, "\"%s\" is no name of a project, nor *", project);
    if (!jm_key_is_name(name))
        return jm_err_set(err, JM_ERR_INVALID, "\"%s\" is no name of a key", name);
    snprintf(out->scope, sizeof out->scope, "%.7s", scope);
    snprintf(out->project, sizeof out->project, "%.100s", *project == '*' ? "" : project);
    snprintf(out->name, sizeof out->name, "%.100s", name);
    return JM_OK;
}
