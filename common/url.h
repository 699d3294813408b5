/* URLs that jobmill is given to call: one rule for messages, schedules and the configuration. The
 * same as a pattern is in schema/generate.py, from where SQL and the schemas have it. */
#ifndef JM_URL_H
#define JM_URL_H

#include <stdbool.h>
#include <stddef.h>

/* http:// or https://, a host (a name, an address, or one of IPv6 in brackets), a port or none, and
 * then printable ASCII without blanks. No user: the executor http refuses one, since credentials do
 * not belong in URLs, which are shown and logged. */
bool jm_url_is_http(const char *url, size_t len);
/* Such a URL, here with a user and password if need be, which are shown as ***; or what does not
 * begin like one: the path of a file or directory. */
bool jm_url_is_source(const char *text);

#endif
