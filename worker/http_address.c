/* Tells public network addresses from all others. */
#include "http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A block of addresses; the first that fits decides. */
typedef struct block {
    unsigned char prefix[16];
    int bits;
    const char *words; /* NULL: public */
} block;

/* IANA's registry of special addresses, as far as they are not reachable from everywhere. */
static const block blocks4[] = {
    {{0}, 8, "an address of \"this network\""},
    {{10}, 8, "a private address"},
    {{100, 64}, 10, "a shared address (carrier-grade NAT)"},
    {{127}, 8, "a loopback address"},
    {{169, 254}, 16, "a link-local address"},
    {{172, 16}, 12, "a private address"},
    {{192, 0, 0}, 24, "a reserved address"},
    {{192, 0, 2}, 24, "an address for documentation"},
    {{192, 88, 99}, 24, "a reserved address"},
    {{192, 168}, 16, "a private address"},
    {{198, 18}, 15, "an address for benchmarks"},
    {{198, 51, 100}, 24, "an address for documentation"},
    {{203, 0, 113}, 24, "an address for documentation"},
    {{224}, 4, "a multicast address"},
    {{240}, 4, "a reserved address"},
};

static const block blocks6[] = {
    {{[15] = 1}, 128, "a loopback address"},
    {{0}, 128, "the unspecified address"},
    {{0xfc}, 7, "a private address (unique local)"},
    {{0xfe, 0x80}, 10, "a link-local address"},
    {{0xfe, 0xc0}, 10, "a site-local address"},
    {{0xff}, 8, "a multicast address"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "an address for documentation"},
    {{0x20, 0x01, 0x00}, 23, "a reserved address"},
    {{0x3f, 0xff, 0x00}, 20, "an address for documentation"},
    {{0x20}, 3, NULL},
    {{0}, 0, "a reserved address"},
};

/* Where IPv4 stands inside IPv6. */
static const struct {
    unsigned char prefix[12];
    int bits, at;
} inside[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 12}, /* mapped */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},   /* NAT64 */
    {{0x20, 0x02}, 16, 2},                /* 6to4 */
    {{[8] = 0xff, [9] = 0xff}, 96, 12},   /* translated (SIIT) */
};

static bool fits(const unsigned char *address, const unsigned char *prefix, int bits)
{
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(address, prefix, (size_t)whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00 >> rest);
    return !rest || (address[whole] & mask) == (prefix[whole] & mask);
}

static const char *refusal4(const unsigned char *address)
{
    for (size_t i = 0; i < COUNT(blocks4); i++)
        if (fits(address, blocks4[i].prefix, blocks4[i].bits))
            return blocks4[i].words;
    return NULL;
}

static const char *refusal6(const unsigned char *address)
{
    for (size_t i = 0; i < COUNT(inside); i++)
        if (fits(address, inside[i].prefix, inside[i].bits))
            return refusal4(address + inside[i].at);
    size_t i = 0;
    while (!fits(address, blocks6[i].prefix, blocks6[i].bits))
        i++; /* the last fits all */
    return blocks6[i].words;
}

const char *jm_http_address_refusal(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return refusal4((const unsigned char *)&in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return refusal6(in6.sin6_addr.s6_addr);
    }
    return "no internet address";
}

const char *jm_http_address_text_refusal(const char *text)
{
    unsigned char bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1)
        return refusal4(bytes);
    if (inet_pton(AF_INET6, text, bytes) == 1)
        return refusal6(bytes);
    return "no internet address";
}
