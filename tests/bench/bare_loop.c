/* The least that any program could do for the same rows on the same tables with the same fence: for
 * comparison only. It parses nothing, runs nothing, retries nothing and ends at the first error.
 *
 *   bare_loop BOOTSTRAP TOPIC GROUP DATABASE_URL COUNT
 *
 * One thread reads Kafka and accepts (connection 1), one records (connection 2); batches are what
 * has arrived meanwhile, at most 1,000. Prints one JSON object. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/pg.h"
#include "common/queue.h"
#include "tests/bench/bare_sql.h"

#define BATCH 1000

typedef struct batch {
    jm_node node;
    int64_t seq;
    int n;
    jm_uuid ids[BATCH];
} batch;

typedef struct bare {
    const char *url;
    long count;
    jm_uuid worker;
    jm_queue *accepted;
    long recorded;
    int64_t end_us;
} bare;

static void must(int rc, const jm_err *err)
{
    if (rc) {
        fprintf(stderr, "bare_loop: %s\n", err->msg);
        exit(1);
    }
}

static jm_pg *connect_db(const bare *loop, const char *name)
{
    jm_err err;
    jm_pg *pg = jm_pg_new(
        &(jm_pg_options){.conninfo = loop->url, .schema = "jobmill", .name = name, .batch = true});
    must(jm_pg_connect(pg, &err), &err);
    return pg;
}

static void record(bare *loop, jm_pg *pg, const batch *b, jm_col cols[3])
{
    for (int i = 0; i < 3; i++)
        jm_col_reset(&cols[i]);
    for (int i = 0; i < b->n; i++) {
        jm_col_add_uuid(&cols[0], &b->ids[i]);
        jm_col_add_i32(&cols[1], 1);
        jm_col_add_i64(&cols[2], 0);
    }
    jm_pg_args args, unclaim;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &loop->worker);
    for (int i = 0; i < 3; i++)
        jm_pg_arg_col(&args, &cols[i]);
    jm_pg_arg_uuid(&args, &b->ids[0]);
    jm_pg_arg_uuid(&args, &b->ids[b->n - 1]);
    jm_pg_args_init(&unclaim);
    jm_pg_arg_uuid(&unclaim, &loop->worker);
    jm_pg_arg_i64(&unclaim, b->seq);
    jm_pg_call calls[] = {{.sql = &bare_record, .args = &args, .binary = true},
                          {.sql = &bare_unclaim, .args = &unclaim}};
    jm_err err;
    must(jm_pg_run(pg, calls, 2, &err), &err);
    loop->recorded += jm_pg_get_i64(calls[0].res, 0, 0);
    jm_pg_calls_clear(calls, 2);
}

static void *recorder(void *ctx)
{
    bare *loop = ctx;
    jm_pg *pg = connect_db(loop, "bare record");
    jm_col cols[3];
    jm_col_init(&cols[0], JM_COL_UUID);
    jm_col_init(&cols[1], JM_COL_I32);
    jm_col_init(&cols[2], JM_COL_I64);
    jm_chain chain = {0};
    while (loop->recorded < loop->count && jm_queue_pop_all(loop->accepted, &chain, -1) == 0) {
        for (jm_node *node; (node = jm_chain_take(&chain));) {
            record(loop, pg, (batch *)node, cols);
            free(node);
        }
    }
    loop->end_us = jm_utc_us();
    for (int i = 0; i < 3; i++)
        jm_col_fini(&cols[i]);
    jm_pg_free(pg);
    return NULL;
}

static int by_id(const void *a, const void *b)
{
    return jm_uuid_cmp(a, b);
}

/* What is there, at most a batch; waits for the first record. */
static batch *take(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *offsets)
{
    batch *b = calloc(1, sizeof *b);
    while (b->n < BATCH) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, b->n ? 0 : 100);
        if (!m) {
            if (b->n)
                break;
            continue;
        }
        if (!m->err) {
            int64_t ms = rd_kafka_message_timestamp(m, NULL);
            const char *topic = rd_kafka_topic_name(m->rkt);
            b->ids[b->n++] = jm_uuid7_from_record(topic, m->partition, m->offset, ms, m->key,
                                                  m->key_len, m->payload, m->len);
            rd_kafka_topic_partition_t *at =
                rd_kafka_topic_partition_list_find(offsets, topic, m->partition);
            if (!at)
                at = rd_kafka_topic_partition_list_add(offsets, topic, m->partition);
            at->offset = m->offset + 1;
        }
        rd_kafka_message_destroy(m);
    }
    qsort(b->ids, (size_t)b->n, sizeof b->ids[0], by_id);
    return b;
}

