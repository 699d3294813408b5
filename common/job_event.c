/* The text of an event about a job. It is written once for every job that ends, so it is written by
 * hand. */
#include "common/job_event.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"

#define LITERAL(buf, text) jm_buf_add(buf, text, sizeof(text) - 1)

/* For names and ids, which need no escape as a rule; anything else takes the slow way. */
static void add_string(jm_buf *out, const char *s)
{
    jm_buf_add_json(out, s, strlen(s));
}

static void add_number(jm_buf *out, int64_t n)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        *--p = (char)('0' + left % 10);
    while (left /= 10);
    if (n < 0)
        *--p = '-';
    jm_buf_add(out, p, (size_t)(digits + sizeof digits - p));
}

static void add_time(jm_buf *out, jm_event_time *time, int64_t us)
{
    char rest[12] = ".000000Z\"";
    int64_t second = us / 1000000;
    int fraction = (int)(us % 1000000);
    if (time->second != second) {
        char text[JM_RFC3339_TEXT];
        jm_rfc3339_format(second * 1000000, text);
        time->second = second;
        memcpy(time->text, text, 19); /* without the Z */
    }
    for (int i = 6; i; i--, fraction /= 10)
        rest[i] = (char)('0' + fraction % 10);
    jm_buf_addc(out, '"');
    jm_buf_add(out, time->text, 19);
    jm_buf_add(out, rest, 9);
}

static void add_id(jm_buf *out, const jm_uuid *id)
{
    char text[JM_UUID_TEXT];
    jm_uuid_format(id, text);
    jm_buf_add(out, text, JM_UUID_TEXT - 1);
}

/* ,"name": with name given with its quotes and colon. */
static void add_text(jm_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    jm_buf_adds(out, name);
    add_string(out, value);
}

static void add_instant(jm_buf *out, jm_event_time *time, const char *name, int64_t us)
{
    if (!us)
        return;
    jm_buf_adds(out, name);
    add_time(out, time, us);
}

static void add_count(jm_buf *out, const char *name, int64_t n)
{
    if (n < 0)
        return;
    jm_buf_adds(out, name);
    add_number(out, n);
}

static void add_result(jm_buf *out, const char *result)
{
    size_t len = result ? strlen(result) : 0;
    if (len > JM_EVENT_RESULT_MAX) {
        LITERAL(out, ",\"result_omitted\":true");
    } else if (len) {
        LITERAL(out, ",\"result\":");
        jm_buf_add(out, result, len);
    }
}

static void add_data(jm_buf *out, jm_event_time *time, const jm_job_event *e)
{
    LITERAL(out, ",\"data\":{\"id\":\"");
    add_id(out, e->id);
    LITERAL(out, "\",\"project\":");
    add_string(out, e->project);
    LITERAL(out, ",\"type\":");
    add_string(out, e->type);
    LITERAL(out, ",\"queue\":");
    add_string(out, e->queue);
    LITERAL(out, ",\"status\":\"");
    jm_buf_adds(out, e->status);
    LITERAL(out, "\",\"attempt\":");
    add_number(out, e->attempt);
    add_text(out, ",\"external_id\":", e->external_id);
    if (e->schedule_id) {
        LITERAL(out, ",\"schedule_id\":\"");
        add_id(out, e->schedule_id);
        jm_buf_addc(out, '"');
    }
    add_instant(out, time, ",\"due_at\":", e->due_at_us);
    add_instant(out, time, ",\"started_at\":", e->started_at_us);
    add_instant(out, time, ",\"completed_at\":", e->completed_at_us);
    add_instant(out, time, ",\"run_at\":", e->run_at_us);
    add_count(out, ",\"duration_ms\":", e->duration_ms);
    add_count(out, ",\"items_total\":", e->items_total);
    add_count(out, ",\"items_ok\":", e->items_ok);
    add_count(out, ",\"items_failed\":", e->items_failed);
    add_text(out, ",\"error\":", e->error);
    add_result(out, e->result);
    jm_buf_addc(out, '}');
}

void jm_job_event_write(jm_buf *out, jm_event_time *time, const jm_job_event *e)
{
    LITERAL(out, "{\"specversion\":\"1.0\",\"id\":\"");
    add_id(out, e->id);
    jm_buf_addc(out, '.');
    add_number(out, e->attempt);
    jm_buf_addc(out, '.');
    jm_buf_adds(out, e->what);
    if (!strcmp(e->what, "progress")) { /* the one of which an attempt has several */
        jm_buf_addc(out, '.');
        add_number(out, e->at_us);
    }
    LITERAL(out, "\",\"source\":");
    size_t source = out->len;
    add_string(out, e->project);
    /* "p" becomes "/jobmill/p". */
    jm_buf_reserve(out, 9);
    memmove(out->data + source + 10, out->data + source + 1, out->len - source - 1);
    memcpy(out->data + source + 1, "/jobmill/", 9);
    out->len += 9;
    LITERAL(out, ",\"type\":\"jobmill.job.");
    jm_buf_adds(out, e->what);
    LITERAL(out, "\",\"subject\":\"");
    add_id(out, e->id);
    LITERAL(out, "\",\"time\":");
    add_time(out, time, e->at_us);
    LITERAL(out, ",\"datacontenttype\":\"application/json\"");
    add_text(out, ",\"traceparent\":", e->trace_context);
    add_data(out, time, e);
    jm_buf_addc(out, '}');
}
