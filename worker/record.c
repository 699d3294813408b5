/* Record: reports become rows, fenced, a batch a transaction; what cannot be recorded now is kept.
 */
#include "worker/record.h"

#include <stdlib.h>

#include "common/log.h"
#include "worker/job_events.h"
#include "worker/record_priv.h"

enum {
    SPOOL_AFTER_MS = 1000, /* of a loss: until then reports wait in memory */
    LEASE_WAIT_MS = 5000,  /* for the lease to be renewed before anything is recorded */
    IDLE_MS = 1000,
    AWAY_MS = 50,      /* how often reports are looked for while the database is away */
    SCAN_MIN_MS = 250, /* between two looks for spools whose worker is gone */
    SCAN_MAX_MS = 5000,
    ORPHAN_RENEW_MS = 500, /* a quarter of the shortest lease */
    GATHER_US = 4000,  /* from one transaction to the next, at least, while there are fewer than */
    GATHER_ROWS = 100, /* so many reports */
    FINISH_MS = 1000,  /* to end a session that was given up */
    REPORTS_BEHIND = 20000 /* that wait, above which nothing new is accepted */
};

static int64_t lease_part_ms(const jm_recorder *recorder, int part)
{
    return (int64_t)recorder->options.lease_s * 1000 / part;
}

/* ---- after the commit ---- */

static void count(jm_recorder *recorder, const jm_report *report)
{
    jm_record_counts *c = &recorder->counts;
    _Atomic int64_t *where[] = {[JM_END_COMPLETED] = &c->completed,
                                [JM_END_FAILED] = &c->failed,
                                [JM_END_RETRY] = &c->retried,
                                [JM_END_CANCELLED] = &c->failed,
                                [JM_END_RETURNED] = &c->returned};
    if (report->end != JM_END_NONE)
        atomic_fetch_add_explicit(where[report->end], 1, memory_order_relaxed);
}

/* For those who count and show; reports that are to be tried again are not told yet. */
static void show(jm_record_group *g)
{
    const jm_record_options *o = &g->recorder->options;
    for (int i = 0, n; i < g->n; i += n) { /* runs of reports that are done */
        for (n = 0; i + n < g->n && g->done[i + n];)
            n++;
        jm_meters_recorded(o->meters, g->reports + i, g->passed + i, n);
        jm_recent_recorded(o->recent, g->reports + i, g->passed + i, n);
        jm_job_events_recorded(o->events, o->clock, g->reports + i, g->passed + i, n);
        n += n ? 0 : 1;
    }
}

/* Counts what was recorded and tells when the next job is to be started again. */
static void tell(jm_record_group *g)
{
    jm_recorder *recorder = g->recorder;
    int64_t ready_us = INT64_MAX;
    show(g);
    for (int i = 0; i < g->n; i++) {
        const jm_report *report = g->reports[i];
        if (!g->passed[i])
            continue;
        count(recorder, report);
        if (report->end != JM_END_RETRY)
            continue;
        int64_t again = jm_record_at(recorder, report, report->ended_us) + report->retry_in_us;
        ready_us = again < ready_us ? again : ready_us;
    }
    if (ready_us != INT64_MAX)
        recorder->options.ready_at(recorder->options.ctx, ready_us);
}

static bool any_done(const jm_record_group *g)
{
    for (int i = 0; i < g->n; i++)
        if (g->done[i])
            return true;
    return false;
}

/* While it goes on, an end may take until its deadline. */
static void extend(jm_recorder *recorder)
{
    if (!atomic_load(&recorder->closing))
        return;
    int64_t more = jm_mono_ms() + atomic_load(&recorder->patience_ms);
    int64_t last = atomic_load(&recorder->give_up_ms);
    jm_pg_give_up_at(recorder->pg, more < last ? more : last);
}

/* ---- what waits ---- */

static void note_backlog(jm_recorder *recorder)
{
    atomic_store(&recorder->in_backlog, (int64_t)jm_backlog_in_memory(recorder->backlog));
    atomic_store(&recorder->spooled, jm_backlog_is_spooled(recorder->backlog));
}

static void record_some(jm_recorder *recorder, jm_record_group *g)
{
    g->worker_id = &recorder->options.worker_id;
    g->n = jm_backlog_next(recorder->backlog, g->reports, recorder->options.batch_rows);
    if (!g->n)
        return;
    recorder->recorded_us = jm_mono_us();
    bool all = jm_record_group_run(g);
    tell(g);
    if (any_done(g))
        extend(recorder);
    jm_backlog_settle(recorder->backlog, g->reports, g->done, g->n);
    note_backlog(recorder);
    if (!all && jm_pg_is_up(recorder->pg)) { /* a conflict with somebody: not at once again */
        struct timespec ts = {.tv_nsec = 20 * 1000000L};
        nanosleep(&ts, NULL);
    }
}

