/* Accept: a batch of records becomes rows in one transaction; the jobs that have a slot start. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/accept_priv.h"
#include "worker/job_events.h"
static bool has_project(jm_store *store, const char *name)
{
    int lo = 0, hi = store->n_projects - 1;
    while (lo <= hi) {
        int mid = (lo + hi) / 2, c = strcmp(store->projects[mid], name);
        if (!c)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid - 1;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void forget_projects(jm_store *store)
{
    for (int i = 0; i < store->n_projects; i++)
        free(store->projects[i]);
    free(store->projects);
    store->projects = NULL;
    store->n_projects = 0;
}

static int read_projects(jm_store *store, jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_query(store->pg, &jm_sql_start_projects, NULL, &res, err);
    if (rc)
        return rc;
    forget_projects(store);
    store->n_projects = PQntuples(res);
    store->projects = jm_calloc((size_t)store->n_projects + 1, sizeof *store->projects);
    for (int i = 0; i < store->n_projects; i++)
        store->projects[i] = jm_strdup(PQgetvalue(res, i, 0));
    PQclear(res);
    qsort(store->projects, (size_t)store->n_projects, sizeof *store->projects, by_name);
    store->projects_ms = jm_mono_ms();
    return JM_OK;
}
void jm_accept_dead(jm_accept_state *a, jm_batch_record *record, const char *reason,
                    const char *field, const char *detail)
{
    jm_err err = {0};
    jm_err_field(&err, field, "%s", detail);
    jm_batch_mark_dead(a->batch, record, reason, &err);
}

/* What is not for messages to say. */
static void refuse_impossible(jm_accept_state *a, jm_batch_record *record, const jm_job_type *type)
{
    const jm_job *job = record->job;
    if (!strncmp(job->type, "jobmill.", 8)) {
        jm_accept_dead(
            a, record, "bad_field", "type",
            "types that begin with \"jobmill.\" are jobmill's own; give it another name");
        return;
    }
    if (job->exclusive && job->key && type && type->ordered)
        jm_accept_dead(a, record, "bad_field", "exclusive",
                       "its type orders jobs by key, and a job holds one lock at most: leave out "
                       "exclusive, or the key");
}

const char *jm_accept_lock(jm_accept_state *a, int i, bool *ordered)
{
    const jm_job *job = a->batch->records[i].job;
    *ordered = false;
    if (job->exclusive)
        return job->exclusive;
    /* Of a type that nobody here knows, who knows it will see whether it orders. */
    if (!job->key || (a->types[i] && !a->types[i]->ordered))
        return NULL;
    *ordered = true;
    size_t size = sizeof JM_ORDER_LOCK + strlen(job->type) + 1 + strlen(job->key);
    char *name = jm_arena_alloc(a->batch->arena, size);
    snprintf(name, size, JM_ORDER_LOCK "%s/%s", job->type, job->key);
    return name;
}

/* Unknown projects are looked for in the database again, at most once a second. */
static int check_projects(jm_accept_state *a, jm_err *err)
{
    jm_store *store = a->store;
    bool fresh = store->n_projects && jm_mono_ms() - store->projects_ms < 60000;
    int rc = fresh ? JM_OK : read_projects(store, err);
    for (int i = 0; i < a->batch->n && !rc; i++) {
        jm_batch_record *record = &a->batch->records[i];
        if (record->fate != JM_FATE_OPEN || record->job->from_relay ||
            has_project(store, record->job->project))
            continue;
        if (jm_mono_ms() - store->projects_ms >= 1000 && (rc = read_projects(store, err)))
            break;
        if (!has_project(store, record->job->project))
            jm_accept_dead(
                a, record, "unknown_project", "project",
                "no such project: make it (jobmill project add), or name one that is there");
    }
    return rc;
}

/* Looks up the type of each open record; what cannot be done yet is put aside before it claims any
 * key, so that the record may be sent again under the same id once it is mended. */
