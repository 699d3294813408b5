/* Fuzz target of calendars: any text is refused with a reason, as a definition and as an iCalendar
 * file, or makes a calendar whose stretches agree with its days. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "producer/calendar.h"
#include "producer/calendar_ical.h"
#include "tests/fuzz/fuzz.h"

static void check_error(const jm_err *err, int code)
{
    assert(err->code == code && err->msg[0]);
    assert(jm_utf8_is_valid(err->msg, strlen(err->msg), NULL));
}

static void check_stretches(const jm_calendar *calendar)
{
    int64_t day = 20500;
    for (int i = 0; i < 30; i++) {
        bool open = jm_calendar_is_open(calendar, day);
        int64_t next = jm_calendar_same_until(calendar, day);
        assert(next > day);
        assert(!open || jm_calendar_is_ever_open(calendar, day));
        if (next == INT64_MAX)
            return;
        assert(jm_calendar_is_open(calendar, next) != open);
        assert(jm_calendar_is_open(calendar, next - 1) == open);
        day = next;
    }
}

static void try_definition(const char *text, size_t size)
{
    jm_calendar *calendar;
    jm_err err = {0};
    int code = jm_calendar_parse(&calendar, text, size, &err);
    if (code)
        check_error(&err, code);
    else
        check_stretches(calendar);
    jm_calendar_free(calendar);
}

static void try_ical(const char *text, size_t size)
{
    json_t *definition;
    jm_calendar *calendar;
    jm_err err = {0};
    int code = jm_calendar_from_ical(text, size, 2026, 2030, &definition, &err);
    if (code) {
        check_error(&err, code);
        return;
    }
    char *json = json_dumps(definition, 0);
    assert(!jm_calendar_parse(&calendar, json, strlen(json), &err));
    check_stretches(calendar);
    jm_calendar_free(calendar);
    free(json);
    json_decref(definition);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && (data[0] == '{' || data[0] == '['))
        try_definition((const char *)data, size);
    else
        try_ical((const char *)data, size);
    return 0;
}