/* ---- spools whose worker is gone ---- */

static void find_orphan(jm_recorder *recorder)
{
    const jm_record_options *o = &recorder->options;
    if (recorder->orphan || !o->spool_dir || jm_mono_ms() < recorder->scan_ms)
        return;
    jm_err err = {0};
    int rc = jm_spool_adopt(o->spool_dir, &o->worker_id, &recorder->orphan, &err);
    if (rc == JM_OK) {
        char id[JM_UUID_TEXT];
        jm_uuid_format(jm_spool_worker(recorder->orphan), id);
        jm_logf(JM_INFO, "spool", "worker %s is gone and has left %lld bytes of results: recording",
                id, (long long)jm_spool_bytes(recorder->orphan));
        recorder->orphan_reports = 0;
        recorder->orphan_renew_ms = 0;
        return;
    }
    int64_t pause = lease_part_ms(recorder, 6);
    pause = pause < SCAN_MIN_MS ? SCAN_MIN_MS : pause > SCAN_MAX_MS ? SCAN_MAX_MS : pause;
    if (rc != JM_ERR_NOT_FOUND) {
        jm_log_kv(JM_WARNING, "spool", err.msg, NULL);
        pause = 60000;
    }
    recorder->scan_ms = jm_mono_ms() + pause;
}

/* Until its results are written, the jobs of the one who is gone are not to be rescued. */
static void renew_orphan(jm_recorder *recorder)
{
    int64_t now = jm_mono_ms();
    if (now < recorder->orphan_renew_ms)
        return;
    recorder->orphan_renew_ms = now + ORPHAN_RENEW_MS;
    jm_err err = {0};
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, jm_spool_worker(recorder->orphan));
    jm_pg_call call = {.sql = &jm_sql_record_renew_orphan, .args = &args};
    if (jm_pg_run(recorder->pg, &call, 1, &err) == JM_ERR_DB)
        jm_log_kv(JM_WARNING, "spool", "the lease of a worker that is gone was not renewed", "why",
                  err.msg, NULL);
    jm_pg_calls_clear(&call, 1);
}

/* A batch of the orphan's, or its end. */
static void record_orphan(jm_recorder *recorder, jm_record_group *g)
{
    jm_spool *orphan = recorder->orphan;
    if (!orphan)
        return;
    renew_orphan(recorder);
    g->worker_id = jm_spool_worker(orphan);
    g->n = jm_backlog_read(orphan, g->reports, recorder->options.batch_rows);
    if (!g->n) {
        jm_spool_take(orphan);
        jm_logf(JM_INFO, "spool", "%s: %lld reports recorded", jm_spool_path(orphan),
                (long long)recorder->orphan_reports);
        jm_spool_close(orphan);
        recorder->orphan = NULL;
        return;
    }
    bool all = jm_record_group_run(g);
    tell(g);
    for (int i = 0; i < g->n; i++)
        jm_report_free(g->reports[i]);
    if (!all) {
        jm_spool_unread(orphan);
        return;
    }
    jm_spool_take(orphan);
    recorder->orphan_reports += g->n;
    atomic_fetch_add(&recorder->spool_counts.replayed, g->n);
}

/* ---- the thread ---- */

/* Looks after some of the jobs that wait for those recorded, in between batches of reports. */
static void settle_dependents(jm_recorder *recorder)
{
    jm_err err = {0};
    if (!jm_dependents_any(&recorder->dependents) || !jm_pg_is_up(recorder->pg))
        return;
    int rc = jm_dependents_settle(&recorder->dependents, recorder->pg,
                                  recorder->options.queue_ready, recorder->options.ctx, &err);
    if (rc == JM_ERR_DB)
        jm_log_kv(err.retriable ? JM_INFO : JM_WARNING, "record",
                  "jobs that wait for others were not looked after", "why", err.msg, NULL);
}

