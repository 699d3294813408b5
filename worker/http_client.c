/* Makes http requests on a thread of its own. */
#include "http_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/mem.h"
#include "worker/http_address.h"
#include "worker/http_plan.h"

enum {
    TURN_MS = 1000,
    CONNECT_TIMEOUT_MS = 10000,
    BUFFER_BYTES = 8192, /* of each transfer under way */
    UPLOAD_BYTES = 16384,
    /* libcurl looks for an idle connection among all to the same host, one by one: a bundle of
     * thousands costs more than the request. So a multi handle takes no more than this while
     * another has room. */
    SHARD_TRANSFERS = 128,
    SHARDS = 64,
    /* Names are resolved by a thread each: those that may be at it at once. */
    STARTING_MAX = 64,
    SPARES = 1024 /* easy handles kept for reuse */
};

const char *const jm_http_kept_headers[JM_HTTP_KEPT_HEADERS] = {
    "content-type", "content-length", "date",        "etag",        "last-modified",
    "link",         "location",       "retry-after", "x-request-id"};

typedef struct shard {
    jm_http_client *client;
    CURLM *multi;
    jm_timer timer;
    int active;
} shard;

/* What travels between the threads: a transfer, or the wish to abort it. */
typedef struct message {
    jm_node node;
    struct jm_http_transfer *transfer;
} message;

typedef enum transfer_state { WAITING, ACTIVE, OVER } transfer_state;

/* A call while the client has it. */
typedef struct jm_http_transfer {
    jm_http_call *call;
    message sent, abort;
    /* The loop's thread's. */
    struct jm_http_transfer *prev, *next; /* all that the client has */
    int out;                              /* messages that are under way: 1 or 2 */
    bool aborted;
    /* The client's thread's. */
    struct jm_http_transfer *next_waiting;
    jm_http_client *client;
    transfer_state state;
    bool starting; /* it may be resolving a name */
    shard *shard;
    CURL *easy;
    int64_t deadline_us;
    char method[16]; /* a redirect may change it */
    bool with_body;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
} jm_http_transfer;

struct jm_http_client {
    bool allow_private;
    char *ca_file;
    jm_loop *user_loop; /* of the thread that sends */
    jm_queue *inbox, *outbox;
    jm_watch *outbox_watch;
    jm_http_transfer *transfers;
    pthread_t thread;
    bool started;
    _Atomic bool closing;

    /* The thread's own. */
    jm_loop *loop;
    jm_watch *inbox_watch;
    CURLSH *share;
    shard shards[SHARDS];
    CURL *spares[SPARES];
    size_t n_spares;
    jm_http_transfer *waiting, **last_waiting;
    int n_starting;
    jm_chain done; /* of this turn */
};

/* A descriptor of libcurl's that the loop watches. */
typedef struct socket_watch {
    shard *shard;
    int fd;
    jm_watch *watch;
} socket_watch;

static void start_waiting(jm_http_client *client);

/* ---- calls ---- */

jm_http_call *jm_http_call_new(void)
{
    return jm_calloc(1, sizeof(jm_http_call));
}

void jm_http_call_free(jm_http_call *call)
{
    if (!call)
        return;
    free(call->request.url);
    free(call->request.host);
    curl_slist_free_all(call->request.headers);
    curl_slist_free_all(call->request.public_headers);
    jm_buf_fini(&call->request.body);
    jm_buf_fini(&call->response.body);
    for (int i = 0; i < JM_HTTP_KEPT_HEADERS; i++)
        free(call->response.headers[i]);
    free(call->transfer);
    free(call);
}

/* ---- what libcurl calls while a transfer is under way ---- */

