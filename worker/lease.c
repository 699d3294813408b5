/* The lease: one row in workers covers all that this worker runs. */
#include "worker/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/migrate.h"
#include "common/queue.h"

enum { STOP_MS = 2000 /* for a statement in flight, at the end */ };

struct jm_lease {
    jm_lease_options options;
    jm_pg *pg;
    jm_queue *wake; /* carries nothing: closed to stop, woken to renew */
    pthread_t thread;
    bool started_thread;
    _Atomic bool up, stopping;
    _Atomic bool keep;          /* at the end the lease is left to run out */
    _Atomic int64_t renewed_ms; /* monotonic */
    bool registered, checked, unusable;
    uint64_t announced; /* generation of the job types that PostgreSQL knows, plus one; 0: none */
    char host[256];
};

jm_lease *jm_lease_new(const jm_lease_options *options)
{
    jm_lease *lease = jm_calloc(1, sizeof *lease);
    lease->options = *options;
    lease->wake = jm_queue_new(0);
    if (gethostname(lease->host, sizeof lease->host - 1))
        memcpy(lease->host, "unknown", 8);
    /* After an outage every janitor waits one lease before it rescues: the renewal must be there
     * first. */
    int backoff_ms = options->lease_s * 1000 / 6;
    lease->pg = jm_pg_new(&(jm_pg_options){.conninfo = options->conninfo,
                                           .schema = options->schema,
                                           .name = "jobmill-worker lease",
                                           .backoff_max_ms = backoff_ms < 5000 ? backoff_ms : 5000,
                                           .pulse = options->pulse,
                                           .clock = options->clock});
    return lease;
}

static void add_json(jm_col *col, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    jm_col_add_str(col, text);
    free(text);
}

enum { TYPE_COLS = 11 /* of lease_announce */ };

static void add_type(jm_col cols[TYPE_COLS], const jm_job_type *type)
{
    char backoff[160];
    snprintf(backoff, sizeof backoff, "{\"initial_s\":%g,\"factor\":%g,\"max_s\":%g,\"jitter\":%g}",
             type->backoff_initial_s, type->backoff_factor, type->backoff_max_s,
             type->backoff_jitter);
    jm_col_add_str(&cols[0], type->name);
    jm_col_add_str(&cols[1], type->hash);
    jm_col_add_str(&cols[2], type->description);
    add_json(&cols[3], type->params_schema);
    add_json(&cols[4], type->profiles);
    jm_col_add_i32(&cols[5], type->max_attempts);
    jm_col_add_str(&cols[6], backoff);
    for (char **key = type->searchable; *key; key++) {
        jm_col_add_str(&cols[7], type->name);
        jm_col_add_str(&cols[8], *key);
    }
    jm_col_add_str(&cols[9], type->depends_ended ? "ended" : "completed");
    jm_col_add_bool(&cols[10], type->ordered);
}

/* Writes job_types and fills names with the types there are. */
static int announce(jm_lease *lease, jm_col *names, jm_err *err)
{
    static const jm_col_type col_types[TYPE_COLS] = {
        JM_COL_TEXT,  JM_COL_TEXT, JM_COL_TEXT, JM_COL_JSONB, JM_COL_JSONB, JM_COL_I32,
        JM_COL_JSONB, JM_COL_TEXT, JM_COL_TEXT, JM_COL_TEXT,  JM_COL_BOOL};
    jm_col cols[TYPE_COLS];
    for (int i = 0; i < TYPE_COLS; i++)
        jm_col_init(&cols[i], col_types[i]);
    uint64_t generation = jm_type_dir_generation(lease->options.types) + 1;
    jm_job_type **types = jm_type_dir_all(lease->options.types);
    for (jm_job_type **t = types; *t; t++) {
        jm_col_add_str(names, (*t)->name);
        add_type(cols, *t);
        jm_job_type_unref(*t);
    }
    free(types);
    int rc = JM_OK;
    if (generation != lease->announced) {
        jm_pg_args args;
        jm_pg_args_init(&args);
        for (int i = 0; i < TYPE_COLS; i++)
            jm_pg_arg_col(&args, &cols[i]);
        rc = jm_pg_query(lease->pg, &jm_sql_lease_announce, &args, NULL, err);
        if (!rc)
            lease->announced = generation;
    }
    for (int i = 0; i < TYPE_COLS; i++)
        jm_col_fini(&cols[i]);
    return rc;
}