static void look_up_types(jm_accept_state *a)
{
    jm_job_type *last = NULL; /* batches are mostly of one type: ask the directory once */
    for (int i = 0; i < a->batch->n; i++) {
        jm_batch_record *record = &a->batch->records[i];
        jm_job *job = record->job;
        if (record->again && record[-1].fate == JM_FATE_DEAD)
            record->again = false; /* the one before it under this id comes to nothing */
        if (record->fate != JM_FATE_OPEN || record->again || !job->type)
            continue;
        if (last && !strcmp(last->name, job->type))
            a->types[i] = jm_job_type_ref(last);
        else
            a->types[i] = jm_type_dir_get(a->store->options.types, job->type);
        last = a->types[i] ? a->types[i] : last;
        if (!job->from_relay)
            refuse_impossible(a, record, a->types[i]);
    }
}

/* Decides for each open record whether its job starts now, and if not, why. */
static void assign_slots(jm_accept_state *a)
{
    jm_store *store = a->store;
    int64_t now_us = jm_db_clock_us(store->options.clock);
    for (int i = 0; i < a->batch->n; i++) {
        jm_batch_record *record = &a->batch->records[i];
        a->now[i] = false;
        a->waits[i] = NULL;
        if (record->fate != JM_FATE_OPEN || record->again || !record->job->type)
            continue;
        jm_job *job = record->job;
        if (job->depends_on)
            a->waits[i] = "depends_on"; /* accept_depends.sql goes by it */
        else if (!a->types[i])
            a->waits[i] = "no worker with this type has had a slot for it yet";
        else if (!job->from_relay && job->run_at_us > now_us)
            a->waits[i] = "run_at";
        else if (!job->from_relay && job->start_by_us)
            a->waits[i] = "start_by"; /* started by PostgreSQL's clock */
        else if (job->exclusive)
            a->waits[i] = "waits for its lock";
        else if (job->key && a->types[i]->ordered)
            a->waits[i] = "waits for its place in its key";
        else if (!jm_slots_available(store->options.slots, a->types[i], 1))
            a->waits[i] = "no free slot for this type";
        else
            a->now[i] = true;
        if (a->now[i])
            jm_slots_take(store->options.slots, a->types[i], 1);
    }
}

/* Gives back the slots and references of records that did not start. */
static void release_unstarted(jm_accept_state *a)
{
    for (int i = 0; i < a->batch->n; i++) {
        if (!a->types[i])
            continue;
        if (a->now[i] && a->batch->records[i].fate != JM_FATE_STARTED)
            jm_slots_give(a->store->options.slots, a->types[i], 1);
        if (a->batch->records[i].fate != JM_FATE_STARTED)
            jm_job_type_unref(a->types[i]);
        else
            continue; /* the job has it now */
        a->types[i] = NULL;
    }
}
/* After a lost connection: what of this batch was committed all the same runs under our claim. */
static int recall(jm_accept_state *a, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &a->store->options.worker_id);
    jm_pg_arg_i64(&args, a->seq);
    jm_pg_call call = {.sql = &jm_sql_accept_recall, .args = &args, .binary = true};
    int rc = jm_pg_run(a->store->pg, &call, 1, err);
    int hint = 0;
    for (int row = 0; !rc && row < PQntuples(call.res); row++) {
        jm_uuid id = jm_pg_get_uuid(call.res, row, 0);
        jm_batch_record *record = jm_batch_find(a->batch, &id, &hint);
        if (!record || record->fate == JM_FATE_STARTED)
            continue;
        if (record->job->from_relay)
            jm_store_read_job(call.res, row, a->batch->arena, record->job);
        record->fate = JM_FATE_STARTED;
    }
    PQclear(call.res);
    return rc;
}

static int make_some_partitions(jm_accept_state *a, jm_col *ids, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, ids);
    int rc =
        ids->n ? jm_pg_query(a->store->pg, &jm_sql_accept_partitions, &args, NULL, err) : JM_OK;
    jm_col_reset(ids);
    return rc;
}

