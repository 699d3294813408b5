/* Reports to bytes and back. A field is a tag, a length and its bytes; numbers are 8 bytes, little
 * end first. */
#include "worker/report_wire.h"

#include <endian.h>
#include <string.h>

#include "common/mem.h"
#include "worker/batch.h"
#include "worker/job_type.h"

/* Never given another meaning: spools outlive versions. */
enum tag {
    T_ID = 1,
    T_ATTEMPT,
    T_MAX_ATTEMPTS,
    T_CLAIM,
    T_TYPE,
    T_PROJECT,
    T_QUEUE,
    T_EXTERNAL_ID,
    T_TRACE,
    T_CALLBACK,
    T_SCHEDULE,
    T_DUE,
    T_END,
    T_ERROR,
    T_REASON,
    T_RETRY_IN,
    T_STARTED,
    T_ENDED,
    T_RESULT,
    T_SET,
    T_SEARCHABLE,
    T_PROGRESS,
    T_TOTAL,
    T_OK,
    T_FAILED,
    T_OUT,
    T_ERR,
    T_RETURN_CODE,
    T_FILES,
    T_FILES_SIZE,
    T_STEP,
    T_LOG,
    T_LOCK_TOKEN,
    T_SEQ = 64, /* of steps and logs */
    T_NAME,
    T_STATUS,
    T_DATA,
    T_ATTEMPTS,
    T_UPDATE,
    T_AT,
    T_LEVEL,
    T_MESSAGE,
    T_DETAILS
};

enum { HEAD_BYTES = 5 };

/* ---- to bytes ---- */

static void put(jm_buf *out, enum tag tag, const void *p, size_t len)
{
    char head[HEAD_BYTES] = {(char)tag};
    uint32_t n = htole32((uint32_t)len);
    memcpy(head + 1, &n, 4);
    jm_buf_add(out, head, sizeof head);
    jm_buf_add(out, p, len);
}

static void put_str(jm_buf *out, enum tag tag, const char *s)
{
    if (s)
        put(out, tag, s, strlen(s));
}

static void put_int(jm_buf *out, enum tag tag, int64_t v)
{
    uint64_t le = htole64((uint64_t)v);
    put(out, tag, &le, sizeof le);
}

/* A field that holds fields: begins it, and tells its length when it is whole. */
static size_t begin(jm_buf *out, enum tag tag)
{
    put(out, tag, NULL, 0);
    return out->len;
}

static void end(jm_buf *out, size_t from)
{
    uint32_t n = htole32((uint32_t)(out->len - from));
    memcpy(out->data + from - 4, &n, 4);
}

static int64_t db_time(const jm_report *report, const jm_db_clock *clock, int64_t us)
{
    return !us || report->from_spool ? us : jm_db_clock_at(clock, us);
}

static void put_time(jm_buf *out, enum tag tag, const jm_report *report, const jm_db_clock *clock,
                     int64_t us)
{
    if (us)
        put_int(out, tag, db_time(report, clock, us));
}

static void put_job(jm_buf *out, const jm_report *report)
{
    const jm_job *job = report->job;
    put(out, T_ID, job->id.b, sizeof job->id.b);
    put_int(out, T_ATTEMPT, job->attempt);
    put_int(out, T_MAX_ATTEMPTS, job->max_attempts);
    if (job->lock_token)
        put_int(out, T_LOCK_TOKEN, job->lock_token);
    put_int(out, T_CLAIM, job->claim ? job->claim->seq : report->claim_seq);
    put_str(out, T_TYPE, job->type);
    put_str(out, T_PROJECT, job->project);
    put_str(out, T_QUEUE, job->queue);
    put_str(out, T_EXTERNAL_ID, job->external_id);
    put_str(out, T_TRACE, job->trace_context);
    put_str(out, T_CALLBACK, job->callback_url);
    if (job->has_schedule)
        put(out, T_SCHEDULE, job->schedule_id.b, sizeof job->schedule_id.b);
    put_int(out, T_DUE, job->due_at_us);
}