/* What the renewal found: a worker that was declared lost goes on, and the fence keeps it harmless.
 */
static void read_renewal(jm_lease *lease, const PGresult *res, int64_t asked_us)
{
    jm_db_clock_set(lease->options.clock, jm_pg_get_ts(res, 0, 1), asked_us, jm_mono_us());
    const char *old = jm_pg_get_text(res, 0, 0, NULL);
    if (lease->registered && (!old || !strcmp(old, "lost")))
        jm_logf(JM_WARNING, "lease",
                "this worker had been found lost: its jobs were given to others, and what it "
                "reports of "
                "them will be kept as superseded");
}

/* How long after a renewal was asked for jobs may hold locks: the lease counts from a later moment,
 * and a tenth of it is for clocks that do not run alike and for a busy machine. */
static int64_t hold_us(const jm_lease_options *o)
{
    return (int64_t)o->lease_s * 900000 - (int64_t)o->lock_grace_ms * 1000;
}

static int renew(jm_lease *lease, const char *state, jm_err *err)
{
    const jm_lease_options *o = &lease->options;
    jm_col queues, types;
    jm_col_init(&queues, JM_COL_TEXT);
    jm_col_init(&types, JM_COL_TEXT);
    for (int i = 0; o->queues[i]; i++)
        jm_col_add_str(&queues, o->queues[i]);
    int rc = announce(lease, &types, err);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &o->worker_id);
    jm_pg_arg_text(&args, lease->host);
    jm_pg_arg_i32(&args, getpid());
    jm_pg_arg_text(&args, JM_VERSION);
    jm_pg_arg_col(&args, &queues);
    jm_pg_arg_col(&args, &types);
    jm_pg_arg_i32(&args, o->concurrency);
    jm_pg_arg_i32(&args, o->running(o->ctx));
    jm_pg_arg_i32(&args, o->lease_s);
    jm_pg_arg_text(&args, state);
    jm_pg_call call = {.sql = &jm_sql_lease_renew, .args = &args, .binary = true};
    int64_t asked_us = jm_mono_us(), asked_boot_us = jm_boot_us();
    rc = rc ? rc : jm_pg_run(lease->pg, &call, 1, err);
    if (!rc) {
        read_renewal(lease, call.res, asked_us);
        atomic_store(&lease->renewed_ms, asked_us / 1000);
        atomic_store(o->locks_until_us, asked_boot_us + hold_us(o));
    }
    PQclear(call.res);
    jm_col_fini(&queues);
    jm_col_fini(&types);
    return rc;
}

/* Passes on which of this worker's jobs somebody wants cancelled. *some: there are any. */
static int look_at_cancels(jm_lease *lease, bool *some, jm_err *err)
{
    const jm_lease_options *o = &lease->options;
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &o->worker_id);
    jm_pg_call call = {.sql = &jm_sql_lease_cancels, .args = &args, .binary = true};
    int rc = jm_pg_run(lease->pg, &call, 1, err);
    *some = !rc && PQntuples(call.res);
    for (int row = 0; *some && row < PQntuples(call.res); row++) {
        jm_uuid id = jm_pg_get_uuid(call.res, row, 0);
        o->cancel(o->ctx, &id, jm_pg_get_i32(call.res, row, 1),
                  jm_pg_get_text(call.res, row, 2, NULL));
    }
    PQclear(call.res);
    return rc;
}

/* Tells which queues are to be left. A failure waits for the next turn. */
static void look_for_released(jm_lease *lease)
{
    const jm_lease_options *o = &lease->options;
    jm_col names;
    jm_buf name = {0};
    int n = 0;
    jm_col_init(&names, JM_COL_TEXT);
    for (; o->queues[n]; n++) {
        jm_buf_clear(&name);
        jm_buf_addf(&name, "topic:%s", o->queues[n]);
        jm_col_add_str(&names, name.data);
    }
    jm_err err;
    PGresult *res = NULL;
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &names);
    int rc = jm_pg_query(lease->pg, &jm_sql_lease_released, &args, &res, &err);
    for (int q = 0; q < n && !rc; q++) {
        bool released = false;
        for (int row = 0; row < PQntuples(res); row++)
            released = released || strtol(PQgetvalue(res, row, 0), NULL, 10) == q + 1;
        o->released(o->ctx, q, released);
    }
    PQclear(res);
    jm_col_fini(&names);
    jm_buf_fini(&name);
}

