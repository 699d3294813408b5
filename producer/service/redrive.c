/* Redriving: a page of dead letters at a time is looked at, reserved, sent, and marked. */
#include "producer/service/redrive.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_value.h"
#include "common/kafka.h"
#include "common/mem.h"
#include "common/pg.h"

enum { PAGE = 100, ACK_MS = 15000, POLL_MS = 20, HEADERS_MAX = 64, TOPICS_MAX = 64 };

/* Columns of redrive_page. */
enum { P_ID, P_TOPIC, P_KEY, P_VALUE, P_HEADERS, P_REDRIVEN, P_AS };

/* One of the page, borrowing from its result and arena. */
typedef struct letter {
    jm_uuid id, job_id, seen;
    bool has_seen;
    jm_record record;
    jm_header headers[HEADERS_MAX];
    char id_text[JM_UUID_TEXT], job_text[JM_UUID_TEXT];
    char refused[320]; /* why it would only be put aside again, or "" */
    bool reserved, reported;
    int rc;
} letter;

typedef struct work {
    const jm_config *config;
    jm_pg *pg;
    const jm_redrive *how;
    const jm_change *change;
    jm_kafka_producer *producer; /* made when the first is sent */
    char *topics[TOPICS_MAX];    /* known to be there */
    int n_topics;
    json_t *projects; /* a member for each that there is */
    jm_arena *arena;
    letter *letters;
    int n;
    bool has_last;
    jm_uuid last;
    int64_t began_us, sent, refused, of, done;
    jm_err kafka; /* of the first that was not acknowledged */
    json_t *items;
    bool stopped;
} work;

/* ---- which ---- */

static void add_filter(const work *w, jm_pg_args *args, jm_col *ids)
{
    const jm_dead_filter *f = &w->how->filter;
    jm_pg_args_init(args);
    jm_pg_arg_text(args, f->reason);
    jm_pg_arg_text(args, f->topic);
    jm_pg_arg_text(args, f->field);
    jm_pg_arg_ts(args, f->from_us);
    jm_pg_arg_ts(args, f->to_us);
    jm_col_init(ids, JM_COL_UUID);
    for (size_t i = 0; i < w->how->n_ids; i++)
        jm_col_add_uuid(ids, &w->how->ids[i]);
    if (w->how->ids)
        jm_pg_arg_col(args, ids);
    else
        jm_pg_arg_text(args, NULL);
    jm_pg_arg_bool(args, w->how->again);
}

