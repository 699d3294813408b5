/* The backlog: from memory to the spool, and back in the same order. */
#include "worker/backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/mem.h"
#include "worker/job_type.h"
#include "worker/report_wire.h"

enum {
    SYNC_BYTES = 1 << 20,  /* written and synced at a time */
    AGAIN_MS = 5000,       /* after the disk took nothing */
    REPORT_OVERHEAD = 512, /* of a report and its job in memory, beside the arena */
    DEFERRED_MAX = 4096    /* reports that may be stepped over because their job is in the group */
};

/* A report as bytes, in memory because the file has no room. */
typedef struct kept {
    jm_node node;
    jm_report *out; /* decoded, while it is being recorded */
    size_t len;
    char bytes[];
} kept;

/* A claim of which some jobs are no longer in memory. */
typedef struct away {
    int64_t seq;
    jm_claim *claim;
    int n; /* its jobs that wait as bytes */
    UT_hash_handle hh;
} away;

/* Ids of one group, so that no job is in it twice. Open addressing, always half empty. */
typedef struct id_set {
    jm_uuid *ids;
    bool *used;
    size_t slots;
} id_set;

typedef enum source { FROM_MEMORY, FROM_FILE, FROM_KEPT } source;

struct jm_backlog {
    jm_backlog_options options;
    jm_spool *spool; /* NULL: none, or not yet */
    int64_t try_ms;  /* monotonic: no write to the disk is tried before */
    bool full;       /* has been said */
    int64_t spooled; /* reports in the file */
    jm_chain live;   /* of jm_report: behind what is kept, which is behind what is in the file */
    int64_t live_bytes, kept_bytes;
    jm_chain kept;
    away *claims;
    id_set set;
    source source; /* of the reports that are out */
};

jm_backlog *jm_backlog_new(const jm_backlog_options *options)
{
    jm_backlog *backlog = jm_calloc(1, sizeof *backlog);
    backlog->options = *options;
    return backlog;
}

static int64_t bytes_of(const jm_report *report)
{
    return REPORT_OVERHEAD + (report->arena ? (int64_t)jm_arena_bytes(report->arena) : 0);
}

static void tell(jm_backlog *backlog)
{
    jm_spool_counts *c = backlog->options.counts;
    atomic_store_explicit(&c->bytes, backlog->spool ? jm_spool_bytes(backlog->spool) : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&c->waiting,
                          backlog->spooled + (int64_t)(backlog->kept.n + backlog->live.n),
                          memory_order_relaxed);
}

void jm_backlog_open(jm_backlog *backlog)
{
    const jm_backlog_options *o = &backlog->options;
    jm_err err = {0};
    if (!o->dir || backlog->spool || jm_mono_ms() < backlog->try_ms)
        return;
    if (jm_spool_open(o->dir, &o->worker_id, o->spool_bytes, &backlog->spool, &err)) {
        if (!backlog->full)
            jm_log_kv(JM_ERROR, "spool",
                      "there is no spool: while the database is away results wait in memory alone",
                      "why", err.msg, NULL);
        backlog->full = true;
        backlog->try_ms = jm_mono_ms() + AGAIN_MS;
    }
}

void jm_backlog_add(jm_backlog *backlog, jm_chain *reports)
{
    for (jm_node *node; (node = jm_chain_take(reports));) {
        backlog->live_bytes += bytes_of((jm_report *)node);
        jm_chain_add(&backlog->live, node);
    }
    tell(backlog);
}

bool jm_backlog_is_spooled(const jm_backlog *backlog)
{
    return backlog->kept.n || (backlog->spool && jm_spool_bytes(backlog->spool));
}

bool jm_backlog_is_empty(const jm_backlog *backlog)
{
    return !backlog->live.n && !jm_backlog_is_spooled(backlog);
}

size_t jm_backlog_in_memory(const jm_backlog *backlog)
{
    return backlog->live.n + backlog->kept.n;
}

/* ---- claims ---- */

/* Once no job of a claim is in memory, its arena is of no more use; the claim itself is needed
 * until all of them are recorded. */
static void free_unused(jm_claim *claim, int n_away)
{
    if (claim->left == n_away) {
        jm_arena_free(claim->arena);
        claim->arena = NULL;
    }
}

static away *find_away(jm_backlog *backlog, int64_t seq)
{
    away *found;
    HASH_FIND(hh, backlog->claims, &seq, sizeof seq, found);
    return found;
}

