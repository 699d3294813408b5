/* Does rounds of the sync, one each interval among all producers. */
#include "producer/schedule_sync.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/queue.h"
#include "producer/service/schedule_sync_round.h"

enum {
    BUSY_MS = 2000,
    REFUSED_MS = 10000,
    /* when PostgreSQL refuses a statement */ STOP_MS = 5000
};

struct jm_schedule_sync {
    pthread_t thread;
    jm_queue *queue; /* carries nothing: its close ends the thread */
    _Atomic bool stop;
    /* the thread's own */
    jm_pg *pg;
    jm_sync_options options;
};

/* A line for each that is wrong. */
static void say_failure(const jm_sync_result *result, jm_log_level level)
{
    const char *p = jm_buf_str(&result->message);
    while (*p) {
        size_t len = strcspn(p, "\n");
        jm_logf(level, "schedule_sync", "%.*s", (int)len, p);
        p += len + (p[len] == '\n');
    }
    jm_logf(level, "schedule_sync", "nothing is changed");
}

static void say(const jm_sync_result *result)
{
    jm_log_level level = result->told ? JM_DEBUG : JM_WARNING;
    switch (result->outcome) {
    case JM_SYNC_CHANGED:
        jm_logf(JM_INFO, "schedule_sync", "%zu schedules added, %zu changed, %zu deleted",
                result->added, result->changed, result->deleted);
        break;
    case JM_SYNC_REFUSED:
        jm_logf(level, "schedule_sync", "%s", jm_buf_str(&result->message));
        break;
    case JM_SYNC_FAILED:
        say_failure(result, level);
        break;
    case JM_SYNC_UNCHANGED:
        jm_logf(JM_DEBUG, "schedule_sync", "unchanged");
        break;
    case JM_SYNC_BUSY:
    case JM_SYNC_NOT_DUE:
        break;
    }
}

/* One round; returns the milliseconds until the next. */
static int one_round(jm_schedule_sync *sync)
{
    jm_sync_result result;
    jm_err err = {0};
    int interval_ms = sync->options.interval_s * 1000;
    if (jm_pg_ensure(sync->pg, &err))
        return jm_pg_retry_in_ms(sync->pg) + 1;
    int rc = jm_schedule_sync_round(sync->pg, &sync->options, &result, &err);
    if (rc)
        jm_logf(JM_WARNING, "schedule_sync", "%s", err.msg);
    else if (!atomic_load(&sync->stop))
        say(&result);
    int wait_ms = rc                                  ? REFUSED_MS
                  : result.outcome == JM_SYNC_BUSY    ? BUSY_MS
                  : result.outcome == JM_SYNC_NOT_DUE ? (int)result.wait_ms + 1
                                                      : interval_ms;
    jm_sync_result_fini(&result);
    return rc == JM_ERR_DB_DOWN ? 0 : wait_ms < interval_ms ? wait_ms : interval_ms;
}

static void *run(void *arg)
{
    jm_schedule_sync *sync = arg;
    jm_chain none = {0};
    pthread_setname_np(pthread_self(), "jm-sync");
    while (jm_queue_pop_all(sync->queue, &none, one_round(sync)) != JM_ERR_CLOSED)
        ;
    return NULL;
}

jm_schedule_sync *jm_schedule_sync_new(const jm_schedule_sync_options *options)
{
    jm_sync_options how;
    jm_sync_options_init(&how, options->config);
    if (!how.source)
        return NULL;
    jm_schedule_sync *sync = jm_calloc(1, sizeof *sync);
    sync->options = how;
    sync->options.stop = &sync->stop;
    sync->pg = jm_pg_new(&(jm_pg_options){.conninfo = options->conninfo,
                                          .schema = options->schema,
                                          .name = "jobmill-producer schedule_sync"});
    sync->queue = jm_queue_new(0);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (pthread_create(&sync->thread, NULL, run, sync))
        abort(); /* out of threads before the program has begun to work */
    return sync;
}

void jm_schedule_sync_free(jm_schedule_sync *sync)
{
    if (!sync)
        return;
    atomic_store(&sync->stop, true);
    jm_pg_give_up_at(sync->pg, jm_mono_ms() + STOP_MS);
    jm_queue_close(sync->queue);
    pthread_join(sync->thread, NULL);
    jm_pg_free(sync->pg);
    jm_queue_free(sync->queue);
    curl_global_cleanup();
    free(sync);
}
