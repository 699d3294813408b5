/* Gathers what an attempt has to say. */
#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "worker/raw_json.h"
#include "worker/text.h"

enum { LARGE_ROWS = 500, LARGE_BYTES = 256 * 1024, ARENA_BLOCK = 2048 };

void jm_journal_init(jm_journal *journal, jm_job *job, const jm_job_type *type)
{
    *journal = (jm_journal){
        .job = job, .type = type, .items_total = -1, .items_ok = -1, .items_failed = -1};
}

void jm_journal_fini(jm_journal *journal)
{
    jm_report_free(journal->open);
    jm_buf_fini(&journal->set);
    jm_buf_fini(&journal->all_set);
}

jm_report *jm_journal_report(jm_journal *journal)
{
    if (!journal->open) {
        journal->open = jm_report_new(journal->job);
        journal->open->arena = jm_arena_new(ARENA_BLOCK);
        journal->cap_steps = journal->cap_logs = 0;
    }
    return journal->open;
}

jm_report *jm_journal_take(jm_journal *journal)
{
    jm_report *report = journal->open;
    if (!report)
        return NULL;
    if (journal->set.len) {
        /* The members end in a comma, in whose place the bracket goes. */
        char *object = jm_arena_alloc(report->arena, journal->set.len + 2);
        object[0] = '{';
        memcpy(object + 1, journal->set.data, journal->set.len);
        object[journal->set.len] = '}';
        object[journal->set.len + 1] = 0;
        report->set_metadata = object;
        jm_buf_clear(&journal->set);
    }
    journal->open = NULL;
    journal->open_no++;
    return report;
}

bool jm_journal_is_large(const jm_journal *journal)
{
    const jm_report *open = journal->open;
    return open && (open->n_logs + open->n_steps >= LARGE_ROWS ||
                    jm_arena_bytes(open->arena) >= LARGE_BYTES);
}

/* Room for one more item in an array of the arena; the old array stays behind there. */
static void *grow(jm_arena *arena, void *items, int n, int *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 4;
    void *more = jm_arena_alloc(arena, (size_t)*cap * size);
    if (n)
        memcpy(more, items, (size_t)n * size);
    return more;
}

static jm_log_row *add_log(jm_journal *journal, jm_log_level level, const char *step, int64_t at_us)
{
    jm_report *report = jm_journal_report(journal);
    report->logs =
        grow(report->arena, report->logs, report->n_logs, &journal->cap_logs, sizeof(jm_log_row));
    jm_log_row *row = &report->logs[report->n_logs++];
    *row = (jm_log_row){.seq = ++journal->log_seq, .step = step, .at_us = at_us, .level = level};
    return row;
}

static bool is_logged(const jm_journal *journal, jm_log_level level)
{
    return !journal->type->log_off && level >= journal->type->log_level;
}

void jm_journal_note(jm_journal *journal, jm_log_level level, bool always, const char *step,
                     int64_t at_us, const char *message)
{
    if (journal->type->log_off || (!always && !is_logged(journal, level)))
        return;
    jm_log_row *row = add_log(journal, level, step, at_us);
    row->message = jm_arena_strdup(journal->open->arena, message);
}

static const char *clean_text(jm_journal *journal, const char *text, size_t len, size_t max)
{
    jm_buf clean = {0};
    size_t cut = jm_text_cut(text, len, max);
    jm_text_clean(&clean, text, cut);
    if (cut < len)
        jm_buf_addf(&clean, "… (%zu bytes more)", len - cut);
    const char *copy = jm_arena_strndup(journal->open->arena, jm_buf_str(&clean), clean.len);
    jm_buf_fini(&clean);
    return copy;
}

void jm_journal_handler_log(jm_journal *journal, jm_log_level level, const char *step,
                            int64_t at_us, const char *message, size_t len, const char *details,
                            size_t details_len)
{
    if (!is_logged(journal, level) || journal->muted)
        return;
    journal->log_bytes +=
        (len < JM_JOURNAL_MAX_MESSAGE ? len : JM_JOURNAL_MAX_MESSAGE) + details_len;
    if (++journal->handler_logs > JM_JOURNAL_MAX_LOGS ||
        journal->log_bytes > JM_JOURNAL_MAX_LOG_BYTES) {
        char text[128];
        journal->muted = true;
        snprintf(text, sizeof text,
                 "more than %d log lines or %d MiB of them in this attempt: the rest is left out",
                 JM_JOURNAL_MAX_LOGS, JM_JOURNAL_MAX_LOG_BYTES >> 20);
        jm_journal_note(journal, JM_WARNING, true, step, at_us, text);
        return;
    }
    jm_log_row *row = add_log(journal, level, step, at_us);
    row->message = clean_text(journal, message, len, JM_JOURNAL_MAX_MESSAGE);
    if (details)
        row->details = jm_arena_strndup(journal->open->arena, details, details_len);
}

