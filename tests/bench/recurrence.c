/* What a next instant costs: the median of many, for common expressions in a zone whose clocks are
 * changed. Prints nanoseconds, forwards and backwards; ninja bench_recurrence builds it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "producer/recurrence.h"

#define ROUNDS 2001
#define CALLS  50 /* a round; the clock's own cost vanishes */

static const int64_t start_us = 1767225600000000; /* 2026 */

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

typedef bool step(const jm_recurrence *r, int64_t from_us, int64_t *out_us, unsigned *notes);

/* Walks on, and begins anew where there is nothing more. */
static int64_t median_ns(const jm_recurrence *r, step *go)
{
    static int64_t rounds[ROUNDS];
    int64_t at_us = start_us;
    unsigned notes;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t begin_ns = now_ns();
        for (int j = 0; j < CALLS; j++)
            if (!go(r, at_us, &at_us, &notes))
                at_us = start_us;
        rounds[i] = (now_ns() - begin_ns) / CALLS;
    }
    qsort(rounds, ROUNDS, sizeof *rounds, by_value);
    return rounds[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    static const char *const texts[] = {"* * * * *",  "*/5 * * * *",       "0 * * * *",
                                        "30 2 * * *", "*/15 9-17 * * 1-5", "0 0 1 * *",
                                        "0 0 L * *",  "0 9 15W * *",       "0 9 * * fri#2",
                                        "0 0 13 * 5", "0 0 29 2 *",        "*/10 * * * * *"};
    const char *zone = argc > 1 ? argv[1] : "America/New_York";
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    printf("%-20s %8s %8s   ns in %s\n", "expression", "next", "previous", zone);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        jm_recurrence r;
        jm_err err;
        jm_recurrence_spec spec = {.cron_expression = texts[i], .timezone = zone};
        if (jm_recurrence_init(&r, &spec, zones, &err)) {
            fprintf(stderr, "%s\n", err.msg);
            return EXIT_FAILURE;
        }
        printf("%-20s %8lld %8lld\n", texts[i], (long long)median_ns(&r, jm_recurrence_next),
               (long long)median_ns(&r, jm_recurrence_previous));
    }
    jm_zone_cache_free(zones);
    return EXIT_SUCCESS;
}
