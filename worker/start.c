/* Start: waiting jobs that are ready run here as far as there are slots. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/job_events.h"
#include "worker/store_priv.h"

static const char *text_of(const PGresult *res, int row, int col, jm_arena *arena)
{
    size_t len;
    const char *p = jm_pg_get_text(res, row, col, &len);
    return p ? jm_arena_strndup(arena, p, len) : NULL;
}

void jm_store_read_job(const PGresult *res, int row, jm_arena *arena, jm_job *job)
{
    size_t len = 0;
    memset(job, 0, sizeof *job);
    job->has_id = true;
    job->from_relay = true; /* its row is what counts */
    job->id = jm_pg_get_uuid(res, row, 0);
    job->external_id = text_of(res, row, 1, arena);
    job->project = text_of(res, row, 2, arena);
    job->type = text_of(res, row, 3, arena);
    job->queue = text_of(res, row, 4, arena);
    job->profile = text_of(res, row, 5, arena);
    const char *params = jm_pg_get_text(res, row, 6, &len);
    job->params = jm_arena_strndup(arena, params, len);
    job->params_len = len;
    const char *metadata = jm_pg_get_text(res, row, 7, &len);
    job->metadata = metadata ? jm_arena_strndup(arena, metadata, len) : NULL;
    job->metadata_len = metadata ? len : 0;
    job->key = text_of(res, row, 8, arena);
    job->trace_context = text_of(res, row, 9, arena);
    job->submitted_by = text_of(res, row, 10, arena);
    job->priority = jm_pg_get_i32(res, row, 11);
    job->attempt = jm_pg_get_i32(res, row, 12);
    job->max_attempts = jm_pg_get_i32(res, row, 13);
    job->timeout_s = jm_pg_get_i32(res, row, 14);
    job->has_schedule = !PQgetisnull(res, row, 15);
    job->schedule_id = jm_pg_get_uuid(res, row, 15);
    job->due_at_us = jm_pg_get_ts(res, row, 16);
    job->run_at_us = jm_pg_get_ts(res, row, 17);
    job->lock_token = jm_pg_get_i64(res, row, 18);
    job->exclusive = text_of(res, row, 19, arena);
}

static int by_id(const void *a, const void *b)
{
    return jm_uuid_cmp(&(*(jm_job *const *)a)->id, &(*(jm_job *const *)b)->id);
}

int jm_store_read_done_steps(jm_store *store, jm_job **jobs, int n, jm_arena *arena, jm_err *err)
{
    jm_col ids;
    jm_col_init(&ids, JM_COL_UUID);
    qsort(jobs, (size_t)n, sizeof *jobs, by_id);
    for (int i = 0; i < n; i++)
        jm_col_add_uuid(&ids, &jobs[i]->id);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &ids);
    jm_pg_arg_uuid(&args, &jobs[0]->id);
    jm_pg_arg_uuid(&args, &jobs[n - 1]->id);
    jm_pg_call call = {.sql = &jm_sql_start_done_steps, .args = &args, .binary = true};
    int rc = jm_pg_run(store->pg, &call, 1, err);
    for (int row = 0; !rc && row < PQntuples(call.res); row++) {
        jm_job key = {.id = jm_pg_get_uuid(call.res, row, 0)}, *k = &key;
        jm_job **job = bsearch(&k, jobs, (size_t)n, sizeof *jobs, by_id);
        if (job)
            (*job)->done_steps = text_of(call.res, row, 1, arena);
    }
    PQclear(call.res);
    jm_col_fini(&ids);
    return rc;
}

void jm_store_begin(jm_job *job, jm_claim *claim, jm_job_type *type, jm_chain *chain)
{
    job->claim = claim;
    job->job_type = type;
    if (!job->timeout_s)
        job->timeout_s = type->timeout_s;
    claim->left++;
    jm_chain_add(chain, &job->node);
}

/* The types of one slot class that have free slots now, with how many. */
struct offer {
    jm_job_type **types; /* counted; NULL-terminated; of all classes */
    jm_col names, free_slots, ordered, blocks;
    int n;         /* how many types are offered */
    int room;      /* how many jobs of the class fit in all */
    bool complete; /* every type of the class is offered */
};

enum { START_ROWS = 500 };

