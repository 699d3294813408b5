/* Fuzz target of the spool's reader: any bytes give whole records or an end, and any record gives a
 * report that can be written and read again, or nothing. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/report_wire.h"
#include "worker/spool.h"

static void check_payload(const void *payload, size_t len)
{
    /* A copy of its exact size: a look behind the end shows. */
    char *copy = malloc(len ? len : 1);
    assert(copy);
    memcpy(copy, payload, len);
    jm_report *report = jm_report_decode(copy, len);
    free(copy);
    if (!report)
        return;
    jm_db_clock clock = {0};
    jm_buf once = {0}, twice = {0};
    jm_report_encode(report, &clock, true, &once);
    jm_report *again = jm_report_decode(once.data, once.len);
    assert(again);
    assert(again->n_steps == report->n_steps && again->n_logs == report->n_logs);
    jm_report_encode(again, &clock, true, &twice);
    assert(once.len == twice.len && !memcmp(once.data, twice.data, once.len));
    jm_buf_fini(&once);
    jm_buf_fini(&twice);
    jm_report_free(again);
    jm_report_free(report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    const void *payload;
    size_t len, pos = 0, before = 0;
    while (jm_spool_parse(bytes, size, &pos, &payload, &len)) {
        assert(pos > before && pos <= size);
        assert((const char *)payload >= bytes && (const char *)payload + len == bytes + pos);
        check_payload(payload, len);
        before = pos;
    }
    check_payload(data, size); /* or no mutation would get behind the checksum */
    return 0;
}