/* It needs no name resolved any more. */
static void has_started(jm_http_transfer *transfer)
{
    if (transfer->starting)
        transfer->client->n_starting--;
    transfer->starting = false;
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    jm_http_transfer *transfer = ctx;
    (void)purpose;
    has_started(transfer);
    if (!transfer->client->allow_private) {
        const char *refusal = jm_http_address_refusal(&address->addr);
        if (refusal) {
            transfer->call->response.refusal = refusal;
            return CURL_SOCKET_BAD;
        }
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Also where a connection is used again. */
static int on_ready_to_send(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    jm_http_transfer *transfer = ctx;
    (void)local_ip, (void)port, (void)local_port;
    has_started(transfer);
    const char *refusal = transfer->client->allow_private ? NULL : jm_http_address_text_refusal(ip);
    transfer->call->response.refusal = refusal;
    return refusal ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    jm_http_call *call = ((jm_http_transfer *)ctx)->call;
    jm_buf *body = &call->response.body;
    size_t room = call->request.max_bytes - body->len;
    n *= size;
    jm_buf_add(body, bytes, n < room ? n : room);
    if (n <= room)
        return n;
    call->response.cut = true; /* the rest is not waited for */
    return 0;
}

static void drop_headers(jm_http_response *response)
{
    for (int i = 0; i < JM_HTTP_KEPT_HEADERS; i++) {
        free(response->headers[i]);
        response->headers[i] = NULL;
    }
}

static void keep_header(jm_http_response *response, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon)
        return;
    size_t name_len = (size_t)(colon - line);
    for (int i = 0; i < JM_HTTP_KEPT_HEADERS; i++) {
        const char *name = jm_http_kept_headers[i];
        if (strlen(name) != name_len || strncasecmp(name, line, name_len) != 0)
            continue;
        const char *from = colon + 1, *to = line + len;
        while (from < to && (*from == ' ' || *from == '\t'))
            from++;
        while (to > from && strchr(" \t\r\n", to[-1]))
            to--;
        size_t n = (size_t)(to - from);
        free(response->headers[i]);
        response->headers[i] = jm_strndup(from, n < JM_HTTP_KEPT_BYTES ? n : JM_HTTP_KEPT_BYTES);
    }
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    jm_http_response *response = &((jm_http_transfer *)ctx)->call->response;
    if (n > 5 && !memcmp(line, "HTTP/", 5))
        drop_headers(response); /* another answer, after a 1xx */
    else
        keep_header(response, line, n * size);
    return n * size;
}

/* ---- easy handles ---- */

static CURL *easy_new(jm_http_client *client)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "jobmill/" JM_VERSION);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_SHARE, client->share);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_ready_to_send);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    if (client->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    return easy;
}

static void set_method(CURL *easy, const jm_http_transfer *transfer)
{
    const jm_http_request *request = &transfer->call->request;
    bool head = !strcmp(transfer->method, "HEAD");
    curl_easy_setopt(easy, CURLOPT_NOBODY, (long)head);
    if (transfer->with_body || !strcmp(transfer->method, "POST")) {
        size_t len = transfer->with_body ? request->body.len : 0;
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, len ? request->body.data : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    } else if (!head) {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, head ? NULL : transfer->method);
}