/* The last report of a job has become bytes. */
static void send_away(jm_backlog *backlog, jm_claim *claim)
{
    away *entry = find_away(backlog, claim->seq);
    if (!entry) {
        entry = jm_calloc(1, sizeof *entry);
        entry->seq = claim->seq;
        entry->claim = claim;
        HASH_ADD(hh, backlog->claims, seq, sizeof entry->seq, entry);
    }
    entry->n++;
    free_unused(claim, entry->n);
}

/* A job of the claim has been recorded. */
static void settle_claim(jm_backlog *backlog, jm_claim *claim, bool was_away)
{
    away *entry = backlog->claims ? find_away(backlog, claim->seq) : NULL;
    if (entry && was_away)
        entry->n--;
    if (--claim->left > 0) {
        if (entry)
            free_unused(claim, entry->n);
        return;
    }
    if (entry) {
        HASH_DEL(backlog->claims, entry);
        free(entry);
    }
    jm_claim_free(claim);
}

/* Frees a report that has been recorded, or has become bytes. */
static void release(jm_backlog *backlog, jm_report *report, bool recorded)
{
    bool last = report->end != JM_END_NONE, was_away = report->from_spool;
    jm_claim *claim = report->job->claim;
    jm_job_type *type = report->job->job_type;
    jm_report_free(report);
    if (!last)
        return;
    jm_job_type_unref(type);
    if (claim && recorded)
        settle_claim(backlog, claim, was_away);
    else if (claim && !was_away)
        send_away(backlog, claim);
}

/* ---- through an outage ---- */

static void say_full(jm_backlog *backlog, const char *why)
{
    backlog->try_ms = jm_mono_ms() + AGAIN_MS;
    if (!backlog->full)
        jm_log_kv(JM_ERROR, "spool",
                  "the spool takes no more: results wait in memory, log rows may be dropped",
                  "file", jm_spool_path(backlog->spool), "why", why, NULL);
    backlog->full = true;
}

/* Syncs what was added to the file. *n reports of it are at the front of the live ones; on success
 * they are released, otherwise they stay. *n is 0 afterwards. */
static bool sync_some(jm_backlog *backlog, int *n)
{
    jm_err err = {0};
    if (jm_spool_sync(backlog->spool, &err)) {
        atomic_fetch_add(&backlog->options.counts->errors, 1);
        say_full(backlog, err.msg);
        *n = 0;
        return false;
    }
    backlog->spooled += *n;
    atomic_fetch_add(&backlog->options.counts->spooled, *n);
    for (; *n; --*n) {
        jm_report *report = (jm_report *)jm_chain_take(&backlog->live);
        backlog->live_bytes -= bytes_of(report);
        release(backlog, report, false);
    }
    return true;
}

/* Reports that were kept in memory for want of room, first: the order must hold. */
static bool spool_kept(jm_backlog *backlog)
{
    jm_err err = {0};
    while (backlog->kept.n) {
        kept *k = (kept *)backlog->kept.head;
        if (!jm_spool_add(backlog->spool, k->bytes, k->len))
            return false;
        if (jm_spool_sync(backlog->spool, &err)) {
            say_full(backlog, err.msg);
            return false;
        }
        jm_chain_take(&backlog->kept);
        backlog->kept_bytes -= (int64_t)k->len;
        backlog->spooled++;
        free(k);
    }
    return true;
}

/* Writes what waits in memory to the file, as far as it has room. */
static bool spool_live(jm_backlog *backlog)
{
    jm_buf bytes = {0};
    int n = 0;
    bool room = true;
    size_t added = 0;
    jm_node *node = backlog->live.head;
    while (node && room) {
        jm_buf_clear(&bytes);
        jm_report_encode((jm_report *)node, backlog->options.clock, true, &bytes);
        room = jm_spool_add(backlog->spool, bytes.data, bytes.len);
        if (room) {
            n++;
            added += bytes.len;
            node = node->next;
        }
        if (added >= SYNC_BYTES) {
            if (!sync_some(backlog, &n))
                break;
            added = 0;
        }
    }
    bool all = (!n || sync_some(backlog, &n)) && !backlog->live.n;
    if (!room)
        say_full(backlog, "it has reached [worker] spool_max_bytes");
    jm_buf_fini(&bytes);
    return all;
}

static bool has_more_than_logs(const jm_report *report)
{
    return report->end != JM_END_NONE || report->n_steps || report->set_metadata ||
           report->progress;
}

