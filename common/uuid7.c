/* Ids: UUID version 7, also derived from a Kafka record. */
#include "uuid7.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <endian.h>

#include <stdlib.h>

static jm_uuid make(int64_t ms, const uint8_t seed[10])
{
    jm_uuid id;
    uint64_t t = htobe64((uint64_t)ms << 16);
    memcpy(id.b, &t, 6);
    memcpy(id.b + 6, seed, 10);
    id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

/* Per thread: the last millisecond and a 74-bit counter seeded at random, so that ids made by one
 * thread only grow (RFC 9562, method 2) and cost no system call each. */
struct source {
    int64_t ms;
    uint8_t seed[10];
};

static void bump(uint8_t seed[10])
{
    for (int i = 9; i >= 2; i--)
        if (++seed[i])
            return;
}

/* The next id of a source; its time never goes back. */
static jm_uuid next(struct source *src, int64_t ms)
{
    if (ms > src->ms) {
        src->ms = ms;
        if (getrandom(src->seed, sizeof src->seed, 0) != sizeof src->seed)
            abort();
        src->seed[2] &=
            0x1f; /* headroom: the counter (bytes 2..9 without the variant bits) never wraps */
    } else {
        bump(src->seed);
    }
    return make(src->ms, src->seed);
}

jm_uuid jm_uuid7_new(void)
{
    static _Thread_local struct source src;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return next(&src, (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

jm_uuid jm_uuid7_at(int64_t ms)
{
    static _Thread_local struct source src;
    return next(&src, ms);
}

jm_uuid jm_uuid7_derive(int64_t ms, const uint8_t seed[10])
{
    return make(ms, seed);
}

static pthread_key_t digest_key;

static void digest_free(void *md)
{
    EVP_MD_CTX_free(md);
}

static void digest_key_make(void)
{
    if (pthread_key_create(&digest_key, digest_free))
        abort();
}

/* One a thread, freed when the thread ends. */
static EVP_MD_CTX *digest_of_thread(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, digest_key_make);
    EVP_MD_CTX *md = pthread_getspecific(digest_key);
    if (!md) {
        md = EVP_MD_CTX_new();
        if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL) ||
            pthread_setspecific(digest_key, md))
            abort();
    }
    return md;
}

jm_uuid jm_uuid7_from_record(const char *topic, int32_t partition, int64_t offset, int64_t ms,
                             const void *key, size_t key_len, const void *value, size_t value_len)
{
    EVP_MD_CTX *md = digest_of_thread();
    struct {
        int64_t offset, ms, key_len, value_len, partition;
    } head = {(int64_t)htobe64((uint64_t)offset), (int64_t)htobe64((uint64_t)ms),
              (int64_t)htobe64(key ? (uint64_t)key_len : UINT64_MAX),
              (int64_t)htobe64((uint64_t)value_len), (int64_t)htobe64((uint64_t)partition)};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_DigestInit_ex(md, NULL, NULL); /* the digest it has: to look it up again takes locks */
    EVP_DigestUpdate(md, topic, strlen(topic) + 1);
    EVP_DigestUpdate(md, &head, sizeof head);
    if (key)
        EVP_DigestUpdate(md, key, key_len);
    if (value)
        EVP_DigestUpdate(md, value, value_len);
    EVP_DigestFinal_ex(md, digest, &len);
    return make(ms, digest);
}

jm_uuid jm_uuid7_floor(int64_t ms)
{
    static const uint8_t zero[10];
    jm_uuid id = make(ms < 0 ? 0 : ms, zero);
    id.b[6] = 0;
    id.b[8] = 0;
    return id;
}

int64_t jm_uuid7_ms(const jm_uuid *id)
{
    uint64_t t = 0;
    memcpy(&t, id->b, 6);
    return (int64_t)(be64toh(t) >> 16);
}

bool jm_uuid7_is(const jm_uuid *id)
{
    return (id->b[6] & 0xf0) == 0x70 && (id->b[8] & 0xc0) == 0x80;
}

void jm_uuid_format(const jm_uuid *id, char text[JM_UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    char *p = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[id->b[i] >> 4];
        *p++ = hex[id->b[i] & 15];
    }
    *p = 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool jm_uuid_parse(const char *text, size_t len, jm_uuid *out)
{
    if (len != 36)
        return false;
    jm_uuid id;
    const char *p = text;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return false;
        int hi = nibble(p[0]), lo = nibble(p[1]);
        if (hi < 0 || lo < 0)
            return false;
        id.b[i] = (uint8_t)(hi << 4 | lo);
        p += 2;
    }
    *out = id;
    return true;
}

int jm_uuid_cmp(const jm_uuid *a, const jm_uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}
