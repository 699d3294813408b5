/* The topic of events for those who listen. One consumer serves all: each listener has its own
 * place in the topic, and is told what lies at it or behind. One who comes back sets the consumer
 * back to where he left; the others have seen that already. */
#include "producer/http/tail.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/http/api.h"
#include "producer/http/events_reader.h"
#include "producer/http/key_cache.h"
#include "producer/http/listener.h"

enum {
    BACK = 100000,      /* events of a partition that one who comes back may have missed */
    PATIENCE_MS = 2000, /* that one who comes waits for a word while there is no Kafka */
    TURN_MS = 100,
    AWAY_MS = 1000, /* between two looks after streams while there is no Kafka */
    MAX_LISTENERS = 5000
};

typedef struct listener {
    jm_listener listener;
    char project[101], type[101];     /* "": all */
    int64_t at[JM_EVENTS_PARTITIONS]; /* offset of what it is told next; -1: from now on */
    bool placed;
} listener;

struct jm_tail {
    const jm_config *config;
    jm_inbox inbox;
    jm_events_reader reader; /* closed while there is nobody: who comes next begins at the end */
};

static listener *first(const jm_tail *tail)
{
    return (listener *)tail->inbox.held;
}

static listener *after(const listener *l)
{
    return (listener *)l->listener.item.next;
}

/* ---- writing ---- */

static bool is_text(const jm_json_value *value, const char *text, size_t len)
{
    return value && value->len == len && !memcmp(value->at, text, len);
}

/* source is "/jobmill/<project>"; type is what was asked for, or that and more behind a dot. */
static bool wants(const listener *l, const jm_json_value *source, const jm_json_value *type)
{
    char project[120];
    size_t len = strlen(l->type);
    int n = snprintf(project, sizeof project, "/jobmill/%s", l->project);
    if (*l->project && !is_text(source, project, (size_t)n))
        return false;
    return !len || (type && type->len >= len && !memcmp(type->at, l->type, len) &&
                    (type->len == len || type->at[len] == '.'));
}

static void tell(const jm_tail *tail, listener *l, const rd_kafka_message_t *message,
                 const jm_json_value *type)
{
    jm_buf text = {0};
    jm_buf_adds(&text, "id: ");
    for (int i = 0; i < tail->reader.n_partitions; i++)
        jm_buf_addf(&text, "%s%d:%lld", i ? "," : "", i, (long long)l->at[i]);
    jm_buf_addf(&text, "\nevent: %.*s\ndata: ", (int)type->len, type->at);
    jm_buf_add(&text, message->payload, message->len);
    jm_buf_adds(&text, "\n\n");
    jm_listener_write(&l->listener, jm_buf_str(&text), text.len);
    jm_buf_fini(&text);
}

/* ---- reading ---- */

static const jm_json_value *member(const jm_json *json, const char *name)
{
    for (size_t i = 0; i < json->n_members; i++)
        if (is_text(&json->members[i].name, name, strlen(name)))
            return &json->members[i].value;
    return NULL;
}

/* What is no event, nobody is told. Events are written on one line. */
static void tell_all(jm_tail *tail, const rd_kafka_message_t *message)
{
    int p = message->partition;
    jm_json json = {0};
    jm_err err;
    bool good = !jm_json_scan(&json, message->payload, message->len, JM_JSON_DEPTH_MAX, &err) &&
                !memchr(message->payload, '\n', message->len);
    const jm_json_value *source = good ? member(&json, "source") : NULL;
    const jm_json_value *type = good ? member(&json, "type") : NULL;
    for (listener *l = first(tail); l; l = after(l)) {
        if (message->offset < l->at[p])
            continue;
        l->at[p] = message->offset + 1;
        if (type && !jm_key_hold_has_ended(l->listener.key) && wants(l, source, type))
            tell(tail, l, message, type);
    }
    jm_json_fini(&json);
}

static void consume(jm_tail *tail)
{
    int64_t until = jm_mono_ms() + TURN_MS, left = TURN_MS;
    for (rd_kafka_message_t *message;
         left >= 0 && (message = jm_events_reader_next(&tail->reader, (int)left));
         left = until - jm_mono_ms()) {
        tell_all(tail, message);
        rd_kafka_message_destroy(message);
    }
}

/* ---- listeners ---- */

/* The headers go out with it: who has them misses nothing from then on. */
static const char greeting[] = ":\n\n";
static const char gap[] = "event: gap\ndata: {\"reason\":\"what was missed is too long ago\"}\n\n";