/* Reports in memory become bytes without log rows. */
static void drop_logs(jm_backlog *backlog)
{
    jm_buf bytes = {0};
    int64_t dropped = 0;
    for (jm_node *node; (node = jm_chain_take(&backlog->live));) {
        jm_report *report = (jm_report *)node;
        dropped += report->n_logs;
        if (has_more_than_logs(report)) {
            jm_buf_clear(&bytes);
            jm_report_encode(report, backlog->options.clock, false, &bytes);
            kept *k = jm_malloc(sizeof *k + bytes.len);
            *k = (kept){.len = bytes.len};
            memcpy(k->bytes, bytes.data, bytes.len);
            jm_chain_add(&backlog->kept, &k->node);
            backlog->kept_bytes += (int64_t)bytes.len;
        }
        release(backlog, report, false);
    }
    backlog->live_bytes = 0;
    jm_buf_fini(&bytes);
    int64_t before = atomic_fetch_add(&backlog->options.counts->dropped_logs, dropped);
    if (!before && dropped)
        jm_logf(JM_WARNING, "spool",
                "log rows are dropped: more reports wait than fit into the spool and memory");
}

void jm_backlog_keep(jm_backlog *backlog, bool now)
{
    bool much = backlog->live_bytes + backlog->kept_bytes > backlog->options.memory_bytes;
    if (!jm_backlog_in_memory(backlog) || (!now && !much))
        return;
    jm_backlog_open(backlog);
    if (backlog->spool && jm_mono_ms() >= backlog->try_ms && spool_kept(backlog) &&
        spool_live(backlog) && backlog->full) {
        jm_logf(JM_INFO, "spool", "the spool takes reports again");
        backlog->full = false;
    }
    if (backlog->live_bytes + backlog->kept_bytes > backlog->options.memory_bytes)
        drop_logs(backlog);
    tell(backlog);
}

/* ---- on to the database ---- */

static void set_reset(id_set *set, int max)
{
    size_t slots = 16;
    while (slots < 2 * (size_t)max)
        slots *= 2;
    if (slots > set->slots) {
        free(set->ids);
        free(set->used);
        set->ids = jm_malloc(slots * sizeof *set->ids);
        set->used = jm_malloc(slots * sizeof *set->used);
        set->slots = slots;
    }
    memset(set->used, 0, set->slots * sizeof *set->used);
}

/* The slot of an id, or the free one where it belongs. The end of a UUIDv7 is random. */
static size_t set_find(const id_set *set, const jm_uuid *id)
{
    uint64_t hash;
    memcpy(&hash, id->b + 8, sizeof hash);
    size_t i = (hash ^ hash >> 32) & (set->slots - 1);
    while (set->used[i] && jm_uuid_cmp(&set->ids[i], id) != 0)
        i = (i + 1) & (set->slots - 1);
    return i;
}

static bool set_has(const id_set *set, const jm_uuid *id)
{
    return set->used[set_find(set, id)];
}

static void set_add(id_set *set, const jm_uuid *id)
{
    size_t i = set_find(set, id);
    set->ids[i] = *id;
    set->used[i] = true;
}

/* Two reports of one job must not stand in one statement: the later ones stay behind, in their
 * order. */
static int next_live(jm_backlog *backlog, jm_report **reports, int max)
{
    jm_chain later = {0};
    int n = 0;
    while (n < max && backlog->live.head && later.n < DEFERRED_MAX) {
        jm_report *report = (jm_report *)jm_chain_take(&backlog->live);
        if (set_has(&backlog->set, &report->job->id)) {
            jm_chain_add(&later, &report->node);
            continue;
        }
        set_add(&backlog->set, &report->job->id);
        backlog->live_bytes -= bytes_of(report);
        reports[n++] = report;
    }
    if (later.n) {
        jm_chain_append(&later, &backlog->live);
        backlog->live = later;
    }
    return n;
}

static int read_some(jm_spool *spool, id_set *set, jm_report **reports, int max)
{
    const void *payload;
    size_t len;
    int n = 0;
    while (n < max && jm_spool_read(spool, &payload, &len)) {
        jm_report *report = jm_report_decode(payload, len);
        if (!report) {
            jm_logf(JM_ERROR, "spool", "%s: a report cannot be understood and is left out",
                    jm_spool_path(spool));
            continue;
        }
        if (set_has(set, &report->job->id)) { /* with the next ones */
            jm_spool_back(spool);
            jm_report_free(report);
            break;
        }
        set_add(set, &report->job->id);
        reports[n++] = report;
    }
    return n;
}

static int next_kept(jm_backlog *backlog, jm_report **reports, int max)
{
    int n = 0;
    for (jm_node *node = backlog->kept.head; node && n < max; node = node->next) {
        kept *k = (kept *)node;
        jm_report *report = jm_report_decode(k->bytes, k->len);
        assert(report); /* they are bytes that we have made */
        if (set_has(&backlog->set, &report->job->id)) {
            jm_report_free(report);
            break;
        }
        set_add(&backlog->set, &report->job->id);
        k->out = reports[n++] = report;
    }
    return n;
}