static int count_all(work *w, jm_err *err)
{
    jm_pg_args args;
    jm_col ids;
    add_filter(w, &args, &ids);
    jm_pg_call call = {.sql = &jm_sql_redrive_count, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    w->of = rc ? 0 : jm_pg_get_i64(call.res, 0, 0);
    jm_pg_calls_clear(&call, 1);
    jm_col_fini(&ids);
    return rc;
}

/* Rows of redrive_named are sorted by id. */
static bool is_among(const PGresult *res, const jm_uuid *id)
{
    for (int i = 0; i < PQntuples(res); i++) {
        jm_uuid there = jm_pg_get_uuid(res, i, 0);
        if (!jm_uuid_cmp(&there, id))
            return true;
    }
    return false;
}

static int judge_named(const work *w, const PGresult *res, jm_err *err)
{
    char id[JM_UUID_TEXT], job[JM_UUID_TEXT], at[JM_RFC3339_TEXT];
    for (size_t i = 0; i < w->how->n_ids; i++) {
        if (is_among(res, &w->how->ids[i]))
            continue;
        jm_uuid_format(&w->how->ids[i], id);
        return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no dead letter %s", id);
    }
    for (int i = 0; i < PQntuples(res) && !w->how->again; i++) {
        if (PQgetisnull(res, i, 1))
            continue;
        jm_uuid it = jm_pg_get_uuid(res, i, 0), as = jm_pg_get_uuid(res, i, 2);
        jm_uuid_format(&it, id);
        jm_uuid_format(&as, job);
        jm_rfc3339_format(jm_pg_get_ts(res, i, 1), at);
        return jm_err_set(err, JM_ERR_CONFLICT,
                          "dead letter %s was sent again at %s, as job %s: say so if it is to be "
                          "sent once more (--again)",
                          id, at, job);
    }
    return JM_OK;
}

/* Those that are named are all meant: one that is not there, or was sent before, is a mistake. */
static int check_named(work *w, jm_err *err)
{
    jm_pg_args args;
    jm_col ids;
    if (!w->how->ids)
        return JM_OK;
    jm_col_init(&ids, JM_COL_UUID);
    for (size_t i = 0; i < w->how->n_ids; i++)
        jm_col_add_uuid(&ids, &w->how->ids[i]);
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &ids);
    jm_pg_call call = {.sql = &jm_sql_redrive_named, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    if (!rc)
        rc = judge_named(w, call.res, err);
    jm_pg_calls_clear(&call, 1);
    jm_col_fini(&ids);
    return rc;
}

static int read_page(work *w, int limit, PGresult **res, jm_err *err)
{
    jm_pg_args args;
    jm_col ids;
    add_filter(w, &args, &ids);
    jm_pg_arg_uuid(&args, w->has_last ? &w->last : NULL);
    jm_pg_arg_i64(&args, limit);
    jm_pg_call call = {.sql = &jm_sql_redrive_page, .args = &args, .binary = true};
    int rc = jm_pg_run(w->pg, &call, 1, err);
    *res = call.res;
    jm_col_fini(&ids);
    return rc;
}

/* ---- a letter as a record ---- */

/* A header as table dead_letters keeps it: text, {"base64": …} or null. */
static jm_header header_of(work *w, const char *name, const json_t *kept)
{
    jm_header header = {.name = jm_arena_strdup(w->arena, name)};
    const char *text = json_string_value(kept);
    const char *base64 = json_string_value(json_object_get(kept, "base64"));
    if (text) {
        header.len = json_string_length(kept);
        header.value = jm_arena_strndup(w->arena, text, header.len);
    } else if (base64) {
        size_t len = strlen(base64), pad = 0;
        unsigned char *bytes = jm_arena_alloc(w->arena, len + 1);
        while (pad < len && base64[len - 1 - pad] == '=')
            pad++;
        int n = EVP_DecodeBlock(bytes, (const unsigned char *)base64, (int)len);
        header.value = bytes;
        header.len = n > (int)pad ? (size_t)n - pad : 0;
    }
    return header;
}

static bool is_ours(const char *name)
{
    return !strcmp(name, JM_REDRIVE_HEADER) || !strcmp(name, JM_DEAD_LETTER_HEADER);
}

/* Those that it had, then ours. */
static void take_headers(work *w, letter *l, const char *text, size_t len)
{
    json_t *kept = text ? jm_json_load(text, len) : NULL, *value;
    const char *name;
    size_t n = 0;
    json_object_foreach(kept, name, value)
    {
        if (!is_ours(name) && n + 2 < HEADERS_MAX)
            l->headers[n++] = header_of(w, name, value);
    }
    l->headers[n++] = (jm_header){JM_DEAD_LETTER_HEADER, l->id_text, JM_UUID_TEXT - 1};
    l->headers[n++] = (jm_header){JM_REDRIVE_HEADER, l->job_text, JM_UUID_TEXT - 1};
    l->record.headers = l->headers;
    l->record.n_headers = n;
    json_decref(kept);
}

/* As a worker will read it: which job it will be, or why it will be none. */
static int read_projects(work *w, jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_query(w->pg, &jm_sql_start_projects, NULL, &res, err);
    w->projects = json_object();
    for (int i = 0; !rc && i < PQntuples(res); i++)
        json_object_set_new(w->projects, PQgetvalue(res, i, 0), json_true());
    PQclear(res);
    return rc;
}

static void judge(work *w, letter *l)
{
    jm_message_limits limits = {.now_ms = jm_utc_us() / 1000};
    jm_job job = {0};
    const char *reason = NULL;
    jm_err err = {0};
    l->record.timestamp_ms = limits.now_ms;
    if (jm_job_message_parse(&l->record, &limits, w->arena, &job, &reason, &err)) {
        snprintf(l->refused, sizeof l->refused, "%s: %s%s%.180s", reason ? reason : "refused",
                 err.field, *err.field ? ": " : "", err.msg);
        return;
    }
    if (!json_object_get(w->projects, job.project)) {
        snprintf(l->refused, sizeof l->refused,
                 "unknown_project: project: there is no project %.100s: jobmill project add",
                 job.project);
        return;
    }
    l->job_id = job.id;
    jm_uuid_format(&l->job_id, l->job_text);
}

static void take_letter(work *w, const PGresult *res, int row, letter *l)
{
    size_t topic_len = 0, headers_len = 0;
    l->id = jm_pg_get_uuid(res, row, P_ID);
    l->has_seen = !PQgetisnull(res, row, P_AS);
    l->seen = jm_pg_get_uuid(res, row, P_AS);
    /* One that was reserved and not marked may have arrived: it stays the job that it was. */
    l->job_id = l->has_seen && !jm_pg_get_bool(res, row, P_REDRIVEN) ? l->seen : jm_uuid7_new();
    jm_uuid_format(&l->id, l->id_text);
    jm_uuid_format(&l->job_id, l->job_text);
    l->record = (jm_record){.topic = jm_pg_get_text(res, row, P_TOPIC, &topic_len)};
    if (!PQgetisnull(res, row, P_KEY)) {
        l->record.key = PQgetvalue(res, row, P_KEY);
        l->record.key_len = (size_t)PQgetlength(res, row, P_KEY);
    }
    if (w->how->value) {
        l->record.value = w->how->value;
        l->record.value_len = strlen(w->how->value);
    } else if (!PQgetisnull(res, row, P_VALUE)) {
        l->record.value = PQgetvalue(res, row, P_VALUE);
        l->record.value_len = (size_t)PQgetlength(res, row, P_VALUE);
    }
    const char *headers = jm_pg_get_text(res, row, P_HEADERS, &headers_len);
    take_headers(w, l, headers, headers_len);
    judge(w, l);
}

/* ---- reserving and marking ---- */

static letter *find(work *w, const jm_uuid *id)
{
    for (int i = 0; i < w->n; i++)
        if (!jm_uuid_cmp(&w->letters[i].id, id))
            return &w->letters[i];
    return NULL;
}

static int reserve(work *w, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_UUID, JM_COL_UUID};
    jm_cols cols;
    jm_pg_args args;
    jm_cols_init(&cols, types, 3);
    for (int i = 0; i < w->n; i++) {
        letter *l = &w->letters[i];
        if (*l->refused)
            continue;
        jm_col_add_uuid(&cols.col[0], &l->id);
        jm_col_add_uuid(&cols.col[1], &l->job_id);
        jm_col_add_uuid(&cols.col[2], l->has_seen ? &l->seen : NULL);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &cols);
    jm_pg_arg_bool(&args, w->how->again);
    jm_pg_call call = {.sql = &jm_sql_redrive_reserve, .args = &args, .binary = true};
    int rc = cols.col[0].n ? jm_pg_run(w->pg, &call, 1, err) : JM_OK;
    for (int i = 0; !rc && call.res && i < PQntuples(call.res); i++) {
        jm_uuid id = jm_pg_get_uuid(call.res, i, 0);
        letter *l = find(w, &id);
        if (l)
            l->reserved = true;
    }
    jm_pg_calls_clear(&call, 1);
    jm_cols_fini(&cols);
    return rc;
}