static void put_searchable(jm_buf *out, const jm_report *report)
{
    const char *const *keys = report->searchable;
    if (report->job->job_type)
        keys = (const char *const *)report->job->job_type->searchable;
    for (; report->set_metadata && keys && *keys; keys++)
        put_str(out, T_SEARCHABLE, *keys);
}

static void put_step(jm_buf *out, const jm_report *report, const jm_step_row *step,
                     const jm_db_clock *clock)
{
    size_t from = begin(out, T_STEP);
    put_int(out, T_SEQ, step->seq);
    put_str(out, T_NAME, step->name);
    put_str(out, T_STATUS, step->status);
    put_str(out, T_DATA, step->data);
    put_str(out, T_ERROR, step->error);
    put_int(out, T_ATTEMPTS, step->attempts);
    put_time(out, T_STARTED, report, clock, step->started_us);
    put_time(out, T_ENDED, report, clock, step->ended_us);
    put_int(out, T_UPDATE, step->update);
    end(out, from);
}

static void put_log(jm_buf *out, const jm_report *report, const jm_log_row *log,
                    const jm_db_clock *clock)
{
    size_t from = begin(out, T_LOG);
    put_int(out, T_SEQ, log->seq);
    put_str(out, T_NAME, log->step);
    put_time(out, T_AT, report, clock, log->at_us);
    put_int(out, T_LEVEL, log->level);
    put_str(out, T_MESSAGE, log->message);
    put_str(out, T_DETAILS, log->details);
    end(out, from);
}

void jm_report_encode(const jm_report *report, const jm_db_clock *clock, bool logs, jm_buf *out)
{
    put_job(out, report);
    put_int(out, T_END, report->end);
    put_str(out, T_ERROR, report->error);
    put_str(out, T_REASON, report->reason);
    put_int(out, T_RETRY_IN, report->retry_in_us);
    put_time(out, T_STARTED, report, clock, report->started_us);
    put_time(out, T_ENDED, report, clock, report->ended_us);
    put_str(out, T_RESULT, report->result);
    put_str(out, T_SET, report->set_metadata);
    put_searchable(out, report);
    put_str(out, T_PROGRESS, report->progress);
    put_int(out, T_TOTAL, report->items_total);
    put_int(out, T_OK, report->items_ok);
    put_int(out, T_FAILED, report->items_failed);
    put_str(out, T_OUT, report->out_text);
    put_str(out, T_ERR, report->err_text);
    put_int(out, T_RETURN_CODE, report->return_code);
    put_str(out, T_FILES, report->output_files);
    put_int(out, T_FILES_SIZE, report->total_size);
    for (int i = 0; i < report->n_steps; i++)
        put_step(out, report, &report->steps[i], clock);
    for (int i = 0; i < report->n_logs && logs; i++)
        put_log(out, report, &report->logs[i], clock);
}

/* ---- and back ---- */

struct field {
    int tag;
    const char *p;
    size_t len;
};

/* The next field; false at the end or where the bytes are none, which *ok tells apart. */
static bool next(const char *bytes, size_t len, size_t *pos, struct field *field, bool *ok)
{
    uint32_t n;
    if (*pos == len)
        return false;
    *ok = *ok && len - *pos >= HEAD_BYTES;
    if (!*ok)
        return false;
    memcpy(&n, bytes + *pos + 1, 4);
    n = le32toh(n);
    *ok = len - *pos - HEAD_BYTES >= n;
    *field = (struct field){(unsigned char)bytes[*pos], bytes + *pos + HEAD_BYTES, n};
    *pos += *ok ? HEAD_BYTES + n : 0;
    return *ok;
}

static int64_t as_int(const struct field *field, bool *ok)
{
    uint64_t le = 0;
    *ok = *ok && field->len == sizeof le;
    if (*ok)
        memcpy(&le, field->p, sizeof le);
    return (int64_t)le64toh(le);
}

/* A number that is stored in an int. */
static int as_small(const struct field *field, bool *ok)
{
    int64_t v = as_int(field, ok);
    *ok = *ok && v >= INT32_MIN && v <= INT32_MAX;
    return *ok ? (int)v : 0;
}