static int make_by_weeks(jm_accept_state *a, int from, int to, int weeks, jm_err *err)
{
    const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    jm_col ids;
    jm_col_init(&ids, JM_COL_UUID);
    int64_t last = -1;
    int rc = JM_OK;
    for (int i = 0; i < a->batch->n && !rc;
         i++) { /* sorted, so by time; 1970 began on a Thursday */
        int64_t week = (jm_uuid7_ms(&a->batch->records[i].id) + 3 * day_ms) / (7 * day_ms);
        if (!jm_accept_is_in(a, i, from, to) || a->batch->records[i].fate != JM_FATE_OPEN ||
            week == last)
            continue;
        last = week;
        jm_col_add_uuid(&ids, &a->batch->records[i].id);
        if (ids.n == weeks)
            rc = make_some_partitions(a, &ids, err);
    }
    rc = rc ? rc : make_some_partitions(a, &ids, err);
    jm_col_fini(&ids);
    return rc;
}

/* Makes the partitions that records at places from..to need: a few weeks a statement, since one
 * that made hundreds would hold its locks for long and run into the server's time limit; fewer
 * still where that happens all the same. */
static int make_partitions(jm_accept_state *a, int from, int to, jm_err *err)
{
    enum { WEEKS_AT_ONCE = 20 };
    for (int weeks = WEEKS_AT_ONCE;; weeks /= 2) {
        int rc = make_by_weeks(a, from, to, weeks, err);
        if (!rc || rc == JM_ERR_DB_DOWN || !err->retriable || weeks == 1 ||
            atomic_load(&a->store->stopping))
            return rc;
    }
}

/* What PostgreSQL said, where it was a check of ours that runs there: without the statement's name
 * and the reason, which is returned. */
static const char *reason_of(jm_err *err)
{
    char *end = err->field[0] ? strstr(err->msg, "; reason: bad_field") : NULL;
    if (!end)
        return err->no_partition ? "bad_time" : "refused";
    *end = 0;
    const char *text = strstr(err->msg, ": ");
    if (text)
        memmove(err->msg, text + 2, strlen(text + 2) + 1);
    return "bad_field";
}

/* Another record under the id of one that was refused was only to be compared with the job that
 * will not be: now it is tried itself. Returns it, or NULL. */
