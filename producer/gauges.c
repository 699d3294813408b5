/* Gauges of a producer that PostgreSQL has to be asked for. */
#include "producer/gauges.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/queue.h"

enum {
    GAP_MS = 5000,    /* between two questions */
    WAIT_MS = 1000,   /* for an answer, by who reads the metrics */
    ANSWER_MS = 5000, /* after which the connection is given up */
    OLD_MS = 30000    /* what is shown is left out when it is older */
};

#define SECONDS 1000000

/* What was read. */
typedef struct jm_answer {
    jm_node node;
    PGresult *res; /* NULL: it could not be */
} jm_answer;

struct jm_gauges {
    pthread_t thread;
    jm_queue *asked;   /* carries nothing: a wake is a question, its close the end */
    jm_queue *answers; /* of jm_answer */
    jm_pg *pg;         /* the thread's own */
    /* of who shows them */
    int64_t asked_ms, shown_ms; /* monotonic; 0: never, nothing */
    bool waiting;               /* for an answer */
    jm_metric *state, *unpublished, *overdue, *queue, *oldest;
};

static const jm_metric_def state_def = {.name = "jobmill_pending_jobs",
                                        .help =
                                            "Rows of pending_jobs by state, counted up to 10001.",
                                        .kind = JM_GAUGE,
                                        .labels = {"state"}};
static const jm_metric_def unpublished_def = {
    .name = "jobmill_unpublished_oldest_seconds",
    .help = "How long the oldest job that is to be published has waited.",
    .kind = JM_GAUGE,
    .per = SECONDS};
static const jm_metric_def overdue_def = {
    .name = "jobmill_schedules_overdue",
    .help = "Schedules that have been due for more than a second.",
    .kind = JM_GAUGE};
static const jm_metric_def queue_def = {
    .name = "jobmill_queue_jobs",
    .help = "Jobs of a queue by status, each counted up to 10001: pending, ready in the database; "
            "running.",
    .kind = JM_GAUGE,
    .labels = {"queue", "status"}};
static const jm_metric_def oldest_def = {
    .name = "jobmill_queue_oldest_pending_seconds",
    .help = "How long the oldest job that is ready to start has waited in the database.",
    .kind = JM_GAUGE,
    .labels = {"queue"},
    .per = SECONDS};

static void hide(jm_gauges *gauges)
{
    jm_metric_hide(gauges->state, NULL);
    jm_metric_hide(gauges->unpublished, NULL);
    jm_metric_hide(gauges->overdue, NULL);
    jm_metric_hide(gauges->queue, NULL);
    jm_metric_hide(gauges->oldest, NULL);
}

/* One row of the answer: what, label, number. */
static void set(const jm_gauges *gauges, const PGresult *res, int row)
{
    const char *what = jm_pg_get_text(res, row, 0, NULL);
    const char *label = jm_pg_get_text(res, row, 1, NULL);
    jm_series *series;
    if (!strcmp(what, "state"))
        series = jm_metric_get(gauges->state, &label);
    else if (!strcmp(what, "unpublished"))
        series = jm_metric_get(gauges->unpublished, NULL);
    else if (!strcmp(what, "overdue"))
        series = jm_metric_get(gauges->overdue, NULL);
    else if (!strcmp(what, "oldest"))
        series = jm_metric_get(gauges->oldest, &label);
    else /* pending, running */
        series = jm_metric_get(gauges->queue, (const char *[]){label, what});
    jm_series_set(series, jm_pg_get_i64(res, row, 2));
}

static void show(jm_gauges *gauges, const PGresult *res)
{
    hide(gauges);
    gauges->shown_ms = res ? jm_mono_ms() : 0;
    for (int row = 0; row < PQntuples(res); row++)
        set(gauges, res, row);
}

void jm_gauges_show(jm_gauges *gauges)
{
    int64_t now = jm_mono_ms();
    int wait_ms = 0; /* who has waited in vain does not wait for the same answer again */
    if (!gauges->waiting && (!gauges->asked_ms || now - gauges->asked_ms >= GAP_MS)) {
        gauges->waiting = true;
        gauges->asked_ms = now;
        wait_ms = WAIT_MS;
        jm_queue_wake(gauges->asked);
    }
    jm_chain chain = {0};
    if (gauges->waiting)
        jm_queue_pop_all(gauges->answers, &chain, wait_ms);
    for (jm_node *node; (node = jm_chain_take(&chain));) {
        jm_answer *answer = (jm_answer *)node;
        show(gauges, answer->res);
        gauges->waiting = false;
        PQclear(answer->res);
        free(answer);
    }
    if (gauges->shown_ms && jm_mono_ms() - gauges->shown_ms > OLD_MS)
        show(gauges, NULL);
}

static PGresult *ask(jm_gauges *gauges)
{
    jm_err err = {0};
    jm_pg_call call = {.sql = &jm_sql_producer_gauges, .binary = true};
    int rc = jm_pg_ensure(gauges->pg, &err);
    if (!rc)
        rc = jm_pg_run(gauges->pg, &call, 1, &err);
    if (rc == JM_ERR_DB)
        jm_log_kv(JM_WARNING, "gauges", err.msg, NULL);
    return rc ? NULL : call.res;
}

static void *run(void *arg)
{
    jm_gauges *gauges = arg;
    pthread_setname_np(pthread_self(), "jm-gauges");
    jm_chain none = {0}, answers = {0};
    while (jm_queue_pop_all(gauges->asked, &none, -1) != JM_ERR_CLOSED) {
        jm_answer *answer = jm_calloc(1, sizeof *answer);
        answer->res = ask(gauges);
        jm_chain_add(&answers, &answer->node);
        jm_queue_push(gauges->answers, &answers);
    }
    return NULL;
}

jm_gauges *jm_gauges_new(const char *conninfo, const char *schema, jm_metrics *metrics)
{
    jm_gauges *gauges = jm_calloc(1, sizeof *gauges);
    jm_pg_options options = {.conninfo = conninfo,
                             .schema = schema,
                             .name = "jobmill-producer metrics",
                             .batch = true,
                             .timeout_ms = ANSWER_MS};
    gauges->pg = jm_pg_new(&options);
    gauges->asked = jm_queue_new(0);
    gauges->answers = jm_queue_new(0);
    gauges->state = jm_metrics_add(metrics, &state_def);
    gauges->unpublished = jm_metrics_add(metrics, &unpublished_def);
    gauges->overdue = jm_metrics_add(metrics, &overdue_def);
    gauges->queue = jm_metrics_add(metrics, &queue_def);
    gauges->oldest = jm_metrics_add(metrics, &oldest_def);
    hide(gauges);
    if (pthread_create(&gauges->thread, NULL, run, gauges))
        abort(); /* out of threads before the program has begun to work */
    return gauges;
}

void jm_gauges_free(jm_gauges *gauges)
{
    if (!gauges)
        return;
    jm_chain left = {0};
    jm_pg_give_up_at(gauges->pg, jm_mono_ms());
    jm_queue_close(gauges->asked);
    pthread_join(gauges->thread, NULL);
    jm_queue_pop_all(gauges->answers, &left, 0);
    for (jm_node *node; (node = jm_chain_take(&left));) {
        PQclear(((jm_answer *)node)->res);
        free(node);
    }
    jm_pg_free(gauges->pg);
    jm_queue_free(gauges->asked);
    jm_queue_free(gauges->answers);
    free(gauges);
}