static bool is_sent(const letter *l)
{
    return l->reserved && l->reported && !l->rc;
}

static int mark(work *w, jm_err *err)
{
    static const jm_col_type types[] = {JM_COL_UUID, JM_COL_UUID};
    jm_cols cols;
    jm_pg_args args;
    jm_cols_init(&cols, types, 2);
    for (int i = 0; i < w->n; i++) {
        if (!is_sent(&w->letters[i]))
            continue;
        jm_col_add_uuid(&cols.col[0], &w->letters[i].id);
        jm_col_add_uuid(&cols.col[1], &w->letters[i].job_id);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &cols);
    jm_pg_arg_text(&args, w->change->actor);
    jm_pg_arg_text(&args, w->change->source);
    jm_pg_arg_text(&args, w->change->reason);
    jm_pg_arg_bool(&args, w->how->value != NULL);
    jm_pg_arg_text(&args, w->change->address);
    jm_pg_arg_text(&args, w->change->request_id);
    int rc = cols.col[0].n ? jm_pg_query(w->pg, &jm_sql_redrive_mark, &args, NULL, err) : JM_OK;
    jm_cols_fini(&cols);
    return rc;
}

/* ---- sending ---- */

static void delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    work *w = ctx;
    letter *l = opaque;
    l->reported = true;
    l->rc = rc;
    if (rc && !w->kafka.code)
        w->kafka = *err;
}

