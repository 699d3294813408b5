/* Connections that wait for a request. libmicrohttpd closes one on which nothing happens; whoever
 * sends a byte of its request line or headers now and then is closed from here. */
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/httpd_priv.h"
#include "common/mem.h"

struct jm_http_head {
    struct jm_http_head *prev, *next;
    jm_http_heads *heads;
    int fd;
    _Atomic int64_t due_ms; /* 0: the request is there */
};

struct jm_http_heads {
    int64_t timeout_ms;
    pthread_mutex_t lock;
    pthread_cond_t end;
    struct jm_http_head *list;
    bool stop;
    pthread_t thread;
};

/* A descriptor in the list is open: it is closed after it has been taken out. */
static void close_late(jm_http_heads *heads)
{
    struct jm_http_head *head;
    int64_t now_ms = jm_mono_ms();
    DL_FOREACH(heads->list, head)
    {
        int64_t due_ms = atomic_load(&head->due_ms);
        if (due_ms && due_ms < now_ms)
            shutdown(head->fd, SHUT_RDWR);
    }
}

static void *run(void *arg)
{
    jm_http_heads *heads = arg;
    pthread_setname_np(pthread_self(), "jm-http-heads");
    pthread_mutex_lock(&heads->lock);
    while (!heads->stop) {
        close_late(heads);
        (void)jm_cond_wait_until(&heads->end, &heads->lock,
                                 jm_mono_us() + heads->timeout_ms * 1000 / 4);
    }
    pthread_mutex_unlock(&heads->lock);
    return NULL;
}

jm_http_heads *jm_http_heads_new(int timeout_s)
{
    jm_http_heads *heads = jm_calloc(1, sizeof *heads);
    heads->timeout_ms = timeout_s * INT64_C(1000);
    pthread_mutex_init(&heads->lock, NULL);
    jm_cond_init(&heads->end);
    if (pthread_create(&heads->thread, NULL, run, heads))
        abort(); /* out of threads */
    return heads;
}

void jm_http_heads_free(jm_http_heads *heads)
{
    pthread_mutex_lock(&heads->lock);
    heads->stop = true;
    pthread_cond_signal(&heads->end);
    pthread_mutex_unlock(&heads->lock);
    pthread_join(heads->thread, NULL);
    pthread_cond_destroy(&heads->end);
    pthread_mutex_destroy(&heads->lock);
    free(heads);
}

static void await(struct jm_http_head *head)
{
    atomic_store(&head->due_ms, jm_mono_ms() + head->heads->timeout_ms);
}

void jm_http_heads_notify(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    jm_http_heads *heads = cls;
    struct jm_http_head *head = *context;
    pthread_mutex_lock(&heads->lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        head = jm_calloc(1, sizeof *head);
        head->heads = heads;
        head->fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        await(head);
        DL_PREPEND(heads->list, head);
        *context = head;
    } else {
        DL_DELETE(heads->list, head);
        free(head);
    }
    pthread_mutex_unlock(&heads->lock);
}

static struct jm_http_head *head_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void jm_http_head_came(struct MHD_Connection *connection)
{
    atomic_store(&head_of(connection)->due_ms, 0);
}

void jm_http_head_await(struct MHD_Connection *connection)
{
    await(head_of(connection));
}