static void as_uuid(const struct field *field, jm_uuid *id, bool *ok)
{
    *ok = *ok && field->len == sizeof id->b;
    if (*ok)
        memcpy(id->b, field->p, sizeof id->b);
}

static const char *as_str(const struct field *field, jm_arena *arena, bool *ok)
{
    *ok = *ok && !memchr(field->p, 0, field->len);
    return *ok ? jm_arena_strndup(arena, field->p, field->len) : NULL;
}

/* The statuses that steps have; they are compared nowhere else but by PostgreSQL. */
static const char *as_status(const struct field *field, bool *ok)
{
    static const char *const all[] = {"pending", "running", "success",
                                      "failed",  "skipped", "cancelled"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strlen(all[i]) == field->len && !memcmp(all[i], field->p, field->len))
            return all[i];
    *ok = false;
    return NULL;
}

static void get_step(const struct field *in, jm_arena *arena, jm_step_row *step, bool *ok)
{
    struct field f;
    for (size_t pos = 0; next(in->p, in->len, &pos, &f, ok);) {
        switch (f.tag) {
        case T_SEQ:
            step->seq = as_small(&f, ok);
            break;
        case T_NAME:
            step->name = as_str(&f, arena, ok);
            break;
        case T_STATUS:
            step->status = as_status(&f, ok);
            break;
        case T_DATA:
            step->data = as_str(&f, arena, ok);
            break;
        case T_ERROR:
            step->error = as_str(&f, arena, ok);
            break;
        case T_ATTEMPTS:
            step->attempts = as_small(&f, ok);
            break;
        case T_STARTED:
            step->started_us = as_int(&f, ok);
            break;
        case T_ENDED:
            step->ended_us = as_int(&f, ok);
            break;
        case T_UPDATE:
            step->update = as_int(&f, ok) != 0;
            break;
        default:
            break;
        }
    }
    *ok = *ok && step->name && step->status;
}

static void get_log(const struct field *in, jm_arena *arena, jm_log_row *log, bool *ok)
{
    struct field f;
    int64_t level = JM_INFO;
    for (size_t pos = 0; next(in->p, in->len, &pos, &f, ok);) {
        switch (f.tag) {
        case T_SEQ:
            log->seq = as_small(&f, ok);
            break;
        case T_NAME:
            log->step = as_str(&f, arena, ok);
            break;
        case T_AT:
            log->at_us = as_int(&f, ok);
            break;
        case T_LEVEL:
            level = as_int(&f, ok);
            break;
        case T_MESSAGE:
            log->message = as_str(&f, arena, ok);
            break;
        case T_DETAILS:
            log->details = as_str(&f, arena, ok);
            break;
        default:
            break;
        }
    }
    *ok = *ok && log->message && level >= JM_DEBUG && level <= JM_ERROR;
    log->level = (jm_log_level)(*ok ? level : JM_INFO);
}

static bool get_job(const struct field *f, jm_report *report, bool *ok)
{
    jm_job *job = report->job;
    jm_arena *arena = report->arena;
    switch (f->tag) {
    case T_ID:
        as_uuid(f, &job->id, ok);
        job->has_id = true;
        return true;
    case T_ATTEMPT:
        job->attempt = as_small(f, ok);
        return true;
    case T_MAX_ATTEMPTS:
        job->max_attempts = as_small(f, ok);
        return true;
    case T_CLAIM:
        report->claim_seq = as_int(f, ok);
        return true;
    case T_LOCK_TOKEN:
        job->lock_token = as_int(f, ok);
        return true;
    case T_TYPE:
        job->type = as_str(f, arena, ok);
        return true;
    case T_PROJECT:
        job->project = as_str(f, arena, ok);
        return true;
    case T_QUEUE:
        job->queue = as_str(f, arena, ok);
        return true;
    case T_EXTERNAL_ID:
        job->external_id = as_str(f, arena, ok);
        return true;
    case T_TRACE:
        job->trace_context = as_str(f, arena, ok);
        return true;
    case T_CALLBACK:
        job->callback_url = as_str(f, arena, ok);
        return true;
    case T_SCHEDULE:
        as_uuid(f, &job->schedule_id, ok);
        job->has_schedule = true;
        return true;
    case T_DUE:
        job->due_at_us = as_int(f, ok);
        return true;
    default:
        return false;
    }
}