static void set_request(CURL *easy, jm_http_transfer *transfer)
{
    const jm_http_request *request = &transfer->call->request;
    int64_t left_ms = (transfer->deadline_us - jm_mono_us()) / 1000;
    long timeout_ms = left_ms > 1 ? (long)left_ms : 1;
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    set_method(easy, transfer);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS);
    /* Over TLS the first of many waits for what the server offers: they may share a connection. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, (long)!strncmp(request->url, "https:", 6));
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
}

/* What it borrowed from the transfer is forgotten; connections live in the multi handle. */
static void easy_put(jm_http_client *client, CURL *easy)
{
    if (client->n_spares == SPARES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
    client->spares[client->n_spares++] = easy;
}

/* ---- a transfer's life ---- */

static void over(jm_http_transfer *transfer)
{
    transfer->state = OVER;
    jm_chain_add(&transfer->client->done, &transfer->sent.node);
}

static void failed_to_start(jm_http_transfer *transfer, const char *why)
{
    snprintf(transfer->call->response.error, CURL_ERROR_SIZE, "%s", why);
    over(transfer);
}

static shard *pick_shard(jm_http_client *client)
{
    shard *least = &client->shards[0];
    for (int i = 0; i < SHARDS; i++) {
        shard *s = &client->shards[i];
        if (s->active < SHARD_TRANSFERS)
            return s;
        if (s->active < least->active)
            least = s;
    }
    return least;
}

static void start(jm_http_transfer *transfer)
{
    jm_http_client *client = transfer->client;
    CURL *easy = client->n_spares ? client->spares[--client->n_spares] : easy_new(client);
    if (!easy) {
        failed_to_start(transfer, "out of memory");
        return;
    }
    transfer->error[0] = 0;
    transfer->easy = easy;
    transfer->shard = pick_shard(client);
    set_request(easy, transfer);
    CURLMcode code = curl_multi_add_handle(transfer->shard->multi, easy);
    if (code) {
        transfer->easy = NULL;
        easy_put(client, easy);
        failed_to_start(transfer, curl_multi_strerror(code));
        return;
    }
    transfer->shard->active++;
    transfer->state = ACTIVE;
    transfer->starting = true;
    client->n_starting++;
}

/* Takes it out of libcurl's hands. */
static void detach(jm_http_transfer *transfer)
{
    has_started(transfer);
    curl_multi_remove_handle(transfer->shard->multi, transfer->easy);
    transfer->shard->active--;
    easy_put(transfer->client, transfer->easy);
    transfer->easy = NULL;
}

static bool same_origin(const char *a, const char *b)
{
    CURLU *u[2] = {curl_url(), curl_url()};
    char *part[2];
    bool same =
        !curl_url_set(u[0], CURLUPART_URL, a, 0) && !curl_url_set(u[1], CURLUPART_URL, b, 0);
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    for (int i = 0; same && i < 3; i++) {
        part[0] = part[1] = NULL;
        same = !curl_url_get(u[0], parts[i], &part[0], CURLU_DEFAULT_PORT) &&
               !curl_url_get(u[1], parts[i], &part[1], CURLU_DEFAULT_PORT) &&
               !strcasecmp(part[0], part[1]);
        curl_free(part[0]);
        curl_free(part[1]);
    }
    curl_url_cleanup(u[0]);
    curl_url_cleanup(u[1]);
    return same;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* As browsers do: after 303, and after 301 and 302 to a POST, the body is not sent again. */
static void change_method(jm_http_transfer *transfer, long status)
{
    bool post = !strcmp(transfer->method, "POST");
    if (strcmp(transfer->method, "HEAD") != 0 && (status == 303 || (post && status < 303))) {
        snprintf(transfer->method, sizeof transfer->method, "GET");
        transfer->with_body = false;
    }
}

/* Goes where the answer points to; false when the answer stands, or in response->error when that
 * must not be called. */
static bool follow(jm_http_transfer *transfer, const char *to)
{
    jm_http_request *request = &transfer->call->request;
    jm_http_response *response = &transfer->call->response;
    jm_err err;
    char *host = NULL;
    if (!is_redirect(response->status) || !to || !request->redirects)
        return false;
    response->bad_redirect = true;
    if (jm_http_url_check(to, &host, &err)) {
        snprintf(response->error, sizeof response->error, "redirect: %.200s", err.msg);
        return false;
    }
    if (!strncmp(request->url, "https:", 6) && strncmp(to, "https:", 6) != 0) {
        snprintf(response->error, sizeof response->error,
                 "redirect to %.100s without TLS is not followed", host);
        free(host);
        return false;
    }
    response->bad_redirect = false;
    if (!same_origin(request->url, to))
        transfer->headers = request->public_headers;
    free(request->host);
    request->host = host;
    free(request->url);
    request->url = jm_strdup(to);
    request->redirects--;
    change_method(transfer, response->status);
    drop_headers(response);
    jm_buf_clear(&response->body);
    response->status = 0;
    response->cut = false;
    return true;
}

static void take_result(jm_http_transfer *transfer, CURLcode code)
{
    jm_http_response *response = &transfer->call->response;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &response->status);
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
    response->retry_after_s = retry_after;
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && response->cut)) {
        response->refusal = NULL; /* another address of the name did it */
        return;
    }
    if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(response->error, sizeof response->error, "no answer within %g s",
                 transfer->call->request.timeout_ms / 1000.0);
    else
        snprintf(response->error, sizeof response->error, "%s",
                 transfer->error[0] ? transfer->error : curl_easy_strerror(code));
}

static void on_result(jm_http_transfer *transfer, CURLcode code)
{
    char *to = NULL;
    take_result(transfer, code);
    curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &to);
    to = jm_strdup(to);
    detach(transfer);
    if (!transfer->call->response.error[0] && follow(transfer, to))
        start(transfer);
    else
        over(transfer);
    free(to);
}

static void take_results(shard *s)
{
    int left;
    for (CURLMsg *msg; (msg = curl_multi_info_read(s->multi, &left));) {
        jm_http_transfer *transfer = NULL;
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        on_result(transfer, code);
    }
    start_waiting(s->client);
}

/* ---- libcurl's descriptors and timer on the loop ---- */

