/* Ids: UUID version 7 (RFC 9562): 48 bits of milliseconds since 1970, then random or derived bits.
 */
#ifndef JM_UUID7_H
#define JM_UUID7_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct jm_uuid {
    uint8_t b[16]; /* network order; memcmp orders as PostgreSQL does */
} jm_uuid;

#define JM_UUID_TEXT 37 /* bytes of the text form with its NUL */

/* A new id for this instant. Ids made by one thread only grow. Thread-safe. */
jm_uuid jm_uuid7_new(void);
/* A new id for that millisecond, of another clock than this machine's. One thread's only grow: an
 * earlier one than the last gets the time of the last. */
jm_uuid jm_uuid7_at(int64_t ms);

/* The id with that time and the 74 other bits taken from seed (the first 10 bytes of a hash): the
 * same input always gives the same id. */
jm_uuid jm_uuid7_derive(int64_t ms, const uint8_t seed[10]);

/* The id of a Kafka record: time of the record, the rest from SHA-256 over topic, partition,
 * offset, timestamp, key and value. key may be NULL. Redelivery of a record gives the same id. */
jm_uuid jm_uuid7_from_record(const char *topic, int32_t partition, int64_t offset, int64_t ms,
                             const void *key, size_t key_len, const void *value, size_t value_len);

/* The smallest id of that millisecond, of 1970 for what lies before it: a bound for range scans. */
jm_uuid jm_uuid7_floor(int64_t ms);

int64_t jm_uuid7_ms(const jm_uuid *id); /* the time in it, milliseconds since 1970 */
bool jm_uuid7_is(const jm_uuid *id);    /* version 7 and RFC variant */

void jm_uuid_format(const jm_uuid *id, char text[JM_UUID_TEXT]); /* lower case, with hyphens */
/* Accepts exactly the 36-character hyphenated form, either case. Returns false for anything else.
 */
bool jm_uuid_parse(const char *text, size_t len, jm_uuid *out);
int jm_uuid_cmp(const jm_uuid *a, const jm_uuid *b);

#endif