/* A topic that was deleted meanwhile is made again. */
static int need_topic(work *w, const char *topic, jm_err *err)
{
    bool created;
    for (int i = 0; i < w->n_topics; i++)
        if (!strcmp(w->topics[i], topic))
            return JM_OK;
    int rc = jm_kafka_topic_create(w->config, topic, ACK_MS, &created, err);
    if (!rc && w->n_topics < TOPICS_MAX)
        w->topics[w->n_topics++] = jm_strdup(topic);
    return rc;
}

/* Until the rate lets one more go. */
static void wait_for_turn(work *w, int64_t nth)
{
    if (w->how->rate <= 0)
        return;
    int64_t at_us = w->began_us + (int64_t)((double)nth * 1e6 / w->how->rate);
    for (int64_t left_us; (left_us = at_us - jm_mono_us()) > 0;)
        jm_kafka_producer_poll(w->producer, (int)(left_us / 1000) + 1);
}

static int send_one(work *w, letter *l, jm_err *err)
{
    const jm_record *r = &l->record;
    int rc = need_topic(w, r->topic, err);
    if (rc)
        return rc;
    for (int64_t until = jm_mono_ms() + ACK_MS;;) {
        rc = jm_kafka_producer_send(w->producer, r->topic, r->key, r->key_len, r->value,
                                    r->value_len, r->headers, r->n_headers, l, err);
        if (!rc || !err->retriable || jm_mono_ms() >= until)
            return rc;
        jm_kafka_producer_poll(w->producer, POLL_MS); /* its queue is full */
    }
}

static bool tell(work *w)
{
    const jm_redrive *how = w->how;
    w->stopped = w->stopped || (how->progress && !how->progress(how->ctx, w->done, w->of));
    return !w->stopped;
}

/* Sends what was reserved and waits until Kafka has said to all of it what became of it. */
static int send_page(work *w, jm_err *err)
{
    int rc = JM_OK, on_the_way = 0;
    int64_t nth = w->sent;
    for (int i = 0; i < w->n && !rc && tell(w); i++) {
        if (!w->letters[i].reserved)
            continue;
        wait_for_turn(w, nth++);
        rc = send_one(w, &w->letters[i], err);
        on_the_way += !rc;
        w->done++;
    }
    for (int64_t until = jm_mono_ms() + ACK_MS; on_the_way && jm_mono_ms() < until;) {
        if (!jm_kafka_producer_in_flight(w->producer))
            break;
        jm_kafka_producer_poll(w->producer, POLL_MS);
    }
    if (!rc && w->kafka.code) {
        *err = w->kafka;
        rc = err->code;
    }
    if (!rc && jm_kafka_producer_in_flight(w->producer))
        rc = jm_err_set(err, JM_ERR_KAFKA, "it has not acknowledged them within %d s",
                        ACK_MS / 1000);
    return rc;
}

