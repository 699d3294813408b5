/* Answers what recurs when, a question a line, for tests that ask a hundred thousand times:
 *
 *   EXPRESSION tab ZONE tab GAP tab FOLD tab AFTER tab UNTIL     (GAP, FOLD: - for the default;
 *                                                                 AFTER, UNTIL: seconds)
 *   "ok" and each instant in (AFTER, UNTIL] as seconds, with "g" and "f" for its notes; or
 *   "error" and why. It is an error, too, when going backwards or counting gives something else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "producer/recurrence.h"
#include "producer/schedule.h"

#define FIELDS    6
#define SECOND_US 1000000

/* Cuts the line at its tabs. */
static bool cut(char *line, char *fields[FIELDS])
{
    line[strcspn(line, "\n")] = 0;
    for (int i = 0; i < FIELDS; i++) {
        fields[i] = line;
        line = line ? strchr(line, '\t') : NULL;
        if (line)
            *line++ = 0;
    }
    return fields[FIELDS - 1] && !line;
}

static int init(char *fields[FIELDS], jm_zone_cache *zones, jm_recurrence *r, jm_err *err)
{
    jm_recurrence_spec spec = {.cron_expression = fields[0], .timezone = fields[1]};
    bool known = (fields[2][0] == '-' || jm_dst_gap_parse(fields[2], &spec.dst_gap)) &&
                 (fields[3][0] == '-' || jm_dst_fold_parse(fields[3], &spec.dst_fold));
    if (!known)
        return jm_err_set(err, JM_ERR_INVALID, "no such rule: %s, %s", fields[2], fields[3]);
    return jm_recurrence_init(r, &spec, zones, err);
}

static void add_instant(jm_buf *out, int64_t at_us, unsigned notes)
{
    jm_buf_addf(out, " %lld%s%s", (long long)(at_us / SECOND_US),
                notes & JM_RECURRENCE_GAP ? "g" : "", notes & JM_RECURRENCE_FOLD ? "f" : "");
}

/* Appends the instants; returns how many. */
static int64_t walk(const jm_recurrence *r, int64_t after_us, int64_t until_us, jm_buf *out)
{
    int64_t n = 0, at_us = after_us;
    unsigned notes;
    while (jm_recurrence_next(r, at_us, &at_us, &notes) && at_us <= until_us) {
        add_instant(out, at_us, notes);
        n++;
    }
    return n;
}

/* Whether going backwards meets the same instants with the same notes. */
static bool agrees_backwards(const jm_recurrence *r, int64_t after_us, int64_t until_us,
                             const jm_buf *forward)
{
    jm_buf one = {0};
    int64_t at_us = until_us + 1;
    size_t left = forward->len;
    unsigned notes;
    bool same = true;
    while (same && jm_recurrence_previous(r, at_us, &at_us, &notes) && at_us > after_us) {
        jm_buf_clear(&one);
        add_instant(&one, at_us, notes);
        same = one.len <= left && !memcmp(forward->data + left - one.len, one.data, one.len);
        left -= same ? one.len : 0;
    }
    jm_buf_fini(&one);
    return same && !left;
}

static void answer(char *line, jm_zone_cache *zones, jm_buf *out)
{
    char *fields[FIELDS];
    jm_recurrence r;
    jm_err err;
    jm_buf_clear(out);
    if (!cut(line, fields)) {
        puts("error six fields expected");
        return;
    }
    if (init(fields, zones, &r, &err)) {
        printf("error %s\n", err.msg);
        return;
    }
    int64_t after_us = strtoll(fields[4], NULL, 10) * SECOND_US;
    int64_t until_us = strtoll(fields[5], NULL, 10) * SECOND_US;
    int64_t n = walk(&r, after_us, until_us, out);
    if (!agrees_backwards(&r, after_us, until_us, out))
        puts("error going backwards gives something else");
    else if (jm_recurrence_count(&r, after_us, until_us) != n)
        puts("error counting gives something else");
    else
        printf("ok%s\n", jm_buf_str(out));
}

int main(void)
{
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    jm_buf out = {0};
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        answer(line, zones, &out);
        fflush(stdout);
    }
    free(line);
    jm_buf_fini(&out);
    jm_zone_cache_free(zones);
    return 0;
}