static void offer_make(jm_store *store, jm_slot_class slot_class, struct offer *offer)
{
    *offer = (struct offer){.types = jm_type_dir_all(store->options.types), .complete = true};
    jm_col_init(&offer->names, JM_COL_TEXT);
    jm_col_init(&offer->free_slots, JM_COL_I32);
    jm_col_init(&offer->ordered, JM_COL_BOOL);
    jm_col_init(&offer->blocks, JM_COL_BOOL);
    offer->room = jm_slots_left(store->options.slots, slot_class, START_ROWS);
    for (jm_job_type **t = offer->types; *t; t++) {
        if ((*t)->slot_class != slot_class)
            continue;
        int n = jm_slots_available(store->options.slots, *t, START_ROWS);
        offer->complete = offer->complete && n;
        if (!n)
            continue;
        jm_col_add_str(&offer->names, (*t)->name);
        jm_col_add_i32(&offer->free_slots, n);
        jm_col_add_bool(&offer->ordered, (*t)->ordered);
        jm_col_add_bool(&offer->blocks, (*t)->blocks);
        offer->n++;
    }
}

static void offer_free(struct offer *offer)
{
    for (jm_job_type **t = offer->types; *t; t++)
        jm_job_type_unref(*t);
    free(offer->types);
    jm_col_fini(&offer->names);
    jm_col_fini(&offer->free_slots);
    jm_col_fini(&offer->ordered);
    jm_col_fini(&offer->blocks);
}

static jm_job_type *offer_find(struct offer *offer, const char *name)
{
    for (jm_job_type **t = offer->types; *t; t++)
        if (!strcmp((*t)->name, name))
            return *t;
    return NULL;
}

static void count_waits(jm_store *store, const jm_chain *jobs)
{
    jm_sampler waits;
    jm_sampler_init(&waits, store->options.meters ? store->options.meters->wait : NULL);
    int64_t now_us = jm_db_clock_us(store->options.clock);
    for (const jm_node *node = jobs->head; node; node = node->next) {
        const jm_job *job = (const jm_job *)node;
        int64_t wait_us = jm_meters_wait_us(job, now_us);
        if (wait_us >= 0)
            jm_sampler_add(&waits, job->queue, wait_us);
    }
    jm_sampler_flush(&waits);
}

/* Turns started rows into running jobs. Takes the slots. */
static int begin_rows(jm_store *store, struct offer *offer, const PGresult *res, int64_t seq)
{
    int n = PQntuples(res), retried = 0;
    if (!n || PQgetisnull(res, 0, 0))
        return 0;
    jm_arena *arena = jm_arena_new(0);
    jm_claim *claim = jm_claim_new(seq, 1, arena);
    jm_chain chain = {0};
    jm_job **again = jm_calloc((size_t)n, sizeof *again);
    for (int row = 0; row < n; row++) {
        jm_job *job = jm_arena_alloc(arena, sizeof *job);
        jm_store_read_job(res, row, arena, job);
        jm_job_type *type = offer_find(offer, job->type);
        jm_slots_take(store->options.slots, type, 1);
        jm_store_begin(job, claim, jm_job_type_ref(type), &chain);
        if (job->attempt > 1)
            again[retried++] = job;
    }
    for (jm_err err = {0};
         retried && jm_store_read_done_steps(store, again, retried, arena, &err);) {
        if (!jm_store_wait_db(store) || !jm_store_wait_ms(store, 50))
            break; /* stopping: the jobs are handed back at once anyway */
    }
    free(again);
    jm_store_give_documents(store, &chain, arena);
    count_waits(store, &chain);
    jm_job_events_started(store->options.events, store->options.clock, &chain);
    jm_runner_push(store->options.runner, &chain);
    atomic_fetch_add(&store->counts.started, n);
    return n;
}

