/* Fuzz target of cron expressions: any text is refused with a reason, or its instants agree with
 * each other. The first byte chooses the rules for clock changes. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/mem.h"
#include "producer/recurrence.h"
#include "tests/fuzz/fuzz.h"

static const int64_t march_us = 1772600000000000; /* 2026-03-04, days before a clock change */

static void check(const jm_recurrence *r)
{
    int64_t at = march_us, back, last;
    int n = 0;
    while (n < 50) {
        int64_t next;
        unsigned notes, notes_back;
        if (!jm_recurrence_next(r, at, &next, &notes))
            break;
        assert(next > at && next % 1000000 == 0);
        assert(jm_recurrence_previous(r, next + 1, &back, &notes_back));
        assert(back == next && notes_back == notes);
        assert(n == 0 || (jm_recurrence_previous(r, next, &back, NULL) && back == at));
        at = next;
        n++;
    }
    assert(jm_recurrence_count(r, march_us, at) == n);
    assert(jm_recurrence_last(r, march_us, at, &last) == (n > 0));
    assert(n == 0 || last == at);
}

/* A sentence for whatever is accepted, and for nothing else. */
static void check_sentence(const jm_recurrence_spec *spec, bool accepted)
{
    jm_buf sentence = {0};
    assert(!jm_recurrence_describe(spec, &sentence, NULL) == accepted);
    assert(!accepted || (sentence.len > 10 && !memchr(sentence.data, 0, sentence.len)));
    jm_buf_fini(&sentence);
}

static void check_every(const char *text)
{
    jm_err err = {0};
    int64_t s = -1;
    int code = jm_cron_every(text, &s, &err);
    assert(code ? err.code == code && err.msg[0] : s >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static jm_zone_cache *zones;
    jm_recurrence r;
    jm_err err = {0};
    if (!size)
        return 0;
    if (!zones)
        zones = jm_zone_cache_new(NULL);
    char *text = jm_strndup((const char *)data + 1, size - 1);
    jm_recurrence_spec spec = {.cron_expression = text,
                               .timezone = "America/New_York",
                               .dst_gap = (jm_dst_gap)(data[0] % 3),
                               .dst_fold = (jm_dst_fold)(data[0] / 3 % 4)};
    int code = jm_recurrence_init(&r, &spec, zones, &err);
    if (!code)
        check(&r);
    else
        assert(err.code == code && err.msg[0] &&
               (!jm_utf8_is_valid(text, strlen(text), NULL) ||
                jm_utf8_is_valid(err.msg, strlen(err.msg), NULL)));
    check_sentence(&spec, !code);
    check_every(text);
    free(text);
    return 0;
}
