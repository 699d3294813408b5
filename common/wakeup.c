/* LISTEN and coalesced NOTIFY on a connection of its own: hints that make things quick. */
#include "wakeup.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

enum {
    MAX_PAYLOADS = 16, /* more different ones at once become a single "" */
    GAP_MS = 50,       /* between two transactions that notify: 20 a second */
    STOP_MS = 1000,    /* for the server to answer, at the end */
    CHECK_MS = 300000  /* an idle connection is asked whether it still lives: beyond what keepalives
                          tell, of what stands between */
};

struct jm_wakeup {
    pthread_t thread;
    pthread_mutex_t lock; /* guards payloads and n */
    char *payloads[MAX_PAYLOADS];
    int n;
    int fd; /* eventfd: something to send, or stop */
    _Atomic bool stop;
    jm_pg *pg; /* this and what follows: the thread's own */
    char *schema;
    void (*on_notify)(void *ctx, const char *payload);
    void *ctx;
    int64_t sent_ms, heard_ms;
    uint64_t generation;
};

static void ring(jm_wakeup *wakeup)
{
    uint64_t one = 1;
    ssize_t n = write(wakeup->fd, &one, sizeof one);
    (void)n; /* fails only when it is readable anyway */
}

static void drop_payloads(char **payloads, int n)
{
    for (int i = 0; i < n; i++)
        free(payloads[i]);
}

void jm_wakeup_send(jm_wakeup *wakeup, const char *payload)
{
    pthread_mutex_lock(&wakeup->lock);
    bool known = false;
    for (int i = 0; i < wakeup->n; i++)
        known = known || !*wakeup->payloads[i] || !strcmp(wakeup->payloads[i], payload);
    if (!known && wakeup->n == MAX_PAYLOADS) {
        drop_payloads(wakeup->payloads, wakeup->n);
        wakeup->payloads[0] = jm_strdup("");
        wakeup->n = 1;
    } else if (!known) {
        wakeup->payloads[wakeup->n++] = jm_strdup(payload);
    }
    bool first = !known && wakeup->n == 1;
    pthread_mutex_unlock(&wakeup->lock);
    if (first)
        ring(wakeup);
}

static void tell(jm_wakeup *wakeup, const char *payload)
{
    if (wakeup->on_notify)
        wakeup->on_notify(wakeup->ctx, payload);
}

/* All that waits goes out as one transaction: it is commits with a NOTIFY in them that serialise.
 */
static int send_waiting(jm_wakeup *wakeup, jm_err *err)
{
    char *payloads[MAX_PAYLOADS];
    pthread_mutex_lock(&wakeup->lock);
    int n = wakeup->n;
    memcpy(payloads, wakeup->payloads, sizeof payloads);
    wakeup->n = 0;
    pthread_mutex_unlock(&wakeup->lock);
    if (!n)
        return JM_OK;
    PGconn *conn = jm_pg_conn(wakeup->pg);
    char *channel = PQescapeIdentifier(conn, wakeup->schema, strlen(wakeup->schema));
    jm_buf text = {0};
    for (int i = 0; i < n; i++) {
        char *literal = PQescapeLiteral(conn, payloads[i], strlen(payloads[i]));
        if (channel && literal)
            jm_buf_addf(&text, "NOTIFY %s, %s;", channel, literal);
        PQfreemem(literal);
    }
    PQfreemem(channel);
    int rc = jm_pg_exec(wakeup->pg, jm_buf_str(&text), NULL, err);
    jm_buf_fini(&text);
    drop_payloads(payloads, n);
    wakeup->sent_ms = wakeup->heard_ms = jm_mono_ms();
    return rc;
}

static int listen_again(jm_wakeup *wakeup, jm_err *err)
{
    PGconn *conn = jm_pg_conn(wakeup->pg);
    char *channel = PQescapeIdentifier(conn, wakeup->schema, strlen(wakeup->schema));
    jm_buf text = {0};
    jm_buf_addf(&text, "LISTEN %s", channel ? channel : "jobmill");
    PQfreemem(channel);
    int rc = jm_pg_exec(wakeup->pg, text.data, NULL, err);
    jm_buf_fini(&text);
    if (rc)
        return rc;
    wakeup->generation = jm_pg_generation(wakeup->pg);
    wakeup->heard_ms = jm_mono_ms();
    tell(wakeup, ""); /* whatever was said meanwhile went unheard */
    return JM_OK;
}

