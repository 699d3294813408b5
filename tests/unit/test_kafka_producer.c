/* Tests of the idempotent producer and of topics, against a mock cluster in this process. */
#include "common/kafka.h"

#include <check.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

enum { DEADLINE_MS = 20000, PRODUCE_REQUEST = 0 };

typedef struct jm_fixture {
    rd_kafka_t *rk; /* owns the cluster */
    rd_kafka_mock_cluster_t *cluster;
    jm_config *config;
    jm_kafka_producer *producer;
    int delivered, failed, last_kafka;
    bool last_retriable;
} jm_fixture;

static jm_fixture fx; /* of the running test */

static void on_delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    ck_assert_ptr_eq(ctx, &fx);
    ck_assert_ptr_eq(opaque, &fx.delivered);
    if (rc) {
        fx.failed++;
        fx.last_kafka = err->kafka;
        fx.last_retriable = err->retriable;
    } else {
        fx.delivered++;
    }
}

static void load_config(const char *more)
{
    char servers[160];
    char *argv[] = {(char *)"test", (char *)"--config=/dev/null", servers, (char *)more, NULL};
    int argc = more ? 4 : 3;
    jm_err err;
    snprintf(servers, sizeof servers, "--kafka.bootstrap.servers=%s",
             rd_kafka_mock_cluster_bootstraps(fx.cluster));
    ck_assert_int_eq(jm_config_load(&fx.config, &argc, argv, &err), JM_OK);
}

static void set_up(void)
{
    char text[256];
    memset(&fx, 0, sizeof fx);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    fx.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    ck_assert_ptr_nonnull(fx.rk);
    fx.cluster = rd_kafka_mock_cluster_new(fx.rk, 1);
    rd_kafka_mock_topic_create(fx.cluster, "t", 2, 1);
    load_config(NULL);
    jm_err err;
    ck_assert_int_eq(
        jm_kafka_producer_new(fx.config, "test", on_delivered, &fx, &fx.producer, &err), JM_OK);
}

static void tear_down(void)
{
    jm_kafka_producer_free(fx.producer, 5000);
    jm_config_free(fx.config);
    rd_kafka_mock_cluster_destroy(fx.cluster);
    rd_kafka_destroy(fx.rk);
}

static int send_one(size_t len)
{
    jm_err err = {0};
    char *value = jm_calloc(1, len);
    jm_header header = {.name = "jobmill-job", .value = "id", .len = 2};
    int rc = jm_kafka_producer_send(fx.producer, "t", "key", 3, value, len, &header, 1,
                                    &fx.delivered, &err);
    fx.last_retriable = err.retriable;
    free(value);
    return rc;
}

/* Polls until so many have been reported. */
static void wait_reports(int delivered, int failed)
{
    int64_t deadline = jm_mono_ms() + DEADLINE_MS;
    while ((fx.delivered < delivered || fx.failed < failed) && jm_mono_ms() < deadline)
        jm_kafka_producer_poll(fx.producer, 50);
    ck_assert_int_eq(fx.delivered, delivered);
    ck_assert_int_eq(fx.failed, failed);
}

START_TEST(delivers)
{
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(send_one(10), JM_OK);
    ck_assert_uint_eq(jm_kafka_producer_in_flight(fx.producer), 100);
    wait_reports(100, 0);
    ck_assert_uint_eq(jm_kafka_producer_in_flight(fx.producer), 0);
}
END_TEST

START_TEST(wakes_by_descriptor)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    jm_kafka_producer_wake_fd(fx.producer, fd);
    ck_assert_int_eq(send_one(10), JM_OK);
    int64_t deadline = jm_mono_ms() + DEADLINE_MS;
    while (!fx.delivered && jm_mono_ms() < deadline) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        ck_assert_int_eq(poll(&pfd, 1, DEADLINE_MS), 1);
        uint64_t count;
        ck_assert_int_eq(read(fd, &count, sizeof count), sizeof count);
        jm_kafka_producer_poll(fx.producer, 0);
    }
    ck_assert_int_eq(fx.delivered, 1);
    jm_kafka_producer_free(fx.producer, 0);
    fx.producer = NULL;
    close(fd);
}
END_TEST

