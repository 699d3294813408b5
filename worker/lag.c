/* Consumer lag from librdkafka's statistics. */
#include "worker/lag.h"

#include <jansson.h>
#include <string.h>

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

/* A broker that hangs keeps its connections: what tells is that nothing comes. INT64_MAX: there is
 * no connection. */
static int64_t silent_us(const json_t *stats)
{
    const char *name;
    json_t *broker;
    int64_t least = -1;
    json_object_foreach(json_object_get(stats, "brokers"), name, broker)
    {
        const char *state = json_string_value(json_object_get(broker, "state"));
        int64_t idle = number(broker, "rxidle");
        if (state && !strcmp(state, "UP") && idle >= 0 && (least < 0 || idle < least))
            least = idle;
    }
    return least < 0 ? INT64_MAX : least;
}

int64_t jm_lag_read(jm_metric *lag, const char *topic, const char *json, size_t len)
{
    json_t *stats = lag ? json_loadb(json, len, 0, NULL) : NULL;
    if (!stats)
        return 0;
    int64_t silent = silent_us(stats);
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
    return silent;
}