static void accept_batch(bare *loop, jm_pg *pg, batch *b, jm_col *ids)
{
    jm_col_reset(ids);
    for (int i = 0; i < b->n; i++)
        jm_col_add_uuid(ids, &b->ids[i]);
    jm_pg_args args, claim;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &loop->worker);
    jm_pg_arg_col(&args, ids);
    jm_pg_args_init(&claim);
    jm_pg_arg_uuid(&claim, &loop->worker);
    jm_pg_arg_i64(&claim, b->seq);
    jm_pg_arg_col(&claim, ids);
    jm_pg_call calls[] = {{.sql = &bare_accept, .args = &args},
                          {.sql = &bare_claim, .args = &claim}};
    jm_err err;
    must(jm_pg_run(pg, calls, 2, &err), &err);
    jm_pg_calls_clear(calls, 2);
}

static rd_kafka_t *consumer(const char *bootstrap, const char *topic, const char *group)
{
    static const char *const settings[][2] = {
        {"auto.offset.reset", "earliest"},       {"enable.auto.offset.store", "false"},
        {"auto.commit.interval.ms", "1000"},     {"queued.min.messages", "200000"},
        {"queued.max.messages.kbytes", "65536"}, {"partition.assignment.strategy", "roundrobin"},
        {"socket.nagle.disable", "true"}};
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error);
    rd_kafka_conf_set(conf, "group.id", group, error, sizeof error);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof error))
            fprintf(stderr, "bare_loop: %s\n", error);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return rk;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: bare_loop BOOTSTRAP TOPIC GROUP DATABASE_URL COUNT\n");
        return 2;
    }
    bare loop = {.url = argv[4],
                 .count = strtol(argv[5], NULL, 10),
                 .worker = jm_uuid7_new(),
                 .accepted = jm_queue_new(0)};
    jm_pg *pg = connect_db(&loop, "bare accept");
    pthread_t thread;
    if (pthread_create(&thread, NULL, recorder, &loop))
        return 1;
    rd_kafka_t *rk = consumer(argv[1], argv[2], argv[3]);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(64);
    jm_col ids;
    jm_col_init(&ids, JM_COL_UUID);
    int64_t start_us = 0;
    for (long taken = 0, seq = 1; taken < loop.count; seq++) {
        batch *b = take(rk, offsets);
        if (!start_us)
            start_us = jm_utc_us();
        b->seq = seq;
        accept_batch(&loop, pg, b, &ids);
        taken += b->n;
        rd_kafka_offsets_store(rk, offsets);
        jm_chain chain = {0};
        jm_chain_add(&chain, &b->node);
        jm_queue_push(loop.accepted, &chain);
    }
    rd_kafka_commit(rk, offsets, 0);
    pthread_join(thread, NULL);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"jobs\":%ld,\"seconds\":%.3f,\"cpu_s\":%.3f,\"peak_kb\":%ld}\n", loop.recorded,
           (double)(loop.end_us - start_us) / 1e6, cpu_s, usage.ru_maxrss);
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    jm_col_fini(&ids);
    jm_queue_free(loop.accepted);
    jm_pg_free(pg);
    return 0;
}