/* Passes on what has arrived. This process has woken itself already. False: the connection is gone,
 * and with it the socket that would tell of anything. */
static bool take_notifies(jm_wakeup *wakeup)
{
    PGconn *conn = jm_pg_conn(wakeup->pg);
    PGnotify *notify;
    bool alive = PQconsumeInput(conn) && PQstatus(conn) == CONNECTION_OK;
    while ((notify = PQnotifies(conn))) {
        if (notify->be_pid != PQbackendPID(conn))
            tell(wakeup, notify->extra);
        PQfreemem(notify);
    }
    return alive;
}

/* One round with a connection; returns how long to wait for the next. */
static int serve(jm_wakeup *wakeup)
{
    jm_err err = {0};
    int rc = jm_pg_ensure(wakeup->pg, &err);
    if (!rc && jm_pg_generation(wakeup->pg) != wakeup->generation)
        rc = listen_again(wakeup, &err);
    if (!rc && jm_mono_ms() - wakeup->heard_ms > CHECK_MS) {
        rc = jm_pg_exec(wakeup->pg, "SELECT 1", NULL, &err);
        wakeup->heard_ms = jm_mono_ms();
    }
    int64_t since = jm_mono_ms() - wakeup->sent_ms;
    if (!rc && since >= GAP_MS)
        rc = send_waiting(wakeup, &err);
    if (rc == JM_ERR_DB) { /* refused: not a state to go on in */
        jm_log_kv(JM_WARNING, "wakeup", err.msg, NULL);
        jm_pg_disconnect(wakeup->pg);
        return 1000;
    }
    if (rc)
        return jm_pg_retry_in_ms(wakeup->pg) + 1;
    if (!take_notifies(wakeup)) {
        jm_pg_disconnect(wakeup->pg);
        return 1; /* to the next round, which connects */
    }
    pthread_mutex_lock(&wakeup->lock);
    bool waiting = wakeup->n > 0;
    pthread_mutex_unlock(&wakeup->lock);
    return waiting ? (since < GAP_MS ? (int)(GAP_MS - since) : 1) : CHECK_MS;
}

static void *run(void *arg)
{
    jm_wakeup *wakeup = arg;
    pthread_setname_np(pthread_self(), "jm-wakeup");
    while (!atomic_load(&wakeup->stop)) {
        int wait_ms = serve(wakeup);
        PGconn *conn = jm_pg_conn(wakeup->pg);
        struct pollfd fds[2] = {{.fd = wakeup->fd, .events = POLLIN},
                                {.fd = conn ? PQsocket(conn) : -1, .events = POLLIN}};
        poll(fds, 2, wait_ms);
        uint64_t count;
        ssize_t n = read(wakeup->fd, &count, sizeof count);
        (void)n; /* EAGAIN when it was the socket or the time */
    }
    return NULL;
}

jm_wakeup *jm_wakeup_new(const char *conninfo, const char *schema,
                         void (*on_notify)(void *ctx, const char *payload), void *ctx)
{
    jm_wakeup *wakeup = jm_calloc(1, sizeof *wakeup);
    jm_pg_options options = {.conninfo = conninfo, .schema = schema, .name = "jobmill wakeup"};
    wakeup->pg = jm_pg_new(&options);
    wakeup->schema = jm_strdup(schema);
    wakeup->on_notify = on_notify;
    wakeup->ctx = ctx;
    wakeup->sent_ms = jm_mono_ms() - GAP_MS;
    pthread_mutex_init(&wakeup->lock, NULL);
    wakeup->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wakeup->fd < 0 || pthread_create(&wakeup->thread, NULL, run, wakeup))
        abort(); /* out of descriptors or threads before the program has begun to work */
    return wakeup;
}

void jm_wakeup_stop(jm_wakeup *wakeup)
{
    if (!wakeup || atomic_exchange(&wakeup->stop, true))
        return;
    jm_pg_give_up_at(wakeup->pg, jm_mono_ms() + STOP_MS);
    ring(wakeup);
    pthread_join(wakeup->thread, NULL);
}

void jm_wakeup_free(jm_wakeup *wakeup)
{
    if (!wakeup)
        return;
    jm_wakeup_stop(wakeup);
    jm_pg_free(wakeup->pg);
    drop_payloads(wakeup->payloads, wakeup->n);
    pthread_mutex_destroy(&wakeup->lock);
    close(wakeup->fd);
    free(wakeup->schema);
    free(wakeup);
}