/* Sends one statement; after a lost connection asks what it had started all the same. */
static int start_rows(jm_store *store, struct offer *offer, const char *queue, int n, int64_t seq,
                      PGresult **res, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &store->options.worker_id);
    jm_pg_arg_i64(&args, seq);
    jm_pg_call recall = {.sql = &jm_sql_accept_recall, .binary = true};
    jm_pg_args recall_args = args;
    for (int i = 0; i < 2; i++) /* the copy's values stand in its own scratch */
        recall_args.values[i] = (const char *)recall_args.scratch[i];
    recall.args = &recall_args;
    jm_pg_arg_text(&args, queue);
    jm_pg_arg_col(&args, &offer->names);
    jm_pg_arg_col(&args, &offer->free_slots);
    jm_pg_arg_col(&args, &offer->ordered);
    jm_pg_arg_col(&args, &offer->blocks);
    jm_pg_arg_i32(&args, n);
    jm_pg_arg_bool(&args, jm_boot_us() < atomic_load(store->options.locks_until_us));
    jm_pg_call call = {.sql = &jm_sql_start_ready, .args = &args, .binary = true};
    int64_t since_us = jm_mono_us();
    int rc = jm_pg_run(store->pg, &call, 1, err);
    *res = call.res;
    if (!rc && PQntuples(*res) && !PQgetisnull(*res, 0, 0))
        jm_meters_transaction(store->options.meters, JM_TX_START, PQntuples(*res), since_us);
    for (bool lost = rc == JM_ERR_DB_DOWN; lost;) { /* until we know: they would run nowhere */
        if (!jm_store_wait_db(store))
            return JM_ERR_CLOSED;
        rc = jm_pg_run(store->pg, &recall, 1, err);
        *res = recall.res;
        lost = rc != JM_OK;
        if (lost && !jm_store_wait_ms(store, 50))
            return JM_ERR_CLOSED;
    }
    return rc;
}

/* How many rows start_ready looked at, among them those that wait for locks; it knows when some of
 * these are worth another look. (accept_recall does not: what it tells are jobs that were started.)
 */
static int rows_looked_at(jm_store *store, const PGresult *res)
{
    enum { LOOKED_AT = 20, AGAIN_AT };
    if (PQnfields(res) <= LOOKED_AT || !PQntuples(res))
        return PQntuples(res);
    if (!PQgetisnull(res, 0, AGAIN_AT))
        jm_store_ready_at(store, jm_pg_get_ts(res, 0, AGAIN_AT));
    return (int)jm_pg_get_i64(res, 0, LOOKED_AT);
}

/* Whether all jobs that are ready could be of types that have a free slot yet. */
static bool has_slots_left(jm_store *store, const struct offer *offer, jm_slot_class slot_class)
{
    for (jm_job_type **t = offer->types; *t; t++)
        if ((*t)->slot_class == slot_class && !jm_slots_available(store->options.slots, *t, 1))
            return false;
    return true;
}

/* One queue and slot class; adds to *started. *full: as many rows were found as were asked for;
 * *starved: types without a free slot may have jobs waiting. */
static int start_queue(jm_store *store, const char *queue, jm_slot_class slot_class, bool *full,
                       bool *starved, int *started, jm_err *err)
{
    struct offer offer;
    offer_make(store, slot_class, &offer);
    int rc = JM_OK;
    if (offer.n && offer.room) {
        PGresult *res = NULL;
        int64_t seq = ++store->claim_seq;
        rc = start_rows(store, &offer, queue, offer.room, seq, &res, err);
        if (!rc) {
            *full = *full || rows_looked_at(store, res) >= offer.room;
            *started += begin_rows(store, &offer, res, seq);
        }
        PQclear(res);
    }
    /* What was started now may have taken the last slot of a type that has more waiting. */
    *starved = *starved || !offer.complete || !has_slots_left(store, &offer, slot_class);
    offer_free(&offer);
    return rc;
}

static int start_class(jm_store *store, jm_slot_class slot_class, bool *more, bool *starved,
                       jm_err *err)
{
    jm_shares *shares = store->shares[slot_class];
    int rc = JM_OK;
    jm_shares_begin(shares);
    for (int q; !rc && (q = jm_shares_next(shares)) >= 0;) {
        int started = 0;
        rc = start_queue(store, store->options.queues[q], slot_class, more, starved, &started, err);
        jm_shares_took(shares, q, started);
    }
    return rc;
}

int jm_start(jm_store *store, unsigned classes, unsigned *more, jm_err *err)
{
    int rc = JM_OK;
    *more = 0;
    for (int c = 0; c < JM_SLOT_CLASSES && !rc; c++) {
        unsigned bit = 1u << c;
        bool full = false, starved = false;
        if (!(classes & bit))
            continue;
        atomic_fetch_or(&store->starved, bit); /* what comes free while we look is news, too */
        rc = start_class(store, (jm_slot_class)c, &full, &starved, err);
        *more |= full ? bit : 0;
        if (!rc && !starved && !full)
            atomic_fetch_and(&store->starved, ~bit);
    }
    return rc;
}
