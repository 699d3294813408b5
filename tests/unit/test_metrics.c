/* Tests of the metrics registry and its text. */
#include "common/metrics.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const jm_metric_def plain_def = {
    .name = "jm_plain_total", .help = "One \\ two\nthree.", .kind = JM_COUNTER};
static const jm_metric_def labelled_def = {
    .name = "jm_labelled", .help = "Labels.", .kind = JM_GAUGE, .labels = {"a", "b"}, .per = 1000};
static const jm_metric_def histogram_def = {.name = "jm_seconds",
                                            .help = "Times.",
                                            .kind = JM_HISTOGRAM,
                                            .labels = {"type"},
                                            .per = 1000000,
                                            .bounds = {500, 1000000, 2500000}};

static void expect(jm_metrics *metrics, const char *text)
{
    jm_buf out = {0};
    jm_metrics_write(metrics, &out);
    ck_assert_str_eq(jm_buf_str(&out), text);
    jm_buf_fini(&out);
}

START_TEST(counters_and_gauges)
{
    jm_metrics *metrics = jm_metrics_new();
    jm_metric *plain = jm_metrics_add(metrics, &plain_def);
    jm_metric *labelled = jm_metrics_add(metrics, &labelled_def);
    jm_series_add(jm_metric_get(plain, NULL), 3);
    jm_series_add(jm_metric_get(plain, NULL), 4);
    jm_series_add(NULL, 4);
    expect(metrics, "# HELP jm_plain_total One \\\\ two\\nthree.\n# TYPE jm_plain_total counter\n"
                    "jm_plain_total 7\n"); /* a gauge that nobody has set is not told */
    jm_series_set(jm_metric_get(labelled, (const char *[]){"x", "q\"\\\n"}), -1500);
    jm_series_set(jm_metric_get(labelled, (const char *[]){"y", ""}), 2000);
    jm_series_set(jm_metric_get(labelled, (const char *[]){"y", NULL}), 1);
    expect(metrics, "# HELP jm_plain_total One \\\\ two\\nthree.\n# TYPE jm_plain_total counter\n"
                    "jm_plain_total 7\n"
                    "# HELP jm_labelled Labels.\n# TYPE jm_labelled gauge\n"
                    "jm_labelled{a=\"x\",b=\"q\\\"\\\\\\n\"} -1.5\n"
                    "jm_labelled{a=\"y\",b=\"\"} 0.001\n");
    jm_metric_hide(labelled, "x");
    expect(metrics, "# HELP jm_plain_total One \\\\ two\\nthree.\n# TYPE jm_plain_total counter\n"
                    "jm_plain_total 7\n"
                    "# HELP jm_labelled Labels.\n# TYPE jm_labelled gauge\n"
                    "jm_labelled{a=\"y\",b=\"\"} 0.001\n");
    jm_metric_hide(labelled, NULL);
    expect(metrics, "# HELP jm_plain_total One \\\\ two\\nthree.\n# TYPE jm_plain_total counter\n"
                    "jm_plain_total 7\n");
    jm_metrics_free(metrics);
}
END_TEST

START_TEST(histograms)
{
    jm_metrics *metrics = jm_metrics_new();
    jm_metric *metric = jm_metrics_add(metrics, &histogram_def);
    jm_series *series = jm_metric_get(metric, (const char *[]){"t"});
    jm_samples samples = {0};
    jm_series_observe(series, 500); /* a bound is inside its bucket */
    jm_series_observe(series, 501);
    jm_samples_add(&samples, &histogram_def, 2500001);
    jm_samples_add(&samples, &histogram_def, 0);
    jm_series_add_samples(series, &samples);
    expect(metrics, "# HELP jm_seconds Times.\n# TYPE jm_seconds histogram\n"
                    "jm_seconds_bucket{type=\"t\",le=\"0.0005\"} 2\n"
                    "jm_seconds_bucket{type=\"t\",le=\"1\"} 3\n"
                    "jm_seconds_bucket{type=\"t\",le=\"2.5\"} 3\n"
                    "jm_seconds_bucket{type=\"t\",le=\"+Inf\"} 4\n"
                    "jm_seconds_sum{type=\"t\"} 2.501002\n"
                    "jm_seconds_count{type=\"t\"} 4\n");
    jm_metrics_free(metrics);
}
END_TEST