static const jm_batch_record *take_next(jm_accept_state *a, int i)
{
    if (i + 1 >= a->batch->n)
        return NULL;
    jm_batch_record *record = &a->batch->records[i], *next = record + 1;
    if (!next->again || next->fate != JM_FATE_OPEN || jm_uuid_cmp(&next->id, &record->id) != 0)
        return NULL;
    const jm_job *job = next->job;
    next->again = next->by_key = false;
    a->types[i + 1] = jm_type_dir_get(a->store->options.types, job->type);
    a->waits[i + 1] = job->depends_on ? "depends_on"
                      : job->run_at_us > jm_db_clock_us(a->store->options.clock)
                          ? "run_at"
                          : "another record under its id was refused";
    return next;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static void refuse(jm_accept_state *a, int i, jm_err *err)
{
    jm_batch_record *record = &a->batch->records[i];
    jm_batch_mark_dead(a->batch, record, reason_of(err), err);
    const jm_batch_record *next = take_next(a, i);
    if (!record->job || !(record->job->external_id || record->job->dedup_key) ||
        (next && same_text(next->job->dedup_key, record->job->dedup_key)))
        return; /* no key, or the next one has it */
    jm_err ignored;
    jm_accept_undedup(a, record, &ignored);
}

static int record_at(const jm_accept_state *a, int place)
{
    int i = 0;
    while (a->batch->records[i].place != place)
        i++;
    return i;
}

int jm_accept_range(jm_accept_state *a, int from, int to)
{
    for (bool made_partitions = false;;) {
        jm_err err = {0};
        int rc = jm_accept_try(a, from, to, &err);
        if (rc == JM_OK)
            return JM_OK;
        if (rc == JM_ERR_DB_DOWN || (!jm_pg_is_up(a->store->pg))) {
            do {
                if (!jm_store_wait_db(a->store))
                    return JM_ERR_CLOSED;
            } while (recall(a, &err));
            continue;
        }
        if (err.retriable) {
            jm_log_kv(JM_INFO, "accept", "trying again", "why", err.msg, NULL);
            if (!jm_store_wait_ms(a->store, 50))
                return JM_ERR_CLOSED;
            continue;
        }
        if (err.no_partition && !made_partitions) {
            made_partitions = true;
            jm_err why = {0};
            if (make_partitions(a, from, to, &why) == JM_OK)
                continue;
            if (why.code == JM_ERR_DB_DOWN || why.retriable) { /* says nothing about the record */
                made_partitions = false;
                continue;
            }
            if (to - from == 1 && why.code == JM_ERR_DB) {
                jm_err_prefix(&why, "no partition for its time");
                memcpy(err.msg, why.msg, sizeof err.msg);
            }
        }
        if (to - from == 1) {
            int i = record_at(a, from);
            if (a->batch->records[i].fate == JM_FATE_DEAD) {
                jm_log_kv(JM_ERROR, "accept", "a dead letter was refused and is dropped", "why",
                          err.msg, NULL);
                a->batch->records[i].fate = JM_FATE_KNOWN;
                return JM_OK;
            }
            refuse(a, i, &err);
            continue; /* now as a dead letter */
        }
        int mid = from + (to - from) / 2;
        rc = jm_accept_range(a, from, mid);
        a->seq = ++a->store->claim_seq; /* a claim names all that its transaction has started */
        return rc ? rc : jm_accept_range(a, mid, to);
    }
}
/* Runs a step that needs the database until it succeeds. JM_ERR_CLOSED when stopping. Other
 * refusals are logged and tried again: they concern no single record. */
static int insist(jm_accept_state *a, int (*step)(jm_accept_state *, jm_err *))
{
    for (;;) {
        jm_err err = {0};
        int rc = step(a, &err);
        if (!rc)
            return JM_OK;
        if (rc != JM_ERR_DB_DOWN)
            jm_log_kv(JM_ERROR, "accept", "PostgreSQL refuses a check; trying again", "why",
                      err.msg, NULL);
        if (!(rc == JM_ERR_DB_DOWN ? jm_store_wait_db(a->store) : jm_store_wait_ms(a->store, 1000)))
            return JM_ERR_CLOSED;
    }
}

static void count_into_meters(jm_accept_state *a, jm_meters *meters)
{
    const char *queue = a->store->options.queues[a->batch->queue];
    int64_t now_us = jm_db_clock_us(a->store->options.clock);
    jm_tally submitted, dead;
    jm_sampler waits;
    jm_tally_init(&submitted, meters->submitted);
    jm_tally_init(&dead, meters->dead);
    jm_sampler_init(&waits, meters->wait);
    for (int i = 0; i < a->batch->n; i++) {
        const jm_batch_record *record = &a->batch->records[i];
        bool started = record->fate == JM_FATE_STARTED;
        if (record->fate == JM_FATE_DEAD)
            jm_tally_add(&dead, &record->reason);
        if ((started || record->fate == JM_FATE_WAITS) && !record->job->from_relay)
            jm_tally_add(&submitted, (const char *[]){queue, jm_meters_type(a->types[i]), "kafka"});
        int64_t wait_us = started ? jm_meters_wait_us(record->job, now_us) : -1;
        if (wait_us >= 0)
            jm_sampler_add(&waits, queue, wait_us);
    }
    jm_tally_flush(&submitted);
    jm_tally_flush(&dead);
    jm_sampler_flush(&waits);
}

static void count_fates(jm_accept_state *a)
{
    jm_store_counts *c = &a->store->counts;
    int64_t n[5] = {0};
    for (int i = 0; i < a->batch->n; i++)
        n[a->batch->records[i].fate]++;
    atomic_fetch_add(&c->accepted, a->batch->n);
    atomic_fetch_add(&c->started, n[JM_FATE_STARTED]);
    atomic_fetch_add(&c->waiting, n[JM_FATE_WAITS]);
    atomic_fetch_add(&c->known, n[JM_FATE_KNOWN]);
    atomic_fetch_add(&c->dead, n[JM_FATE_DEAD]);
    if (n[JM_FATE_WAITS])
        a->store->maybe_ready = JM_ALL_CLASSES;
}

/* Hands the started jobs to the runner; the arena goes with them. */
static void begin_started(jm_accept_state *a)
{
    jm_chain chain = {0};
    jm_claim *claim = NULL;
    jm_arena *arena = a->batch->arena;
    int by_class[JM_SLOT_CLASSES] = {0};
    for (int i = 0; i < a->batch->n; i++) {
        jm_batch_record *record = &a->batch->records[i];
        if (record->fate != JM_FATE_STARTED)
            continue;
        by_class[a->types[i]->slot_class]++;
        if (!claim)
            claim = jm_claim_new(a->first_seq, (int)(a->seq - a->first_seq) + 1, arena);
        if (!record->job->from_relay) {
            record->job->queue = a->store->options.queues[a->batch->queue];
            record->job->attempt = 1;
            record->job->max_attempts = jm_accept_max_attempts(record->job, a->types[i]);
            record->job->submitted_by = "kafka";
        }
        jm_store_begin(record->job, claim, a->types[i], &chain);
    }
    for (int c = 0; c < JM_SLOT_CLASSES; c++)
        if (by_class[c])
            jm_shares_got(a->store->shares[c], a->batch->queue, by_class[c]);
    if (claim) {
        a->batch->arena = NULL;
        jm_store_give_documents(a->store, &chain, arena);
        jm_job_events_started(a->store->options.events, a->store->options.clock, &chain);
        jm_runner_push(a->store->options.runner, &chain);
    }
}

/* A claim row under which nothing started in the end. */
static void drop_empty_claim(jm_accept_state *a)
{
    bool claimed = false;
    for (int i = 0; i < a->batch->n; i++) {
        if (a->batch->records[i].fate == JM_FATE_STARTED)
            return;
        claimed = claimed || a->now[i];
    }
    if (!claimed)
        return;
    jm_col seqs;
    jm_col_init(&seqs, JM_COL_I64);
    for (int64_t seq = a->first_seq; seq <= a->seq; seq++)
        jm_col_add_i64(&seqs, seq);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &a->store->options.worker_id);
    jm_pg_arg_col(&args, &seqs);
    jm_err ignored; /* a claim without running jobs does no harm; the janitor takes it away in the
                       end */
    jm_pg_query(a->store->pg, &jm_sql_record_unclaim, &args, NULL, &ignored);
    jm_col_fini(&seqs);
}

