/* Consumer lag from librdkafka's statistics. */
#include "worker/lag.h"

#include <jansson.h>

static int64_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* From what has been accepted; before the first batch from what the group has committed, and where
 * it has committed nothing, from the beginning. -1: not known. */
static int64_t lag_of(const json_t *partition)
{
    int64_t lag = number(partition, "consumer_lag_stored");
    lag = lag >= 0 ? lag : number(partition, "consumer_lag");
    if (lag >= 0)
        return lag;
    int64_t high = number(partition, "hi_offset"), low = number(partition, "lo_offset");
    return high < 0 ? -1 : low < 0 ? high : high - low;
}

void jm_lag_read(jm_metric *lag, const char *topic, const char *json, size_t len)
{
    json_t *stats = lag ? json_loadb(json, len, 0, NULL) : NULL;
    if (!stats)
        return;
    const json_t *of_topic = json_object_get(json_object_get(stats, "topics"), topic);
    const char *name;
    json_t *partition;
    jm_metric_hide(lag, topic);
    json_object_foreach(json_object_get(of_topic, "partitions"), name, partition)
    {
        int64_t behind = lag_of(partition);
        if (*name != '-' && json_is_true(json_object_get(partition, "desired")) && behind >= 0)
            jm_series_set(jm_metric_get(lag, (const char *[]){topic, name}), behind);
    }
    json_decref(stats);
}
