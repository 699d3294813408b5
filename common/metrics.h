/* Metrics of a process, as Prometheus reads them: families of counters, gauges and histograms with
 * labels, each family registered once with its help. Values are atomics: counting takes no lock. */
#ifndef JM_METRICS_H
#define JM_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct jm_metrics jm_metrics;
typedef struct jm_metric jm_metric; /* a family; lives as long as its registry */
typedef struct jm_series jm_series; /* one combination of label values; likewise */

enum {
    JM_METRIC_LABELS = 4,  /* labels of a family at most */
    JM_METRIC_BOUNDS = 24, /* bounds of a histogram at most */
    JM_METRIC_SERIES_MAX =
        2000 /* of a family: what comes after goes to one whose values are "other" */
};

typedef enum jm_metric_kind { JM_COUNTER, JM_GAUGE, JM_HISTOGRAM } jm_metric_kind;

/* Static. Values are whole numbers of 1/per; a family in seconds that is fed microseconds has per
 * 1000000. */
typedef struct jm_metric_def {
    const char *name; /* with unit, and _total for counters */
    const char *help; /* one line */
    jm_metric_kind kind;
    const char *labels[JM_METRIC_LABELS + 1]; /* NULL-terminated */
    int64_t per;                              /* 0: 1 */
    int64_t bounds[JM_METRIC_BOUNDS];         /* of a histogram: rising, ended by 0 */
} jm_metric_def;

jm_metrics *jm_metrics_new(void);
void jm_metrics_free(jm_metrics *metrics); /* NULL is fine */

/* Any thread. A family without labels has its series from now on. */
jm_metric *jm_metrics_add(jm_metrics *metrics, const jm_metric_def *def);
/* The series of these values, one a label in their order (none: NULL), made if it is not there. Any
 * thread; takes a lock for a moment: ask once a batch, not once a job. */
jm_series *jm_metric_get(jm_metric *metric, const char *const *values);
/* Leaves series of a gauge (those whose first label has this value; NULL: all) out of the text
 * until they are set again: for labels that come and go. */
void jm_metric_hide(jm_metric *metric, const char *first);

/* Any thread, no lock. NULL series are fine: nothing is counted. */
void jm_series_add(jm_series *series, int64_t n);     /* of a counter */
void jm_series_set(jm_series *series, int64_t value); /* of a gauge; also of a counter that is kept
                                                         elsewhere */
void jm_series_observe(jm_series *series, int64_t value); /* of a histogram */

/* What one thread has observed, to be added to a histogram's series in one go; {0} is empty. */
typedef struct jm_samples {
    int64_t counts[JM_METRIC_BOUNDS + 1];
    int64_t sum, n;
} jm_samples;
void jm_samples_add(jm_samples *samples, const jm_metric_def *def, int64_t value);
void jm_series_add_samples(jm_series *series, const jm_samples *samples);

/* Counts of one thread by label values, added to their series in one go: for what is counted once a
 * job. The strings are borrowed until the flush. Embedded. */
typedef struct jm_tally {
    jm_metric *metric; /* NULL: nothing is counted */
    int n, last;
    struct {
        const char *values[JM_METRIC_LABELS];
        int64_t count;
    } groups[32];
} jm_tally;

void jm_tally_init(jm_tally *tally, jm_metric *metric);
/* values: one a label. Groups of the same pointers are found fastest. */
void jm_tally_add(jm_tally *tally, const char *const *values);
void jm_tally_flush(jm_tally *tally);

/* The same for a histogram with one label. */
typedef struct jm_sampler {
    jm_metric *metric; /* NULL: nothing is counted */
    int n, last;
    struct {
        const char *value;
        jm_samples samples;
    } groups[8];
} jm_sampler;

void jm_sampler_init(jm_sampler *sampler, jm_metric *metric);
void jm_sampler_add(jm_sampler *sampler, const char *label, int64_t value);
void jm_sampler_flush(jm_sampler *sampler);

/* fn is called before each text is written, by the thread that writes it: for gauges that are
 * looked up rather than kept. It must not block. */
void jm_metrics_on_write(jm_metrics *metrics, void (*fn)(void *ctx), void *ctx);
/* Appends the text format 0.0.4. Any thread. */
void jm_metrics_write(jm_metrics *metrics, jm_buf *out);
#define JM_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
