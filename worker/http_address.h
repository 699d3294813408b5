/* Which network addresses an http step may call. */
#ifndef JM_HTTP_ADDRESS_H
#define JM_HTTP_ADDRESS_H

#include <sys/socket.h>

/* Why the address is no public one, in words ("a loopback address"), or NULL when it is one. IPv4
 * inside IPv6 (mapped, NAT64, 6to4) is judged as IPv4; families other than the two are refused. */
const char *jm_http_address_refusal(const struct sockaddr *address);
/* The same for a numeric address as text; what is none is refused. */
const char *jm_http_address_text_refusal(const char *text);

#endif