/* How long to wait for reports when there is nothing else to do. */
static int idle_ms(const jm_recorder *recorder)
{
    const jm_backlog *backlog = recorder->backlog;
    if (!jm_backlog_is_empty(backlog) || recorder->orphan || recorder->away_ms)
        return 0;
    if (jm_dependents_any(&recorder->dependents))
        return 10;
    int64_t scan_ms = recorder->options.spool_dir ? lease_part_ms(recorder, 6) : IDLE_MS;
    return scan_ms < IDLE_MS ? (int)scan_ms : IDLE_MS;
}

/* After an outage the lease comes first: what runs must not be found lost while results are
 * written. */
static bool is_lease_ready(jm_recorder *recorder)
{
    const jm_record_options *o = &recorder->options;
    int64_t now = jm_mono_ms(), renewed = o->renewed_ms(o->ctx);
    if ((renewed && now - renewed < lease_part_ms(recorder, 2)) || atomic_load(&recorder->closing))
        return true;
    if (!recorder->back_ms)
        recorder->back_ms = now;
    o->renew(o->ctx);
    return now - recorder->back_ms > LEASE_WAIT_MS;
}

/* Whether the database takes reports now. */
static bool is_there(jm_recorder *recorder)
{
    jm_err err;
    int rc = jm_pg_ensure(recorder->pg, &err);
    if (rc || (recorder->away_ms && !is_lease_ready(recorder))) {
        if (!recorder->away_ms)
            recorder->away_ms = jm_mono_ms();
        if (rc)
            recorder->back_ms = 0;
        return false;
    }
    if (recorder->away_ms)
        recorder->scan_ms = 0; /* others may have ended meanwhile */
    recorder->away_ms = recorder->back_ms = 0;
    return true;
}

static void wait_a_moment(jm_recorder *recorder)
{
    int ms = jm_pg_retry_in_ms(recorder->pg);
    ms = ms < 5 ? 5 : ms > AWAY_MS ? AWAY_MS : ms;
    struct timespec ts = {.tv_nsec = ms * 1000000L};
    nanosleep(&ts, NULL);
}

/* The end: false when nothing more can be done. */
static bool may_go_on(jm_recorder *recorder, bool there)
{
    if (jm_backlog_is_empty(recorder->backlog))
        return false;
    /* What is in the spool is safe: it is worth no waiting. */
    if (!there && !jm_backlog_in_memory(recorder->backlog))
        return false;
    int64_t now = jm_mono_ms();
    return now < atomic_load(&recorder->give_up_ms) && !jm_pg_is_given_up(recorder->pg);
}

/* While jobs run, a few reports wait a moment for more: a transaction of one job costs PostgreSQL
 * as much as one of fifty. The first after a rest is recorded at once. */
static void gather(jm_recorder *recorder, jm_chain *chain)
{
    const jm_record_options *o = &recorder->options;
    int64_t wait_us = recorder->recorded_us + GATHER_US - jm_mono_us();
    if (wait_us <= 0 || !chain->n || chain->n >= GATHER_ROWS || !o->running || !o->running(o->ctx))
        return;
    nanosleep(&(struct timespec){.tv_nsec = wait_us * 1000}, NULL);
    jm_queue_pop_all(recorder->queue, chain, 0);
}

/* One turn; false: the end. */
static bool turn(jm_recorder *recorder, jm_record_group *g)
{
    jm_chain chain = {0};
    jm_backlog *backlog = recorder->backlog;
    jm_pulse_beat(recorder->options.pulse);
    bool closed = jm_queue_pop_all(recorder->queue, &chain, idle_ms(recorder)) == JM_ERR_CLOSED;
    if (!closed)
        gather(recorder, &chain);
    jm_backlog_add(backlog, &chain);
    note_backlog(recorder);
    bool there = is_there(recorder);
    if (there) {
        record_some(recorder, g);
        settle_dependents(recorder);
        if (!closed) {
            find_orphan(recorder);
            record_orphan(recorder, g);
        }
    } else {
        int64_t away = jm_mono_ms() - recorder->away_ms;
        jm_backlog_keep(backlog, closed || away >= SPOOL_AFTER_MS);
        note_backlog(recorder);
    }
    if (closed && !may_go_on(recorder, there))
        return false;
    if (!there)
        wait_a_moment(recorder);
    return true;
}

