/* Families, their series, and the Prometheus text. */
#include "common/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

struct jm_series {
    jm_metric *metric;
    char *key; /* the values, each ended by a NUL */
    size_t key_len;
    _Atomic bool shown;
    _Atomic int64_t value;   /* histograms: the sum */
    _Atomic int64_t *counts; /* histograms: by bucket, the last beyond all bounds */
    jm_series *next;         /* in the order of their making */
    UT_hash_handle hh;
};

struct jm_metric {
    jm_metrics *metrics;
    const jm_metric_def *def;
    int n_labels, n_bounds;
    jm_series *by_key, *first, **last;
    jm_metric *next;
};

struct jm_metrics {
    pthread_mutex_t lock; /* of all lists; values are atomics */
    jm_metric *first, **last;
    void (*on_write)(void *ctx);
    void *ctx;
};

jm_metrics *jm_metrics_new(void)
{
    jm_metrics *metrics = jm_calloc(1, sizeof *metrics);
    pthread_mutex_init(&metrics->lock, NULL);
    metrics->last = &metrics->first;
    return metrics;
}

static void free_metric(jm_metric *metric)
{
    HASH_CLEAR(hh, metric->by_key);
    for (jm_series *series = metric->first, *next; series; series = next) {
        next = series->next;
        free(series->key);
        free((void *)series->counts);
        free(series);
    }
    free(metric);
}

