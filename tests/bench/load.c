/* Fills a topic: load BOOTSTRAP TOPIC COUNT [VALUE [KEYS [RATE]]]. KEYS: so many record keys in
 * turn (0: none); RATE: records a second (0: as fast as they go). Ends when every record is
 * acknowledged. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long acknowledged, refused;

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    if (message->err)
        refused++;
    else
        acknowledged++;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[256];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error)) {
        fprintf(stderr, "load: %s\n", error);
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Waits until record i is due. */
static void keep_rate(rd_kafka_t *rk, double start_s, long i, long rate)
{
    while (rate && (double)i / (double)rate > now_s() - start_s)
        rd_kafka_poll(rk, 1);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: load BOOTSTRAP TOPIC COUNT [VALUE [KEYS [RATE]]]\n");
        return 2;
    }
    long count = strtol(argv[3], NULL, 10);
    const char *value = argc > 4 ? argv[4] : "{\"type\":\"noop\"}";
    long keys = argc > 5 ? strtol(argv[5], NULL, 10) : 0;
    long rate = argc > 6 ? strtol(argv[6], NULL, 10) : 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "acks", "all");
    set(conf, "linger.ms", "5");
    set(conf, "batch.num.messages", "10000");
    set(conf, "queue.buffering.max.messages", "1000000");
    set(conf, "sticky.partitioning.linger.ms", "2"); /* spreads records without a key evenly */
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    char error[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (!rk) {
        fprintf(stderr, "load: %s\n", error);
        return 1;
    }
    double start_s = now_s();
    for (long i = 0; i < count; i++) {
        char key[24] = "";
        if (keys)
            snprintf(key, sizeof key, "k%ld", i % keys);
        keep_rate(rk, start_s, i, rate);
        rd_kafka_resp_err_t rc;
        while ((rc = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(argv[2]),
                                       RD_KAFKA_V_KEY(keys ? key : NULL, strlen(key)),
                                       RD_KAFKA_V_VALUE((void *)value, strlen(value)),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) ==
               RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(rk, 50);
        if (rc) {
            fprintf(stderr, "load: %s\n", rd_kafka_err2str(rc));
            return 1;
        }
        if (i % 1000 == 0)
            rd_kafka_poll(rk, 0);
    }
    rd_kafka_flush(rk, 120000);
    rd_kafka_destroy(rk);
    if (acknowledged != count)
        fprintf(stderr, "load: %ld of %ld acknowledged, %ld refused\n", acknowledged, count,
                refused);
    return acknowledged == count ? 0 : 1;
}