static void *record_main(void *arg)
{
    jm_recorder *recorder = arg;
    size_t max = (size_t)recorder->options.batch_rows;
    jm_record_group g = {.recorder = recorder,
                         .reports = jm_calloc(max, sizeof(jm_report *)),
                         .passed = jm_calloc(max, sizeof(bool)),
                         .done = jm_calloc(max, sizeof(bool))};
    while (turn(recorder, &g))
        ;
    jm_backlog_keep(recorder->backlog, true);
    recorder->unrecorded = (int64_t)jm_backlog_in_memory(recorder->backlog);
    jm_spool_close(recorder->orphan);
    recorder->orphan = NULL;
    jm_pg_finish(recorder->pg, FINISH_MS);
    jm_pulse_rest(recorder->options.pulse);
    free(g.reports);
    free(g.passed);
    free(g.done);
    atomic_store(&recorder->done, true);
    return NULL;
}

/* ---- from outside ---- */

jm_recorder *jm_recorder_new(const jm_record_options *options)
{
    jm_recorder *recorder = jm_calloc(1, sizeof *recorder);
    recorder->options = *options;
    recorder->queue = jm_queue_new(0);
    jm_dependents_init(&recorder->dependents);
    atomic_store(&recorder->give_up_ms, INT64_MAX);
    /* As the lease's connection: results of a worker that is gone must be recorded before its jobs
     * are rescued. */
    int64_t backoff_ms = lease_part_ms(recorder, 6);
    recorder->pg =
        jm_pg_new(&(jm_pg_options){.conninfo = options->conninfo,
                                   .schema = options->schema,
                                   .name = "jobmill-worker record",
                                   .batch = true,
                                   .backoff_max_ms = backoff_ms < 5000 ? (int)backoff_ms : 5000,
                                   .pulse = options->pulse,
                                   .clock = options->clock});
    recorder->backlog =
        jm_backlog_new(&(jm_backlog_options){.worker_id = options->worker_id,
                                             .dir = options->spool_dir,
                                             .spool_bytes = options->spool_max_bytes,
                                             .memory_bytes = options->memory_bytes,
                                             .clock = options->clock,
                                             .counts = &recorder->spool_counts});
    return recorder;
}

jm_queue *jm_recorder_queue(jm_recorder *recorder)
{
    return recorder->queue;
}

int jm_recorder_start(jm_recorder *recorder, jm_err *err)
{
    jm_backlog_open(recorder->backlog);
    if (pthread_create(&recorder->thread, NULL, record_main, recorder))
        return jm_err_errno(err, JM_ERR_IO, "cannot start the record thread");
    pthread_setname_np(recorder->thread, "record");
    recorder->started_thread = true;
    return JM_OK;
}

const jm_record_counts *jm_recorder_get_counts(const jm_recorder *recorder)
{
    return &recorder->counts;
}

const jm_spool_counts *jm_recorder_get_spool_counts(const jm_recorder *recorder)
{
    return &recorder->spool_counts;
}

bool jm_recorder_is_behind(jm_recorder *recorder)
{
    return atomic_load(&recorder->spooled) ||
           (int64_t)jm_queue_len(recorder->queue) + atomic_load(&recorder->in_backlog) >
               REPORTS_BEHIND;
}

void jm_recorder_close(jm_recorder *recorder, int timeout_ms, int patience_ms)
{
    int64_t now = jm_mono_ms();
    atomic_store(&recorder->give_up_ms, now + timeout_ms);
    atomic_store(&recorder->patience_ms, patience_ms);
    jm_pg_give_up_at(recorder->pg, now + (patience_ms < timeout_ms ? patience_ms : timeout_ms));
    atomic_store(&recorder->closing, true);
    jm_queue_close(recorder->queue);
}

void jm_recorder_hurry(jm_recorder *recorder)
{
    atomic_store(&recorder->give_up_ms, jm_mono_ms());
    jm_pg_give_up_at(recorder->pg, jm_mono_ms());
}

bool jm_recorder_is_done(const jm_recorder *recorder)
{
    return atomic_load(&recorder->done) || !recorder->started_thread;
}

jm_record_rest jm_recorder_stop(jm_recorder *recorder)
{
    if (!atomic_load(&recorder->closing))
        jm_recorder_close(recorder, 0, 0);
    if (recorder->started_thread)
        pthread_join(recorder->thread, NULL);
    recorder->started_thread = false;
    int64_t waiting = atomic_load(&recorder->spool_counts.waiting);
    return (jm_record_rest){.spooled = waiting - recorder->unrecorded,
                            .unrecorded = recorder->unrecorded};
}

void jm_recorder_free(jm_recorder *recorder)
{
    if (!recorder)
        return;
    jm_queue_free(recorder->queue);
    jm_dependents_fini(&recorder->dependents);
    jm_backlog_free(recorder->backlog);
    jm_pg_free(recorder->pg);
    free(recorder);
}