/* One turn: connect, check the schema once, renew. Returns how long to wait for the next, ms. */
static int turn(jm_lease *lease)
{
    const jm_lease_options *o = &lease->options;
    jm_err err = {0};
    if (lease->unusable) /* the process is about to end */
        return 1000;
    int rc = jm_pg_ensure(lease->pg, &err);
    if (!rc && !lease->checked) {
        rc = jm_migrate_check(lease->pg, o->schema, o->auto_migrate, o->allow_unsafe, &err);
        if (rc == JM_ERR_UNSUPPORTED) {
            jm_log_kv(JM_ERROR, "lease", err.msg, NULL);
            lease->unusable = true;
            o->unusable(o->ctx);
            return 1000;
        }
        lease->checked = rc == JM_OK;
        if (lease->checked) /* a connection that hangs is given up well before the lease ends */
            jm_pg_set_timeout(lease->pg, o->lease_s * 1000 / 3);
    }
    rc = rc ? rc : renew(lease, atomic_load(&lease->stopping) ? "stopping" : "running", &err);
    bool cancels = false;
    rc = rc ? rc : look_at_cancels(lease, &cancels, &err);
    atomic_store(&lease->up, rc == JM_OK);
    if (rc) {
        if (rc != JM_ERR_DB_DOWN)
            jm_log_kv(JM_ERROR, "lease", "cannot renew the lease", "why", err.msg, NULL);
        int ms = jm_pg_retry_in_ms(lease->pg);
        return rc == JM_ERR_DB_DOWN ? (ms > 10 ? ms : 10) : 500;
    }
    if (!lease->registered) {
        lease->registered = true;
        o->registered(o->ctx);
    }
    look_for_released(lease);
    /* A job may have been claimed and not have reached the runner yet: it is told again. */
    return cancels ? 500 : o->lease_s * 1000 / 3;
}

static void *lease_main(void *arg)
{
    jm_lease *lease = arg;
    jm_chain none = {0};
    for (int rc = JM_OK; rc != JM_ERR_CLOSED;) {
        jm_pulse_beat(lease->options.pulse);
        int wait_ms = turn(lease);
        jm_pulse_rest(lease->options.pulse);
        rc = jm_queue_pop_all(lease->wake, &none, wait_ms);
    }
    if (lease->registered && jm_pg_is_up(lease->pg) && !atomic_load(&lease->keep)) {
        jm_err err;
        jm_pg_args args;
        jm_pg_args_init(&args);
        jm_pg_arg_uuid(&args, &lease->options.worker_id);
        if (jm_pg_query(lease->pg, &jm_sql_lease_end, &args, NULL, &err))
            jm_log_kv(JM_WARNING, "lease", "could not say that this worker has stopped", "why",
                      err.msg, NULL);
    }
    jm_pg_disconnect(lease->pg);
    return NULL;
}

int jm_lease_start(jm_lease *lease, jm_err *err)
{
    if (pthread_create(&lease->thread, NULL, lease_main, lease))
        return jm_err_errno(err, JM_ERR_IO, "cannot start the lease thread");
    pthread_setname_np(lease->thread, "lease");
    lease->started_thread = true;
    return JM_OK;
}

bool jm_lease_is_up(jm_lease *lease)
{
    return atomic_load(&lease->up);
}

int64_t jm_lease_renewed_ms(jm_lease *lease)
{
    return atomic_load(&lease->renewed_ms);
}

void jm_lease_set_stopping(jm_lease *lease)
{
    atomic_store(&lease->stopping, true);
    jm_queue_wake(lease->wake);
}

void jm_lease_renew_now(jm_lease *lease)
{
    jm_queue_wake(lease->wake);
}

void jm_lease_stop(jm_lease *lease, bool release)
{
    atomic_store(&lease->keep, !release);
    jm_pg_give_up_at(lease->pg, jm_mono_ms() + STOP_MS);
    jm_queue_close(lease->wake);
    if (lease->started_thread)
        pthread_join(lease->thread, NULL);
    lease->started_thread = false;
}

void jm_lease_free(jm_lease *lease)
{
    if (!lease)
        return;
    jm_queue_free(lease->wake);
    jm_pg_free(lease->pg);
    free(lease);
}
