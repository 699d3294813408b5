/* The object of an http step, checked and prepared when its type is loaded. */
#ifndef JM_HTTP_PLAN_H
#define JM_HTTP_PLAN_H

#include <jansson.h>
#include <stdbool.h>

#include "worker/template.h"

enum {
    JM_HTTP_MAX_BYTES = 1 << 20,      /* kept of a response's body, by default */
    JM_HTTP_MAX_BYTES_MOST = 8 << 20, /* what max_bytes may ask for */
    JM_HTTP_TIMEOUT_S = 30,
    JM_HTTP_URL_MAX = 8192,
    JM_HTTP_HEADER_MAX = 8192
};

typedef struct jm_http_header {
    char *name;
    jm_template *value;
    bool is_private; /* not for another host: it has a secret in it, or is made for credentials */
} jm_http_header;

/* Immutable. */
typedef struct jm_http_plan {
    char method[16];           /* in capitals */
    jm_template *whole_url;    /* one reference; or NULL: */
    char *origin;              /* "https://host:port" */
    jm_template *path, *query; /* query with its '?'; NULL: none */
    jm_http_header *headers;
    size_t n_headers;
    jm_template *body;        /* or NULL */
    const char *content_type; /* for a body whose type the headers do not tell; or NULL */
    short expect[32];         /* statuses that are a success; none: 200 to 299 */
    size_t n_expect;
    int timeout_ms;
    int redirects; /* to follow at most */
    size_t max_bytes;
    char *sign; /* name of the secret that the body is signed with, or NULL */
} jm_http_plan;

/* pointer is the object's place in the definition. JM_ERR_INVALID names field and reason. */
int jm_http_plan_new(const json_t *config, const char *pointer, jm_http_plan **out, jm_err *err);
void jm_http_plan_free(jm_http_plan *plan); /* NULL is fine */

/* Checks a whole URL: http or https, with a host, no user, nothing that URLs do not have. host is
 * malloc'ed, "name:port" where it has one; may be NULL. */
int jm_http_url_check(const char *url, char **host, jm_err *err);
bool jm_http_plan_expects(const jm_http_plan *plan, long status);

#endif