/* Marks what got through also where not all of it did. */
static int deliver(work *w, jm_err *err)
{
    jm_err marked;
    int rc = w->producer
                 ? JM_OK
                 : jm_kafka_producer_new(w->config, "redrive", delivered, w, &w->producer, err);
    rc = rc ? rc : reserve(w, err);
    if (rc)
        return rc;
    rc = send_page(w, err);
    int rc_mark = mark(w, &marked);
    if (rc_mark)
        *err = marked;
    return rc_mark ? rc_mark : rc;
}

/* ---- a page ---- */

static void add_item(work *w, const letter *l)
{
    if (json_array_size(w->items) >= w->how->shown)
        return;
    json_array_append_new(w->items, json_pack("{s:s, s:s, s:s?, s:s?}", "id", l->id_text, "topic",
                                              l->record.topic, "redriven_as",
                                              *l->refused ? NULL : l->job_text, "refused",
                                              *l->refused ? l->refused : NULL));
}

static void count_page(work *w)
{
    for (int i = 0; i < w->n; i++) {
        const letter *l = &w->letters[i];
        bool sent = w->change->dry_run ? !*l->refused : is_sent(l);
        w->sent += sent;
        w->refused += *l->refused != 0;
        if (sent || *l->refused)
            add_item(w, l);
    }
}

static int run_page(work *w, int limit, bool *more, jm_err *err)
{
    PGresult *res = NULL;
    int rc = read_page(w, limit, &res, err);
    if (rc)
        return rc;
    w->arena = jm_arena_new(0);
    w->n = PQntuples(res);
    w->letters = jm_calloc((size_t)w->n + 1, sizeof *w->letters);
    for (int i = 0; i < w->n; i++)
        take_letter(w, res, i, &w->letters[i]);
    if (!w->change->dry_run)
        rc = deliver(w, err);
    count_page(w);
    w->done = w->sent + w->refused;
    *more = w->n == limit && tell(w);
    if (w->n) {
        w->has_last = true;
        w->last = w->letters[w->n - 1].id;
    }
    if (rc) { /* reports may still come: what they point at must be there */
        jm_kafka_producer_free(w->producer, 0);
        w->producer = NULL;
    }
    free(w->letters);
    jm_arena_free(w->arena);
    PQclear(res);
    return rc;
}

static int run_all(work *w, jm_err *err)
{
    int rc = JM_OK;
    for (bool more = true; more && !rc;) {
        int64_t left = w->how->limit ? w->how->limit - w->sent - w->refused : PAGE;
        if (left <= 0)
            break;
        rc = run_page(w, left < PAGE ? (int)left : PAGE, &more, err);
    }
    if (rc == JM_ERR_KAFKA)
        jm_err_prefix(err,
                      "Kafka at %.100s (%lld were sent again, the rest is as it was: do it over)",
                      jm_config_str(w->config, "kafka.bootstrap.servers"), (long long)w->sent);
    return rc;
}

int jm_redrive_run(const jm_config *config, jm_pg *pg, const jm_redrive *redrive,
                   const jm_change *change, json_t **result, jm_err *err)
{
    work w = {.config = config,
              .pg = pg,
              .how = redrive,
              .change = change,
              .began_us = jm_mono_us(),
              .items = json_array()};
    int rc = check_named(&w, err);
    rc = rc ? rc : count_all(&w, err);
    rc = rc ? rc : read_projects(&w, err);
    rc = rc ? rc : run_all(&w, err);
    int64_t left = w.of - w.sent - w.refused;
    *result = json_pack("{s:I, s:I, s:I, s:b, s:o}", "redriven", (json_int_t)w.sent, "refused",
                        (json_int_t)w.refused, "left", (json_int_t)(left > 0 ? left : 0), "dry_run",
                        (int)change->dry_run, "items", w.items);
    json_decref(w.projects);
    jm_kafka_producer_free(w.producer, 0);
    for (int i = 0; i < w.n_topics; i++)
        free(w.topics[i]);
    return rc;
}