static void on_socket_event(void *ctx, uint32_t events)
{
    socket_watch *w = ctx;
    shard *s = w->shard;
    int running, bits = 0;
    if (events & EPOLLIN)
        bits |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        bits |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        bits |= CURL_CSELECT_ERR;
    curl_multi_socket_action(s->multi, w->fd, bits, &running); /* w may be gone */
    take_results(s);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
    shard *s = ctx;
    socket_watch *w = known;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            jm_watch_free(w->watch);
        free(w);
        curl_multi_assign(s->multi, fd, NULL);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (w) {
        jm_watch_set_events(w->watch, events);
        return 0;
    }
    w = jm_calloc(1, sizeof *w);
    *w = (socket_watch){.shard = s, .fd = fd};
    w->watch = jm_loop_watch(s->client->loop, fd, events, on_socket_event, w);
    if (!w->watch) {
        free(w);
        return -1;
    }
    curl_multi_assign(s->multi, fd, w);
    return 0;
}

static void on_timer(void *ctx)
{
    shard *s = ctx;
    int running;
    curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_results(s);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    shard *s = ctx;
    (void)multi;
    /* By the clock and not by the turn's: what is due at once is due in the next turn. */
    if (timeout_ms < 0)
        jm_timer_clear(s->client->loop, &s->timer);
    else
        jm_timer_set(s->client->loop, &s->timer, jm_mono_us() + timeout_ms * 1000, on_timer, s);
    return 0;
}

/* ---- the thread ---- */

static void admit(jm_http_transfer *transfer)
{
    const jm_http_request *request = &transfer->call->request;
    transfer->deadline_us = jm_mono_us() + (int64_t)request->timeout_ms * 1000;
    transfer->headers = request->headers;
    transfer->with_body = request->has_body;
    snprintf(transfer->method, sizeof transfer->method, "%s", request->method);
    transfer->next_waiting = NULL;
    *transfer->client->last_waiting = transfer;
    transfer->client->last_waiting = &transfer->next_waiting;
}

static void start_waiting(jm_http_client *client)
{
    while (client->waiting && client->n_starting < STARTING_MAX) {
        jm_http_transfer *transfer = client->waiting;
        client->waiting = transfer->next_waiting;
        if (!client->waiting)
            client->last_waiting = &client->waiting;
        start(transfer);
    }
}

static void abort_waiting(jm_http_transfer *transfer)
{
    jm_http_client *client = transfer->client;
    jm_http_transfer **at = &client->waiting;
    while (*at != transfer)
        at = &(*at)->next_waiting;
    *at = transfer->next_waiting;
    if (!*at)
        client->last_waiting = at;
}

static void abort_transfer(jm_http_transfer *transfer)
{
    if (transfer->state == WAITING)
        abort_waiting(transfer);
    else if (transfer->state == ACTIVE)
        detach(transfer);
    if (transfer->state != OVER)
        over(transfer);
    jm_chain_add(&transfer->client->done, &transfer->abort.node);
}

static void on_inbox(void *ctx, uint32_t events)
{
    jm_http_client *client = ctx;
    jm_chain chain = {0};
    (void)events;
    jm_queue_pop_all(client->inbox, &chain, 0);
    for (jm_node *node; (node = jm_chain_take(&chain));) {
        jm_http_transfer *transfer = ((message *)node)->transfer;
        if (node == &transfer->abort.node)
            abort_transfer(transfer);
        else
            admit(transfer);
    }
    start_waiting(client);
}

static void *run(void *arg)
{
    jm_http_client *client = arg;
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    pthread_setname_np(pthread_self(), "http");
    while (!atomic_load(&client->closing)) {
        jm_loop_turn(client->loop, TURN_MS);
        start_waiting(client);
        jm_queue_push(client->outbox, &client->done);
    }
    return NULL;
}

/* ---- the side that sends ---- */

static void forget(jm_http_client *client, jm_http_transfer *transfer)
{
    if (transfer->prev)
        transfer->prev->next = transfer->next;
    else
        client->transfers = transfer->next;
    if (transfer->next)
        transfer->next->prev = transfer->prev;
}

static void on_outbox(void *ctx, uint32_t events)
{
    jm_http_client *client = ctx;
    jm_chain chain = {0};
    (void)events;
    jm_queue_pop_all(client->outbox, &chain, 0);
    for (jm_node *node; (node = jm_chain_take(&chain));) {
        jm_http_transfer *transfer = ((message *)node)->transfer;
        if (--transfer->out)
            continue;
        forget(client, transfer);
        if (transfer->aborted)
            jm_http_call_free(transfer->call);
        else
            transfer->call->done(transfer->call->ctx, transfer->call);
    }
}