static int64_t sum_of(jm_metrics *metrics, const char *name)
{
    jm_buf out = {0};
    int64_t sum = 0;
    char *save = NULL;
    jm_buf_addc(&out, '\n');
    jm_metrics_write(metrics, &out);
    for (char *line = strtok_r(out.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        size_t n = strlen(name);
        if (!strncmp(line, name, n) && (line[n] == '{' || line[n] == ' '))
            sum += strtoll(strrchr(line, ' ') + 1, NULL, 10);
    }
    jm_buf_fini(&out);
    return sum;
}

START_TEST(series_are_bounded)
{
    jm_metrics *metrics = jm_metrics_new();
    jm_metric *metric = jm_metrics_add(metrics, &labelled_def);
    for (int i = 0; i < JM_METRIC_SERIES_MAX + 500; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        jm_series_add(jm_metric_get(metric, (const char *[]){name, "b"}), 1);
    }
    jm_series *other = jm_metric_get(metric, (const char *[]){"other", "other"});
    ck_assert_ptr_eq(other, jm_metric_get(metric, (const char *[]){"never seen", "b"}));
    ck_assert_ptr_ne(other, jm_metric_get(metric, (const char *[]){"t0", "b"}));
    jm_metrics_free(metrics);
}
END_TEST

START_TEST(tallies)
{
    static const jm_metric_def def = {
        .name = "jm_jobs_total", .help = "Jobs.", .kind = JM_COUNTER, .labels = {"queue", "type"}};
    jm_metrics *metrics = jm_metrics_new();
    jm_tally tally;
    jm_sampler sampler;
    jm_tally_init(&tally, jm_metrics_add(metrics, &def));
    jm_sampler_init(&sampler, jm_metrics_add(metrics, &histogram_def));
    char types[100][16]; /* more than a tally holds at once; borrowed until the flush */
    for (int i = 0; i < 1000; i++) {
        char *type = types[i % 100];
        snprintf(type, 16, "t%d", i % 100);
        jm_tally_add(&tally, (const char *[]){"q", type});
        jm_sampler_add(&sampler, type, i);
    }
    jm_tally_flush(&tally);
    jm_tally_flush(&tally);
    jm_sampler_flush(&sampler);
    jm_sampler_flush(&sampler);
    ck_assert_int_eq(sum_of(metrics, "jm_jobs_total"), 1000);
    ck_assert_int_eq(sum_of(metrics, "jm_seconds_count"), 1000);
    jm_tally_init(&tally, NULL); /* nobody counts */
    jm_tally_add(&tally, (const char *[]){"q", "t"});
    jm_tally_flush(&tally);
    jm_metrics_free(metrics);
}
END_TEST

static void *count(void *arg)
{
    jm_metric *metric = arg;
    for (int i = 0; i < 20000; i++)
        jm_series_add(jm_metric_get(metric, (const char *[]){i % 2 ? "odd" : "even"}), 1);
    return NULL;
}

START_TEST(threads_count_together)
{
    static const jm_metric_def def = {
        .name = "jm_n_total", .help = "N.", .kind = JM_COUNTER, .labels = {"which"}};
    jm_metrics *metrics = jm_metrics_new();
    jm_metric *metric = jm_metrics_add(metrics, &def);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count, metric), 0);
    for (int i = 0; i < 20; i++)
        sum_of(metrics, "jm_n_total"); /* a reader beside them */
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(sum_of(metrics, "jm_n_total"), 60000);
    jm_metrics_free(metrics);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tcase = tcase_create("metrics");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, counters_and_gauges);
    tcase_add_test(tcase, histograms);
    tcase_add_test(tcase, series_are_bounded);
    tcase_add_test(tcase, tallies);
    tcase_add_test(tcase, threads_count_together);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