static jm_end as_end(const struct field *field, bool *ok)
{
    int64_t v = as_int(field, ok);
    *ok = *ok && v >= JM_END_NONE && v <= JM_END_RETURNED;
    return *ok ? (jm_end)v : JM_END_NONE;
}

static void get_own(const struct field *f, jm_report *report, bool *ok)
{
    jm_arena *arena = report->arena;
    switch (f->tag) {
    case T_END:
        report->end = as_end(f, ok);
        break;
    case T_ERROR:
        report->error = as_str(f, arena, ok);
        break;
    case T_REASON:
        report->reason = as_str(f, arena, ok);
        break;
    case T_RETRY_IN:
        report->retry_in_us = as_int(f, ok);
        break;
    case T_STARTED:
        report->started_us = as_int(f, ok);
        break;
    case T_ENDED:
        report->ended_us = as_int(f, ok);
        break;
    case T_RESULT:
        report->result = as_str(f, arena, ok);
        break;
    case T_SET:
        report->set_metadata = as_str(f, arena, ok);
        break;
    case T_PROGRESS:
        report->progress = as_str(f, arena, ok);
        break;
    case T_TOTAL:
        report->items_total = as_int(f, ok);
        break;
    case T_OK:
        report->items_ok = as_int(f, ok);
        break;
    case T_FAILED:
        report->items_failed = as_int(f, ok);
        break;
    case T_OUT:
        report->out_text = as_str(f, arena, ok);
        break;
    case T_ERR:
        report->err_text = as_str(f, arena, ok);
        break;
    case T_RETURN_CODE:
        report->return_code = as_small(f, ok);
        break;
    case T_FILES:
        report->output_files = as_str(f, arena, ok);
        break;
    case T_FILES_SIZE:
        report->total_size = as_int(f, ok);
        break;
    case T_STEP:
        get_step(f, arena, &report->steps[report->n_steps++], ok);
        break;
    case T_LOG:
        get_log(f, arena, &report->logs[report->n_logs++], ok);
        break;
    default:
        break; /* of a newer version */
    }
}

/* How many fields of a tag there are. */
static int count(const char *bytes, size_t len, int tag)
{
    struct field f;
    bool ok = true;
    int n = 0;
    for (size_t pos = 0; next(bytes, len, &pos, &f, &ok);)
        n += f.tag == tag;
    return n;
}

static void get_searchable(const char *bytes, size_t len, jm_report *report, bool *ok)
{
    struct field f;
    int n = count(bytes, len, T_SEARCHABLE), i = 0;
    if (!n)
        return;
    const char **keys = jm_arena_calloc(report->arena, ((size_t)n + 1) * sizeof *keys);
    for (size_t pos = 0; next(bytes, len, &pos, &f, ok);)
        if (f.tag == T_SEARCHABLE)
            keys[i++] = as_str(&f, report->arena, ok);
    report->searchable = keys;
}

jm_report *jm_report_decode(const void *bytes, size_t len)
{
    bool ok = true;
    struct field f;
    jm_arena *arena = jm_arena_new(len + 1024);
    jm_report *report = jm_report_new(jm_arena_calloc(arena, sizeof(jm_job)));
    report->arena = arena;
    report->from_spool = true;
    report->steps =
        jm_arena_calloc(arena, sizeof(jm_step_row) * (size_t)(count(bytes, len, T_STEP) + 1));
    report->logs =
        jm_arena_calloc(arena, sizeof(jm_log_row) * (size_t)(count(bytes, len, T_LOG) + 1));
    for (size_t pos = 0; next(bytes, len, &pos, &f, &ok);)
        if (!get_job(&f, report, &ok))
            get_own(&f, report, &ok);
    get_searchable(bytes, len, report, &ok);
    if (ok && report->job->has_id && report->job->attempt > 0)
        return report;
    jm_report_free(report);
    return NULL;
}