static int accept_all(jm_accept_state *a)
{
    int rc = insist(a, check_projects);
    if (!rc) {
        look_up_types(a);
        rc = insist(a, jm_accept_duplicates);
    }
    if (!rc) {
        assign_slots(a);
        rc = jm_accept_range(a, 0, a->batch->n);
    }
    if (!rc)
        rc = insist(a, jm_accept_known);
    return rc;
}

int jm_accept(jm_store *store, jm_batch *batch)
{
    jm_batch_sort(batch);
    jm_accept_state a = {.store = store, .batch = batch, .first_seq = store->claim_seq + 1};
    a.seq = ++store->claim_seq;
    a.types = jm_calloc((size_t)batch->n, sizeof *a.types);
    a.now = jm_calloc((size_t)batch->n, sizeof *a.now);
    a.waits = jm_calloc((size_t)batch->n, sizeof *a.waits);
    int rc = accept_all(&a);
    if (rc == JM_OK)
        drop_empty_claim(&a);
    if (store->options.meters)
        count_into_meters(&a, store->options.meters);
    release_unstarted(&a);
    /* Jobs that were started run even if we are stopping now: they have been claimed. */
    count_fates(&a);
    begin_started(&a);
    free(a.types);
    free(a.now);
    free(a.waits);
    if (rc == JM_OK)
        store->options.accepted(store->options.ctx, batch);
    else
        jm_batch_free(batch);
    return rc;
}