START_TEST(refuses_what_is_too_large_for_good)
{
    ck_assert_int_eq(send_one(4 << 20), JM_ERR_KAFKA);
    ck_assert(!fx.last_retriable);
    ck_assert_int_eq(send_one(10), JM_OK);
    wait_reports(1, 0);
}
END_TEST

START_TEST(goes_on_after_a_fatal_error)
{
    ck_assert_int_eq(send_one(10), JM_OK);
    wait_reports(1, 0);
    /* A gap in the sequence is what ends an idempotent producer for good. */
    rd_kafka_mock_push_request_errors(fx.cluster, PRODUCE_REQUEST, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(send_one(10), JM_OK);
    wait_reports(1, 1);
    ck_assert(fx.last_retriable);
    int64_t deadline = jm_mono_ms() + DEADLINE_MS;
    while (send_one(10) != JM_OK && jm_mono_ms() < deadline)
        jm_kafka_producer_poll(fx.producer, 50);
    wait_reports(2, 1);
}
END_TEST

START_TEST(reports_everything_at_the_end)
{
    rd_kafka_mock_broker_set_down(fx.cluster, 1);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(send_one(10), JM_OK);
    jm_kafka_producer_free(fx.producer, 50);
    fx.producer = NULL;
    ck_assert_int_eq(fx.failed, 10);
}
END_TEST

START_TEST(says_whether_kafka_answers)
{
    ck_assert(jm_kafka_producer_answers(fx.producer, DEADLINE_MS));
    rd_kafka_mock_broker_set_down(fx.cluster, 1);
    int64_t deadline = jm_mono_ms() + DEADLINE_MS;
    while (jm_kafka_producer_answers(fx.producer, 100) && jm_mono_ms() < deadline)
        ;
    ck_assert(!jm_kafka_producer_answers(fx.producer, 100));
}
END_TEST

START_TEST(topics)
{
    jm_err err = {0};
    bool created = true;
    char *topic = jm_kafka_queue_topic(fx.config, "mail");
    ck_assert_str_eq(topic, "jobmill.jobs.mail");
    /* The mock cluster has no CreateTopics: asking about a topic makes it. */
    ck_assert_msg(!jm_kafka_topic_create(fx.config, topic, DEADLINE_MS, &created, &err), "%s",
                  err.msg);
    free(topic);
}
END_TEST

START_TEST(queue_names)
{
    static const char longest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    ck_assert_uint_eq(strlen(longest), 63);
    ck_assert(jm_kafka_queue_is_valid("default"));
    ck_assert(jm_kafka_queue_is_valid("a-1"));
    ck_assert(jm_kafka_queue_is_valid(longest));
    ck_assert(!jm_kafka_queue_is_valid(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    ck_assert(!jm_kafka_queue_is_valid(""));
    ck_assert(!jm_kafka_queue_is_valid("A"));
    ck_assert(!jm_kafka_queue_is_valid("a.b"));
}
END_TEST

START_TEST(what_librdkafka_refuses_is_named)
{
    jm_config_free(fx.config);
    load_config("--kafka.max.in.flight=10");
    jm_kafka_producer *producer = NULL;
    jm_err err = {0};
    ck_assert_int_eq(jm_kafka_producer_new(fx.config, "test", on_delivered, &fx, &producer, &err),
                     JM_ERR_INVALID);
    ck_assert_str_eq(err.field, "kafka");
    ck_assert_ptr_nonnull(strstr(err.msg, "max.in.flight"));
    ck_assert_ptr_null(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka_producer");
    TCase *tc = tcase_create("mock");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, delivers);
    tcase_add_test(tc, wakes_by_descriptor);
    tcase_add_test(tc, refuses_what_is_too_large_for_good);
    tcase_add_test(tc, goes_on_after_a_fatal_error);
    tcase_add_test(tc, reports_everything_at_the_end);
    tcase_add_test(tc, says_whether_kafka_answers);
    tcase_add_test(tc, topics);
    tcase_add_test(tc, queue_names);
    tcase_add_test(tc, what_librdkafka_refuses_is_named);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
