/* Fetches one document over HTTP, with libcurl. */
#include "producer/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/mem.h"

#define CONNECT_TIMEOUT_MS 10000L
#define TIMEOUT_MS         30000L

enum { REDIRECTS_MAX = 3, HEADERS_BYTES_MAX = 65536, HEADER_LINE_BYTES = 8192 };

typedef struct transfer {
    const jm_fetch_options *options;
    jm_fetched *out;
    CURL *easy;
    struct curl_slist *headers; /* of this request */
    bool too_much;
    char error[CURL_ERROR_SIZE];
} transfer;

void jm_fetched_fini(jm_fetched *fetched)
{
    jm_buf_fini(&fetched->body);
    free(fetched->etag);
    fetched->etag = NULL;
}

/* ---- what libcurl calls ---- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    transfer *t = ctx;
    if (t->out->body.len + size * n > t->options->bytes_max) {
        t->too_much = true;
        return 0;
    }
    jm_buf_add(&t->out->body, data, size * n);
    return size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    transfer *t = ctx;
    size_t len = size * n;
    if (len > 5 && !strncasecmp(data, "HTTP/", 5)) {
        free(t->out->etag);
        t->out->etag = NULL;
    } else if (len > 5 && !strncasecmp(data, "etag:", 5)) {
        const char *from = data + 5, *to = data + len;
        while (from < to && strchr(" \t", *from))
            from++;
        while (to > from && strchr(" \t\r\n", to[-1]))
            to--;
        free(t->out->etag);
        t->out->etag = jm_strndup(from, (size_t)(to - from));
    }
    return len;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const transfer *t = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return t->options->stop && atomic_load(t->options->stop);
}

/* ---- headers ---- */

static void add_header(transfer *t, const char *header)
{
    struct curl_slist *more = curl_slist_append(t->headers, header);
    t->headers = more ? more : t->headers;
}

static int read_headers(transfer *t, FILE *file, jm_err *err)
{
    char line[HEADER_LINE_BYTES];
    size_t bytes = 0;
    for (int n = 1; fgets(line, sizeof line, file); n++) {
        size_t len = strcspn(line, "\r\n");
        bytes += len;
        if ((!line[len] && !feof(file)) || bytes > HEADERS_BYTES_MAX)
            return jm_err_set(err, JM_ERR_INVALID, "headers_file: line %d is too long", n);
        line[len] = '\0';
        if (!len || line[0] == '#')
            continue;
        if (!strchr(line, ':') || line[0] == ':')
            return jm_err_set(err, JM_ERR_INVALID, "headers_file: line %d is no \"Name: value\"",
                              n);
        add_header(t, line);
    }
    return ferror(file) ? jm_err_errno(err, JM_ERR_IO, "headers_file") : JM_OK;
}

/* Read each time: secrets change. */
static int add_headers(transfer *t, jm_err *err)
{
    const char *path = t->options->headers_file;
    struct stat st;
    FILE *file = fopen(path, "re");
    if (!file)
        return jm_err_errno(err, JM_ERR_IO, "headers_file %.200s", path);
    int rc = fstat(fileno(file), &st) ? jm_err_errno(err, JM_ERR_IO, "headers_file") : JM_OK;
    if (!rc && (st.st_mode & 0006))
        rc = jm_err_set(err, JM_ERR_INVALID,
                        "headers_file %.200s: everybody may read or write it (chmod o-rw)", path);
    if (!rc)
        rc = read_headers(t, file, err);
    fclose(file);
    return rc;
}

/* ---- requests ---- */

static char *part_of(const char *url, CURLUPart part)
{
    char *text = NULL;
    CURLU *u = curl_url();
    if (curl_url_set(u, CURLUPART_URL, url, 0) ||
        curl_url_get(u, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0))
        text = NULL;
    curl_url_cleanup(u);
    return text;
}

static bool is_same_part(const char *a, const char *b, CURLUPart part)
{
    char *x = part_of(a, part), *y = part_of(b, part);
    bool same = x && y && !strcasecmp(x, y);
    curl_free(x);
    curl_free(y);
    return same;
}