static void find_claims(jm_backlog *backlog, jm_report **reports, int n)
{
    for (int i = 0; i < n; i++) {
        away *entry = find_away(backlog, reports[i]->claim_seq);
        reports[i]->job->claim = entry && reports[i]->end != JM_END_NONE ? entry->claim : NULL;
    }
}

int jm_backlog_next(jm_backlog *backlog, jm_report **reports, int max)
{
    int n = 0;
    set_reset(&backlog->set, max);
    if (backlog->spool && jm_spool_bytes(backlog->spool)) {
        backlog->source = FROM_FILE;
        n = read_some(backlog->spool, &backlog->set, reports, max);
        find_claims(backlog, reports, n);
        if (!n) { /* nothing in it could be read */
            jm_spool_take(backlog->spool);
            backlog->spooled = 0;
        }
    } else if (backlog->kept.n) {
        backlog->source = FROM_KEPT;
        n = next_kept(backlog, reports, max);
        find_claims(backlog, reports, n);
    } else {
        backlog->source = FROM_MEMORY;
        n = next_live(backlog, reports, max);
    }
    return n;
}

static void settle_live(jm_backlog *backlog, jm_report **reports, const bool *done, int n)
{
    jm_chain again = {0};
    for (int i = 0; i < n; i++) {
        if (done[i]) {
            release(backlog, reports[i], true);
            continue;
        }
        backlog->live_bytes += bytes_of(reports[i]);
        jm_chain_add(&again, &reports[i]->node);
    }
    if (!again.n)
        return;
    jm_chain_append(&again, &backlog->live);
    backlog->live = again;
}

/* Reports of the file are done with together: those that were recorded already change nothing when
 * they are read again. */
static void settle_file(jm_backlog *backlog, jm_report **reports, const bool *done, int n)
{
    bool all = true;
    for (int i = 0; i < n; i++)
        all = all && done[i];
    for (int i = 0; i < n; i++) {
        if (all)
            release(backlog, reports[i], true);
        else
            jm_report_free(reports[i]);
    }
    if (!all) {
        jm_spool_unread(backlog->spool);
        return;
    }
    jm_spool_take(backlog->spool);
    backlog->spooled = jm_spool_bytes(backlog->spool) ? backlog->spooled - n : 0;
    atomic_fetch_add(&backlog->options.counts->replayed, n);
}

static void settle_kept(jm_backlog *backlog, jm_report **reports, const bool *done, int n)
{
    jm_chain again = {0};
    for (int i = 0; i < n; i++) {
        kept *k = (kept *)jm_chain_take(&backlog->kept);
        int at = 0; /* the caller may have sorted them */
        while (reports[at] != k->out)
            at++;
        if (!done[at]) {
            jm_report_free(k->out);
            k->out = NULL;
            jm_chain_add(&again, &k->node);
            continue;
        }
        release(backlog, k->out, true);
        backlog->kept_bytes -= (int64_t)k->len;
        free(k);
    }
    jm_chain_append(&again, &backlog->kept);
    backlog->kept = again;
}

void jm_backlog_settle(jm_backlog *backlog, jm_report **reports, const bool *done, int n)
{
    if (backlog->source == FROM_MEMORY)
        settle_live(backlog, reports, done, n);
    else if (backlog->source == FROM_FILE)
        settle_file(backlog, reports, done, n);
    else
        settle_kept(backlog, reports, done, n);
    if (jm_backlog_is_empty(backlog) && backlog->full && backlog->spool)
        backlog->full = false;
    tell(backlog);
}

int jm_backlog_read(jm_spool *spool, jm_report **reports, int max)
{
    id_set set = {0};
    set_reset(&set, max);
    int n = read_some(spool, &set, reports, max);
    free(set.ids);
    free(set.used);
    return n;
}

void jm_backlog_free(jm_backlog *backlog)
{
    if (!backlog)
        return;
    for (jm_node *node; (node = jm_chain_take(&backlog->live));)
        release(backlog, (jm_report *)node, true);
    for (jm_node *node; (node = jm_chain_take(&backlog->kept));)
        free(node);
    away *entry, *next;
    HASH_ITER(hh, backlog->claims, entry, next)
    {
        HASH_DEL(backlog->claims, entry);
        jm_claim_free(entry->claim);
        free(entry);
    }
    jm_spool_close(backlog->spool);
    free(backlog->set.ids);
    free(backlog->set.used);
    free(backlog);
}