void jm_metrics_free(jm_metrics *metrics)
{
    if (!metrics)
        return;
    for (jm_metric *metric = metrics->first, *next; metric; metric = next) {
        next = metric->next;
        free_metric(metric);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

jm_metric *jm_metrics_add(jm_metrics *metrics, const jm_metric_def *def)
{
    jm_metric *metric = jm_calloc(1, sizeof *metric);
    metric->metrics = metrics;
    metric->def = def;
    metric->last = &metric->first;
    while (def->labels[metric->n_labels])
        metric->n_labels++;
    while (metric->n_bounds < JM_METRIC_BOUNDS && def->bounds[metric->n_bounds])
        metric->n_bounds++;
    assert(metric->n_labels <= JM_METRIC_LABELS);
    pthread_mutex_lock(&metrics->lock);
    *metrics->last = metric;
    metrics->last = &metric->next;
    pthread_mutex_unlock(&metrics->lock);
    if (!metric->n_labels)
        jm_metric_get(metric, NULL);
    return metric;
}

static jm_series *make_series(jm_metric *metric, const char *key, size_t len)
{
    jm_series *series = jm_calloc(1, sizeof *series);
    series->metric = metric;
    series->key = jm_malloc(len + 1);
    memcpy(series->key, key, len);
    series->key_len = len;
    atomic_store(&series->shown, metric->def->kind != JM_GAUGE);
    if (metric->def->kind == JM_HISTOGRAM)
        series->counts = jm_calloc((size_t)metric->n_bounds + 1, sizeof *series->counts);
    *metric->last = series;
    metric->last = &series->next;
    HASH_ADD_KEYPTR(hh, metric->by_key, series->key, series->key_len, series);
    return series;
}

static void add_key(jm_buf *key, const char *value)
{
    jm_buf_add(key, value, strlen(value) + 1);
}

jm_series *jm_metric_get(jm_metric *metric, const char *const *values)
{
    jm_buf key = {0};
    jm_series *series;
    for (int i = 0; i < metric->n_labels; i++)
        add_key(&key, values && values[i] ? values[i] : "");
    pthread_mutex_lock(&metric->metrics->lock);
    HASH_FIND(hh, metric->by_key, jm_buf_str(&key), key.len, series);
    if (!series && HASH_COUNT(metric->by_key) >= JM_METRIC_SERIES_MAX) {
        jm_buf_clear(&key);
        for (int i = 0; i < metric->n_labels; i++)
            add_key(&key, "other");
        HASH_FIND(hh, metric->by_key, key.data, key.len, series);
    }
    if (!series)
        series = make_series(metric, jm_buf_str(&key), key.len);
    pthread_mutex_unlock(&metric->metrics->lock);
    jm_buf_fini(&key);
    return series;
}

void jm_metric_hide(jm_metric *metric, const char *first)
{
    pthread_mutex_lock(&metric->metrics->lock);
    for (jm_series *series = metric->first; series; series = series->next)
        if (!first || !strcmp(series->key, first))
            atomic_store_explicit(&series->shown, false, memory_order_relaxed);
    pthread_mutex_unlock(&metric->metrics->lock);
}

/* ---- values ---- */

void jm_series_add(jm_series *series, int64_t n)
{
    if (series && n)
        atomic_fetch_add_explicit(&series->value, n, memory_order_relaxed);
}

void jm_series_set(jm_series *series, int64_t value)
{
    if (!series)
        return;
    atomic_store_explicit(&series->value, value, memory_order_relaxed);
    atomic_store_explicit(&series->shown, true, memory_order_relaxed);
}

static int bucket_of(const jm_metric_def *def, int64_t value)
{
    int i = 0;
    while (i < JM_METRIC_BOUNDS && def->bounds[i] && value > def->bounds[i])
        i++;
    return i;
}

void jm_samples_add(jm_samples *samples, const jm_metric_def *def, int64_t value)
{
    samples->counts[bucket_of(def, value)]++;
    samples->sum += value;
    samples->n++;
}

void jm_series_add_samples(jm_series *series, const jm_samples *samples)
{
    if (!series || !samples->n)
        return;
    for (int i = 0; i <= series->metric->n_bounds; i++)
        if (samples->counts[i])
            atomic_fetch_add_explicit(&series->counts[i], samples->counts[i], memory_order_relaxed);
    atomic_fetch_add_explicit(&series->value, samples->sum, memory_order_relaxed);
}

void jm_series_observe(jm_series *series, int64_t value)
{
    if (!series)
        return;
    int i = bucket_of(series->metric->def, value);
    atomic_fetch_add_explicit(&series->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->value, value, memory_order_relaxed);
}

/* ---- tallies ---- */

void jm_tally_init(jm_tally *tally, jm_metric *metric)
{
    tally->metric = metric;
    tally->n = tally->last = 0;
}

/* Whether group i has these values; by pointer alone, or by text. */
static bool is_group(const jm_tally *tally, int i, const char *const *values, bool by_text)
{
    for (int k = 0; k < tally->metric->n_labels; k++) {
        const char *have = tally->groups[i].values[k];
        if (have != values[k] && (!by_text || strcmp(have, values[k]) != 0))
            return false;
    }
    return true;
}

static int group_of(jm_tally *tally, const char *const *values)
{
    for (int i = 0; i < tally->n; i++)
        if (is_group(tally, i, values, true))
            return i;
    if (tally->n == (int)(sizeof tally->groups / sizeof *tally->groups))
        jm_tally_flush(tally);
    for (int k = 0; k < tally->metric->n_labels; k++)
        tally->groups[tally->n].values[k] = values[k];
    tally->groups[tally->n].count = 0;
    return tally->n++;
}

void jm_tally_add(jm_tally *tally, const char *const *values)
{
    if (!tally->metric)
        return;
    if (!tally->n || !is_group(tally, tally->last, values, false))
        tally->last = group_of(tally, values);
    tally->groups[tally->last].count++;
}

void jm_tally_flush(jm_tally *tally)
{
    for (int i = 0; i < tally->n; i++)
        jm_series_add(jm_metric_get(tally->metric, tally->groups[i].values),
                      tally->groups[i].count);
    tally->n = tally->last = 0;
}

void jm_sampler_init(jm_sampler *sampler, jm_metric *metric)
{
    sampler->metric = metric;
    sampler->n = sampler->last = 0;
}

static int sample_group(jm_sampler *sampler, const char *label)
{
    for (int i = 0; i < sampler->n; i++)
        if (!strcmp(sampler->groups[i].value, label))
            return i;
    if (sampler->n == (int)(sizeof sampler->groups / sizeof *sampler->groups))
        jm_sampler_flush(sampler);
    sampler->groups[sampler->n].value = label;
    sampler->groups[sampler->n].samples = (jm_samples){0};
    return sampler->n++;
}

void jm_sampler_add(jm_sampler *sampler, const char *label, int64_t value)
{
    if (!sampler->metric)
        return;
    if (!sampler->n || sampler->groups[sampler->last].value != label)
        sampler->last = sample_group(sampler, label);
    jm_samples_add(&sampler->groups[sampler->last].samples, sampler->metric->def, value);
}

void jm_sampler_flush(jm_sampler *sampler)
{
    for (int i = 0; i < sampler->n; i++)
        jm_series_add_samples(jm_metric_get(sampler->metric, &sampler->groups[i].value),
                              &sampler->groups[i].samples);
    sampler->n = sampler->last = 0;
}

/* ---- text ---- */

/* Help escapes backslash and newline, label values the quote as well. */
static void add_escaped(jm_buf *out, const char *text, bool quote)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            jm_buf_adds(out, "\\n");
        else if (*p == '\\' || (quote && *p == '"'))
            jm_buf_addf(out, "\\%c", *p);
        else
            jm_buf_addc(out, *p);
    }
}