static void push(jm_http_client *client, message *sent)
{
    jm_chain chain = {0};
    sent->transfer->out++;
    jm_chain_add(&chain, &sent->node);
    jm_queue_push(client->inbox, &chain);
}

void jm_http_client_send(jm_http_client *client, jm_http_call *call)
{
    jm_http_transfer *transfer = jm_calloc(1, sizeof *transfer);
    call->transfer = transfer;
    transfer->call = call;
    transfer->client = client;
    transfer->sent.transfer = transfer->abort.transfer = transfer;
    transfer->next = client->transfers;
    if (transfer->next)
        transfer->next->prev = transfer;
    client->transfers = transfer;
    push(client, &transfer->sent);
}

void jm_http_client_abort(jm_http_client *client, jm_http_call *call)
{
    call->transfer->aborted = true;
    push(client, &call->transfer->abort);
}

/* ---- making and unmaking ---- */

static int make_curl(jm_http_client *client, jm_err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return jm_err_set(err, JM_ERR_IO, "libcurl cannot be used");
    client->share = curl_share_init();
    if (!client->share)
        return jm_err_set(err, JM_ERR_IO, "libcurl is out of memory");
    /* One thread uses all handles, so nothing is to be locked. */
    curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    for (int i = 0; i < SHARDS; i++) {
        shard *s = &client->shards[i];
        s->client = client;
        s->multi = curl_multi_init();
        if (!s->multi)
            return jm_err_set(err, JM_ERR_IO, "libcurl is out of memory");
        curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
        curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
        curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
        curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_TRANSFERS);
    }
    return JM_OK;
}

static int make_loops(jm_http_client *client, jm_err *err)
{
    if (jm_loop_new(&client->loop, err))
        return err->code;
    client->inbox_watch =
        jm_loop_watch(client->loop, jm_queue_fd(client->inbox), EPOLLIN, on_inbox, client);
    client->outbox_watch =
        jm_loop_watch(client->user_loop, jm_queue_fd(client->outbox), EPOLLIN, on_outbox, client);
    if (!client->inbox_watch || !client->outbox_watch)
        return jm_err_errno(err, JM_ERR_IO, "cannot watch the queues of http");
    return JM_OK;
}

int jm_http_client_new(jm_loop *loop, bool allow_private, const char *ca_file, jm_http_client **out,
                       jm_err *err)
{
    jm_http_client *client = jm_calloc(1, sizeof *client);
    client->allow_private = allow_private;
    client->ca_file = jm_strdup(ca_file);
    client->user_loop = loop;
    client->inbox = jm_queue_new(0);
    client->outbox = jm_queue_new(0);
    client->last_waiting = &client->waiting;
    int rc = make_curl(client, err);
    if (!rc)
        rc = make_loops(client, err);
    if (!rc && (errno = pthread_create(&client->thread, NULL, run, client)))
        rc = jm_err_errno(err, JM_ERR_IO, "cannot start the thread of http");
    client->started = !rc;
    if (rc)
        jm_http_client_free(client);
    else
        *out = client;
    return rc;
}

static void free_transfers(jm_http_client *client)
{
    for (jm_http_transfer *transfer = client->transfers, *next; transfer; transfer = next) {
        next = transfer->next;
        if (transfer->state == ACTIVE)
            detach(transfer);
        jm_http_call_free(transfer->call);
    }
}

static void free_curl(jm_http_client *client)
{
    while (client->n_spares)
        curl_easy_cleanup(client->spares[--client->n_spares]);
    for (int i = 0; i < SHARDS; i++) {
        shard *s = &client->shards[i];
        if (!s->multi)
            continue;
        curl_multi_cleanup(s->multi);
        jm_timer_clear(client->loop, &s->timer);
    }
    if (client->share)
        curl_share_cleanup(client->share);
    curl_global_cleanup();
}

void jm_http_client_free(jm_http_client *client)
{
    jm_chain dropped = {0};
    if (!client)
        return;
    if (client->started) {
        atomic_store(&client->closing, true);
        jm_queue_wake(client->inbox);
        pthread_join(client->thread, NULL);
    }
    jm_watch_free(client->outbox_watch);
    jm_queue_pop_all(client->inbox, &dropped, 0);
    jm_queue_pop_all(client->outbox, &dropped, 0);
    free_transfers(client);
    free_curl(client);
    jm_watch_free(client->inbox_watch);
    jm_loop_free(client->loop);
    jm_queue_free(client->inbox);
    jm_queue_free(client->outbox);
    free(client->ca_file);
    free(client);
}