static bool is_same_origin(const char *a, const char *b)
{
    return is_same_part(a, b, CURLUPART_SCHEME) && is_same_part(a, b, CURLUPART_HOST) &&
           is_same_part(a, b, CURLUPART_PORT);
}

static void set_options(transfer *t)
{
    CURL *easy = t->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "jobmill/" JM_VERSION);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
}

static int failed(const transfer *t, CURLcode code, jm_err *err)
{
    if (t->too_much)
        return jm_err_set(err, JM_ERR_INVALID, "more than %zu MiB", t->options->bytes_max >> 20);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return jm_err_set(err, JM_ERR_CLOSED, "stopped");
    int kind = code == CURLE_OPERATION_TIMEDOUT ? JM_ERR_TIMEOUT
               : code == CURLE_URL_MALFORMAT    ? JM_ERR_INVALID
                                                : JM_ERR_IO;
    return jm_err_set(err, kind, "%s", *t->error ? t->error : curl_easy_strerror(code));
}

/* One request; *next is where a redirect leads to (the caller frees), or NULL. */
static int request(transfer *t, const char *url, long left_ms, char **next, jm_err *err)
{
    jm_buf known = {0};
    long status = 0;
    int rc = JM_OK;
    *next = NULL;
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    if (t->options->headers_file && is_same_origin(url, t->options->url))
        rc = add_headers(t, err);
    if (rc)
        return rc;
    if (t->options->etag) {
        jm_buf_addf(&known, "If-None-Match: %s", t->options->etag);
        add_header(t, jm_buf_str(&known));
        jm_buf_fini(&known);
    }
    jm_buf_clear(&t->out->body);
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, left_ms);
    CURLcode code = curl_easy_perform(t->easy);
    if (code)
        return failed(t, code, err);
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    char *to = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to);
    if (to && status != 304)
        *next = jm_strdup(to);
    else if (status == 304 && t->options->etag)
        t->out->unchanged = true;
    else if (status != 200)
        rc = jm_err_set(err, JM_ERR_IO, "the server answers %ld", status);
    return rc;
}

/* Whether a redirect may be followed; what is encrypted stays so. */
static int check_redirect(const char *from, const char *to, int n, jm_err *err)
{
    if (n > REDIRECTS_MAX)
        return jm_err_set(err, JM_ERR_IO, "more than %d redirects", REDIRECTS_MAX);
    if (!strncasecmp(from, "https:", 6) && strncasecmp(to, "https:", 6) != 0)
        return jm_err_set(err, JM_ERR_IO, "it redirects from https to something else");
    return JM_OK;
}

static int follow(transfer *t, jm_err *err)
{
    char *url = jm_strdup(t->options->url), *next = NULL;
    int64_t until_ms = jm_mono_ms() + TIMEOUT_MS;
    int rc;
    for (int n = 1;; n++) {
        int64_t left_ms = until_ms - jm_mono_ms();
        rc = left_ms > 0
                 ? request(t, url, (long)left_ms, &next, err)
                 : jm_err_set(err, JM_ERR_TIMEOUT, "it takes longer than %ld s", TIMEOUT_MS / 1000);
        if (rc || !next)
            break;
        rc = check_redirect(url, next, n, err);
        free(url);
        url = next;
        if (rc)
            break;
    }
    free(url);
    return rc;
}

int jm_fetch(const jm_fetch_options *options, jm_fetched *out, jm_err *err)
{
    transfer t = {.options = options, .out = out, .easy = curl_easy_init()};
    *out = (jm_fetched){0};
    if (!t.easy)
        return jm_err_set(err, JM_ERR_IO, "libcurl does not start");
    set_options(&t);
    int rc = follow(&t, err);
    curl_easy_cleanup(t.easy);
    curl_slist_free_all(t.headers);
    if (rc)
        jm_fetched_fini(out);
    return rc;
}