/* {a="x",b="y",le="1"}; le NULL: without. Nothing where there is no label. */
static void add_labels(jm_buf *out, const jm_series *series, const char *le)
{
    const jm_metric *metric = series->metric;
    const char *value = series->key;
    if (!metric->n_labels && !le)
        return;
    jm_buf_addc(out, '{');
    for (int i = 0; i < metric->n_labels; i++) {
        jm_buf_addf(out, "%s%s=\"", i ? "," : "", metric->def->labels[i]);
        add_escaped(out, value, true);
        jm_buf_addc(out, '"');
        value += strlen(value) + 1;
    }
    if (le)
        jm_buf_addf(out, "%sle=\"%s\"", metric->n_labels ? "," : "", le);
    jm_buf_addc(out, '}');
}

/* value / per as a decimal number, exactly. */
static void add_value(jm_buf *out, const jm_metric *metric, int64_t value)
{
    uint64_t per = metric->def->per > 1 ? (uint64_t)metric->def->per : 1;
    if (value < 0)
        jm_buf_addc(out, '-');
    uint64_t whole = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    jm_buf_addf(out, "%" PRIu64, whole / per);
    if (whole % per)
        jm_buf_addc(out, '.');
    for (uint64_t rest = whole % per; rest; rest = rest * 10 % per)
        jm_buf_addc(out, (char)('0' + rest * 10 / per));
}

static void write_histogram(jm_buf *out, const jm_series *series)
{
    const jm_metric *metric = series->metric;
    int64_t sum = atomic_load(&series->value), n = 0;
    for (int i = 0; i <= metric->n_bounds; i++) {
        jm_buf le = {0};
        n += atomic_load_explicit(&series->counts[i], memory_order_relaxed);
        if (i < metric->n_bounds)
            add_value(&le, metric, metric->def->bounds[i]);
        else
            jm_buf_adds(&le, "+Inf");
        jm_buf_addf(out, "%s_bucket", metric->def->name);
        add_labels(out, series, le.data);
        jm_buf_addf(out, " %" PRId64 "\n", n);
        jm_buf_fini(&le);
    }
    jm_buf_addf(out, "%s_sum", metric->def->name);
    add_labels(out, series, NULL);
    jm_buf_addc(out, ' ');
    add_value(out, metric, sum);
    jm_buf_addf(out, "\n%s_count", metric->def->name);
    add_labels(out, series, NULL);
    jm_buf_addf(out, " %" PRId64 "\n", n);
}

static void write_series(jm_buf *out, const jm_series *series)
{
    if (series->metric->def->kind == JM_HISTOGRAM) {
        write_histogram(out, series);
        return;
    }
    jm_buf_adds(out, series->metric->def->name);
    add_labels(out, series, NULL);
    jm_buf_addc(out, ' ');
    add_value(out, series->metric, atomic_load_explicit(&series->value, memory_order_relaxed));
    jm_buf_addc(out, '\n');
}

static void write_metric(jm_buf *out, const jm_metric *metric)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    bool headed = false;
    for (const jm_series *series = metric->first; series; series = series->next) {
        if (!atomic_load_explicit(&series->shown, memory_order_relaxed))
            continue;
        if (!headed) {
            jm_buf_addf(out, "# HELP %s ", metric->def->name);
            add_escaped(out, metric->def->help, false);
            jm_buf_addf(out, "\n# TYPE %s %s\n", metric->def->name, kinds[metric->def->kind]);
        }
        headed = true;
        write_series(out, series);
    }
}

void jm_metrics_on_write(jm_metrics *metrics, void (*fn)(void *ctx), void *ctx)
{
    metrics->on_write = fn;
    metrics->ctx = ctx;
}

void jm_metrics_write(jm_metrics *metrics, jm_buf *out)
{
    if (metrics->on_write)
        metrics->on_write(metrics->ctx);
    pthread_mutex_lock(&metrics->lock);
    for (const jm_metric *metric = metrics->first; metric; metric = metric->next)
        write_metric(out, metric);
    pthread_mutex_unlock(&metrics->lock);
}
