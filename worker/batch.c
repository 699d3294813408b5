/* A batch: the records of one queue on their way from Kafka to PostgreSQL. */
#include "worker/batch.h"

#include <stdlib.h>
#include <string.h>

jm_batch *jm_batch_new(int queue)
{
    jm_batch *batch = jm_calloc(1, sizeof *batch);
    batch->queue = queue;
    batch->arena = jm_arena_new(0);
    return batch;
}

void jm_batch_mark_dead(jm_batch *batch, jm_batch_record *record, const char *reason,
                        const jm_err *err)
{
    record->fate = JM_FATE_DEAD;
    record->reason = reason;
    record->field = err->field[0] ? jm_arena_strdup(batch->arena, err->field) : NULL;
    record->detail = jm_arena_strdup(batch->arena, err->msg);
}

enum { HEADERS_MAX = 32 };

/* Headers of a message in our form; those past the 32nd are left out. */
static size_t headers_of(const rd_kafka_message_t *message, jm_header headers[HEADERS_MAX])
{
    rd_kafka_headers_t *list;
    if (rd_kafka_message_headers(message, &list))
        return 0;
    size_t n = 0;
    while (n < HEADERS_MAX &&
           !rd_kafka_header_get_all(list, n, &headers[n].name, &headers[n].value, &headers[n].len))
        n++;
    return n;
}

static jm_batch_record *grow(jm_batch *batch)
{
    if (batch->n == batch->cap) {
        batch->cap = batch->cap ? batch->cap * 2 : 64;
        batch->records = jm_realloc(batch->records, (size_t)batch->cap * sizeof *batch->records);
    }
    jm_batch_record *record = &batch->records[batch->n++];
    memset(record, 0, sizeof *record);
    return record;
}

void jm_batch_add(jm_batch *batch, rd_kafka_message_t *message, const jm_message_limits *limits)
{
    jm_header headers[HEADERS_MAX];
    jm_record in = {.topic = rd_kafka_topic_name(message->rkt),
                    .partition = message->partition,
                    .offset = message->offset,
                    .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
                    .key = message->key,
                    .key_len = message->key_len,
                    .value = message->payload,
                    .value_len = message->len,
                    .headers = headers,
                    .n_headers = headers_of(message, headers)};
    jm_batch_record *record = grow(batch);
    record->place = batch->n - 1;
    record->message = message;
    batch->bytes += message->len + message->key_len;
    jm_job *job = jm_arena_calloc(batch->arena, sizeof *job);
    const char *reason = "bad_json";
    jm_err err = {0};
    if (jm_job_message_parse(&in, limits, batch->arena, job, &reason, &err) == JM_OK) {
        record->job = job;
        record->id = job->id;
        return;
    }
    record->id = jm_uuid7_from_record(in.topic, in.partition, in.offset, in.timestamp_ms, in.key,
                                      in.key_len, in.value, in.value_len);
    jm_batch_mark_dead(batch, record, reason, &err);
}

static int by_id(const void *a, const void *b)
{
    const jm_batch_record *x = a, *y = b;
    int c = jm_uuid_cmp(&x->id, &y->id);
    if (c)
        return c;
    return x->place - y->place; /* the earlier record of an id comes first */
}

void jm_batch_sort(jm_batch *batch)
{
    bool sorted = true;
    for (int i = 1; i < batch->n && sorted; i++)
        sorted = jm_uuid_cmp(&batch->records[i - 1].id, &batch->records[i].id) < 0;
    if (sorted)
        return;
    qsort(batch->records, (size_t)batch->n, sizeof *batch->records, by_id);
    for (int i = 1; i < batch->n; i++) {
        jm_batch_record *record = &batch->records[i], *before = record - 1;
        if (jm_uuid_cmp(&before->id, &record->id) != 0 || record->fate != JM_FATE_OPEN)
            continue;
        record->again = true;
        record->known_as = record->id;
    }
}

jm_batch_record *jm_batch_find(jm_batch *batch, const jm_uuid *id, int *hint)
{
    int lo = 0, hi = batch->n - 1;
    if (*hint <= hi && jm_uuid_cmp(&batch->records[*hint].id, id) == 0)
        lo = hi = *hint;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (jm_uuid_cmp(&batch->records[mid].id, id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo > hi || jm_uuid_cmp(&batch->records[lo].id, id) != 0)
        return NULL;
    while (lo && jm_uuid_cmp(&batch->records[lo - 1].id, id) == 0)
        lo--; /* the first of them that is no dead letter */
    while (lo + 1 < batch->n && batch->records[lo].fate == JM_FATE_DEAD &&
           jm_uuid_cmp(&batch->records[lo + 1].id, id) == 0)
        lo++;
    *hint = lo + 1;
    return &batch->records[lo];
}

void jm_batch_free(jm_batch *batch)
{
    if (!batch)
        return;
    for (int i = 0; i < batch->n; i++)
        if (batch->records[i].message)
            rd_kafka_message_destroy(batch->records[i].message);
    free(batch->records);
    jm_arena_free(batch->arena);
    free(batch);
}

jm_claim *jm_claim_new(int64_t seq, int n_seqs, jm_arena *arena)
{
    jm_claim *claim = jm_calloc(1, sizeof *claim);
    claim->seq = seq;
    claim->n_seqs = n_seqs;
    claim->arena = arena;
    return claim;
}

void jm_claim_free(jm_claim *claim)
{
    if (!claim)
        return;
    jm_arena_free(claim->arena);
    free(claim);
}
