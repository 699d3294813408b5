/* Fuzz target of time zone files: any bytes are refused, or make a zone whose stretches fit
 * together. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "producer/recurrence.h"
#include "tests/fuzz/fuzz.h"

static void check_stretches(const jm_zone *zone)
{
    jm_zone_span span = jm_zone_find(zone, INT64_MIN);
    for (int i = 0; i < 200 && span.end_s != INT64_MAX; i++) {
        jm_zone_span next = jm_zone_find(zone, span.end_s);
        assert(next.start_s == span.end_s && next.end_s > next.start_s);
        assert(next.offset_s != span.offset_s);
        span = next;
    }
}

static void check_recurrence(jm_zone_cache *zones, const char *name)
{
    jm_recurrence r;
    jm_recurrence_spec spec = {
        .cron_expression = "30 2 * * *", .timezone = name, .dst_fold = JM_DST_FOLD_BOTH};
    int64_t at = 1772600000000000, from = at, next;
    assert(jm_recurrence_init(&r, &spec, zones, NULL) == 0);
    int n = 0;
    while (n < 20 && jm_recurrence_next(&r, at, &next, NULL)) {
        assert(next > at);
        at = next;
        n++;
    }
    assert(jm_recurrence_count(&r, from, at) == n);
    for (int64_t back = at + 1; n > 0; n--) {
        assert(jm_recurrence_previous(&r, back, &back, NULL));
        assert(back > from);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[32];
    const jm_zone *zone;
    jm_err err;
    int fd = memfd_create("zone", MFD_CLOEXEC);
    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(name, sizeof name, "fd/%d", fd);
    jm_zone_cache *zones = jm_zone_cache_new("/proc/self");
    if (!jm_zone_cache_get(zones, name, &zone, &err)) {
        char text[JM_ZONE_LOCAL_TEXT];
        check_stretches(zone);
        check_recurrence(zones, name);
        jm_zone_format(zone, 1772600000000001, text);
        jm_zone_find(zone, INT64_MAX);
        jm_zone_hash(zone);
    }
    jm_zone_cache_free(zones);
    close(fd);
    return 0;
}
