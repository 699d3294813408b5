/* Fetching one document over HTTP: whole, bounded in size and time. */
#ifndef JM_FETCH_H
#define JM_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"

typedef struct jm_fetch_options {
    const char *url;          /* http or https */
    const char *headers_file; /* a header a line, for authentication; NULL: none */
    const char *etag;         /* of what is known already, or NULL */
    size_t bytes_max;
    const _Atomic bool *stop; /* gives up within a second once it is set; NULL: never */
} jm_fetch_options;

typedef struct jm_fetched {
    bool unchanged; /* 304: it is as the etag says, and body is empty */
    jm_buf body;
    char *etag; /* or NULL */
} jm_fetched;

/* Blocks up to 10 s for a connection and 30 s in all. Follows three redirects; the headers of the
 * file go only to the host that the URL names. Certificates are verified; what the environment says
 * about proxies does not matter. The message of an error names neither headers nor what is secret
 * in the URL. Errors: JM_ERR_IO, JM_ERR_TIMEOUT, JM_ERR_INVALID (URL, size, headers file),
 * JM_ERR_CLOSED (stopped). */
int jm_fetch(const jm_fetch_options *options, jm_fetched *out, jm_err *err);
void jm_fetched_fini(jm_fetched *fetched);

#endif