void jm_journal_step_begin(jm_journal *journal, jm_journal_step *step, const char *name,
                           int64_t now_us)
{
    *step = (jm_journal_step){
        .seq = ++journal->step_seq, .open_no = -1, .name = name, .started_us = now_us};
}

static jm_step_row *row_of(jm_journal *journal, jm_journal_step *step)
{
    jm_report *report = jm_journal_report(journal);
    if (step->open_no == journal->open_no)
        for (int i = 0; i < report->n_steps; i++)
            if (report->steps[i].seq == step->seq)
                return &report->steps[i];
    report->steps = grow(report->arena, report->steps, report->n_steps, &journal->cap_steps,
                         sizeof(jm_step_row));
    jm_step_row *row = &report->steps[report->n_steps++];
    *row = (jm_step_row){.seq = step->seq, .update = step->open_no >= 0};
    step->open_no = journal->open_no;
    return row;
}

/* Whether there is room for a step's data; the first time that there is none is logged. */
static bool takes_data(jm_journal *journal, const jm_journal_step *step, size_t len)
{
    journal->step_bytes += len;
    if (journal->step_bytes <= JM_JOURNAL_MAX_STEP_BYTES)
        return true;
    if (!journal->stripped) {
        char text[128];
        journal->stripped = true;
        snprintf(text, sizeof text, "steps gave more than %d MiB of data: the rest is not recorded",
                 JM_JOURNAL_MAX_STEP_BYTES >> 20);
        jm_journal_note(journal, JM_WARNING, true, NULL, step->started_us, text);
    }
    return false;
}

void jm_journal_step_row(jm_journal *journal, jm_journal_step *step, const char *status,
                         int attempts, int64_t ended_us, const char *data, size_t data_len,
                         const char *error)
{
    jm_step_row *row = row_of(journal, step);
    jm_arena *arena = journal->open->arena;
    row->name = jm_arena_strdup(arena, step->name);
    row->status = status;
    row->attempts = attempts;
    row->started_us = step->started_us;
    row->ended_us = ended_us;
    row->data = data && takes_data(journal, step, data_len)
                    ? jm_arena_strndup(arena, data, data_len)
                    : NULL;
    row->error = error ? clean_text(journal, error, strlen(error), JM_JOURNAL_MAX_MESSAGE) : NULL;
}

/* Takes a member that is there already out of the list, so that the object has each key once. */
static void drop_member(jm_buf *set, const char *key, size_t key_len)
{
    jm_buf whole = {0};
    jm_raw k, v;
    jm_buf_addf(&whole, "{%.*s}", (int)(set->len - 1), set->data);
    for (size_t pos = 0; jm_raw_next(whole.data, whole.len, &pos, &k, &v);) {
        if (k.len != key_len || memcmp(k.p, key, key_len) != 0)
            continue;
        size_t from = (size_t)(k.p - whole.data) - 1,
               to = (size_t)(v.p - whole.data) - 1 + v.len + 1;
        memmove(set->data + from, set->data + to, set->len - to);
        set->len -= to - from;
        set->data[set->len] = 0;
        break;
    }
    jm_buf_fini(&whole);
}

static bool add_member(jm_buf *set, const char *key, size_t key_len, const char *value, size_t len)
{
    if (set->len)
        drop_member(set, key, key_len);
    if (set->len + key_len + len > JM_JOURNAL_MAX_SET)
        return false;
    jm_buf_add(set, key, key_len);
    jm_buf_addc(set, ':');
    jm_buf_add(set, value, len);
    jm_buf_addc(set, ',');
    return true;
}

bool jm_journal_set(jm_journal *journal, const char *key, size_t key_len, const char *value,
                    size_t len)
{
    jm_journal_report(journal);
    if (!add_member(&journal->set, key, key_len, value, len))
        return false;
    if (journal->type->has_when)
        add_member(&journal->all_set, key, key_len, value, len);
    return true;
}

static void add_count(jm_buf *json, const char *name, int64_t count)
{
    if (count >= 0)
        jm_buf_addf(json, "%s\"%s\":%" PRId64, json->len > 1 ? "," : "", name, count);
}

void jm_journal_progress(jm_journal *journal, int64_t total, int64_t ok, int64_t failed)
{
    jm_report *report = jm_journal_report(journal);
    jm_buf json = {0};
    report->items_total = journal->items_total = total >= 0 ? total : journal->items_total;
    report->items_ok = journal->items_ok = ok >= 0 ? ok : journal->items_ok;
    report->items_failed = journal->items_failed = failed >= 0 ? failed : journal->items_failed;
    jm_buf_addc(&json, '{');
    add_count(&json, "total", report->items_total);
    add_count(&json, "ok", report->items_ok);
    add_count(&json, "failed", report->items_failed);
    jm_buf_addc(&json, '}');
    report->progress = jm_arena_strndup(report->arena, json.data, json.len);
    jm_buf_fini(&json);
}