/* Where one begins: now, or where he left. true: that lies before what is read next. */
static bool place(const jm_tail *tail, listener *l)
{
    bool before = false, missed = false;
    for (int i = 0; i < tail->reader.n_partitions; i++) {
        if (l->at[i] < 0 || l->at[i] > tail->reader.most[i]) /* or the topic is another one now */
            l->at[i] = tail->reader.most[i];
        missed |= l->at[i] < tail->reader.most[i] - BACK;
        if (l->at[i] < tail->reader.most[i] - BACK)
            l->at[i] = tail->reader.most[i] - BACK;
        before |= l->at[i] < tail->reader.at[i];
    }
    if (missed)
        jm_listener_say(&l->listener, gap);
    return before;
}

/* All that come while there is no Kafka are placed when there is. Sets the consumer back to where
 * those who come back left. */
static void take_in(jm_tail *tail)
{
    bool back = false;
    for (listener *l = first(tail); l; l = after(l)) {
        if (l->placed)
            continue;
        l->placed = true;
        bool before = place(tail, l);
        jm_listener_say(&l->listener, greeting);
        if (!before)
            continue;
        back = true;
        for (int i = 0; i < tail->reader.n_partitions; i++)
            if (l->at[i] < tail->reader.at[i])
                tail->reader.at[i] = l->at[i];
    }
    if (back)
        jm_events_reader_assign(&tail->reader);
}

static bool keep(void *ctx, jm_inbox_item *item)
{
    (void)ctx;
    return jm_listener_keep((jm_listener *)item, greeting);
}

/* ---- the thread ---- */

/* When it is to go on though nobody has come: at once while it reads. */
static int64_t next_turn_ms(const jm_tail *tail)
{
    int64_t next_ms = jm_mono_ms() + AWAY_MS;
    if (tail->reader.rk)
        return 0;
    return tail->reader.retry_ms < next_ms ? tail->reader.retry_ms : next_ms;
}

static void run(void *ctx)
{
    jm_tail *tail = ctx;
    while (jm_inbox_take(&tail->inbox, next_turn_ms(tail))) {
        if (jm_events_reader_open(&tail->reader, tail->config, 0)) {
            take_in(tail);
            consume(tail);
        }
        jm_inbox_sift(&tail->inbox, keep, NULL);
        if (!tail->inbox.held)
            jm_events_reader_close(&tail->reader);
    }
    jm_inbox_sift(&tail->inbox, jm_listener_stop, NULL);
    jm_events_reader_close(&tail->reader);
}

/* "0:17,1:4": of each partition the offset that comes next. */
static bool parse_place(const char *text, listener *l)
{
    while (*text) {
        char *end = NULL;
        long partition = strtol(text, &end, 10);
        if (end == text || *end != ':' || partition < 0 || partition >= JM_EVENTS_PARTITIONS)
            return false;
        text = end + 1;
        l->at[partition] = strtoll(text, &end, 10);
        if (end == text || l->at[partition] < 0 || (*end && *end != ','))
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

/* NULL: answered. */
static listener *new_listener(jm_req *req)
{
    const char *last = jm_req_last_event(req), *type = jm_req_query(req, "type");
    const char *project = NULL;
    if (!jm_req_narrow(req, jm_req_query(req, "project"), &project))
        return NULL;
    listener *l = jm_calloc(1, sizeof *l);
    for (int i = 0; i < JM_EVENTS_PARTITIONS; i++)
        l->at[i] = -1;
    snprintf(l->project, sizeof l->project, "%s", project ? project : "");
    snprintf(l->type, sizeof l->type, "%s", type ? type : "");
    if (!last || parse_place(last, l))
        return l;
    jm_req_problem(req, 400, "bad_header", NULL,
                   "Last-Event-ID is \"%.60s\", needs the id of an event, such as 0:17,1:4", last);
    free(l);
    return NULL;
}

void jm_tail_listen(jm_req *req)
{
    listener *l = new_listener(req);
    if (!l)
        return;
    jm_listener_begin(&l->listener, req);
    l->listener.told_ms -= JM_LISTENER_BEAT_MS - PATIENCE_MS;
    jm_listener_join(&l->listener, &jm_api_tail(jm_req_api(req))->inbox);
}

jm_tail *jm_tail_new(const jm_config *config)
{
    jm_tail *tail = jm_calloc(1, sizeof *tail);
    tail->config = config;
    jm_inbox_init(
        &tail->inbox,
        &(jm_inbox_options){.name = "jm-tail", .run = run, .ctx = tail, .max = MAX_LISTENERS});
    return tail;
}

void jm_tail_stop(jm_tail *tail)
{
    jm_inbox_stop(&tail->inbox);
    jm_inbox_join(&tail->inbox);
}

void jm_tail_free(jm_tail *tail)
{
    if (!tail)
        return;
    jm_tail_stop(tail);
    jm_inbox_fini(&tail->inbox);
    free(tail);
}
