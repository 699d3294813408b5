/* Tests of calendars from iCalendar files: what an event's days are, recurrences and their
 * exceptions, and where a message says that something is wrong. */
#include "producer/calendar_ical.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "producer/calendar.h"

#define NL "\r\n"
/* Lines 3 to ... of a calendar. */
#define CALENDAR(events) "BEGIN:VCALENDAR" NL "VERSION:2.0" NL events "END:VCALENDAR" NL
#define EVENT(lines)     "BEGIN:VEVENT" NL lines "END:VEVENT" NL
#define ONE(lines)       CALENDAR(EVENT(lines))

static char *rules_of(const char *text, int from_year, int to_year, jm_err *err)
{
    json_t *definition;
    *err = (jm_err){0};
    if (jm_calendar_from_ical(text, strlen(text), from_year, to_year, &definition, err)) {
        ck_assert_ptr_null(definition);
        return NULL;
    }
    jm_buf buf = {0};
    size_t i;
    json_t *rule;
    json_array_foreach(json_object_get(definition, "exclude"), i, rule)
    {
        jm_buf_addf(&buf, "%s%s", i ? " " : "", json_string_value(rule));
    }
    json_decref(definition);
    return jm_buf_take(&buf);
}

static const struct {
    const char *text, *rules; /* from 2026 to 2028 */
} read[] = {
    /* dates */
    {ONE("DTSTART;VALUE=DATE:20261225" NL), "2026-12-25"},
    {ONE("DTSTART:20261225" NL "DTEND:20261225" NL), "2026-12-25"},
    {ONE("DTSTART;VALUE=DATE:20261225" NL "DTEND;VALUE=DATE:20261227" NL),
     "2026-12-25..2026-12-26"},
    {ONE("DTSTART;VALUE=DATE:20261225" NL "DURATION:P3D" NL), "2026-12-25..2026-12-27"},
    {ONE("DTSTART;VALUE=DATE:20251224" NL "DTEND;VALUE=DATE:20260105" NL),
     "2026-01-01..2026-01-04"},
    {ONE("DTSTART;VALUE=DATE:20281230" NL "DURATION:P1W" NL), "2028-12-30..2028-12-31"},
    /* times: the local dates that they touch */
    {ONE("DTSTART:20260301T090000Z" NL), "2026-03-01"},
    {ONE("DTSTART;TZID=Europe/Paris:20260301T220000" NL
         "DTEND;TZID=Europe/Paris:20260302T000000" NL),
     "2026-03-01"},
    {ONE("DTSTART:20260301T220000" NL "DTEND:20260302T000001" NL), "2026-03-01..2026-03-02"},
    {ONE("DTSTART:20260301T220000" NL "DURATION:PT26H" NL), "2026-03-01..2026-03-02"},
    {ONE("DTSTART;TZID=Europe/Paris:20260301T220000" NL "DTEND:20260301T220000Z" NL), "2026-03-01"},
    {ONE("DTSTART;TZID=America/New_York:20260301T220000" NL "DTEND:20260302T060000Z" NL),
     "2026-03-01..2026-03-02"},
    {CALENDAR(EVENT("DTSTART;TZID=My Zone:20260301T090000" NL
                    "DTEND;TZID=My Zone:20260301T100000" NL) "BEGIN:VTIMEZONE" NL "TZID:My Z" NL
                                                             " one" NL "END:VTIMEZONE" NL),
     "2026-03-01"},
    {ONE("DTSTART;VALUE=DATE;TZID=Mars/Base:20260301" NL), "2026-03-01"},
    /* several, joined and sorted; parts of no account */
    {CALENDAR(EVENT("DTSTART:20260302" NL) EVENT("DTSTART:20260301" NL) EVENT("DTSTART:20260704" NL
                                                                              "STATUS:CANCELLED" NL)
                  EVENT("DTSTART:20260704" NL "status:cancelled" NL) EVENT("DTSTART:20300101" NL)),
     "2026-03-01..2026-03-02"},
    {CALENDAR("BEGIN:VTIMEZONE" NL "TZID:X" NL "BEGIN:STANDARD" NL "DTSTART:19700101T000000" NL
              "RRULE:FREQ=SECONDLY" NL "END:STANDARD" NL "END:VTIMEZONE" NL)
         CALENDAR(EVENT("DTSTART:20260302" NL "BEGIN:VALARM" NL "DURATION:x" NL "END:VALARM" NL)),
     "2026-03-02"},
    {"\xef\xbb\xbf" ONE("SUMMARY:Pr\xc3\xa4sid" NL " ents: day, \"off\"" NL "DTSTART;VALUE=DA" NL
                        " TE:2026" NL "\t0302" NL),
     "2026-03-02"},
    {"begin:vcalendar\nbegin:vevent\ndtstart:20260302\nend:vevent\n\nend:vcalendar", "2026-03-02"},
    /* recurrences */
    {ONE("DTSTART;VALUE=DATE:20001225" NL "RRULE:FREQ=YEARLY" NL),
     "2026-12-25 2027-12-25 2028-12-25"},
    {ONE("DTSTART;VALUE=DATE:20001225" NL "RRULE:FREQ=YEARLY;UNTIL=20271225" NL),
     "2026-12-25 2027-12-25"},
    {ONE("DTSTART;VALUE=DATE:20001225" NL "RRULE:FREQ=YEARLY;COUNT=27" NL), "2026-12-25"},
    {ONE("DTSTART;VALUE=DATE:20001225" NL "RRULE:FREQ=YEARLY;UNTIL=20271225T000000Z" NL),
     "2026-12-25 2027-12-25"},
    {ONE("DTSTART;VALUE=DATE:20051124" NL "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH" NL
         "DURATION:P2D" NL),
     "2026-11-26..2026-11-27 2027-11-25..2027-11-26 2028-11-23..2028-11-24"},
    {ONE("DTSTART;VALUE=DATE:20280131" NL "RRULE:FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3" NL),
     "2028-01-31 2028-02-29 2028-03-31"},
    {ONE("DTSTART;VALUE=DATE:20240229" NL "RRULE:FREQ=YEARLY" NL), "2028-02-29"},
    {ONE("DTSTART:20260101T000000" NL "RRULE:FREQ=DAILY;UNTIL=20260103" NL),
     "2026-01-01..2026-01-03"},
    {ONE("DTSTART;TZID=Asia/Tokyo:20261220T080000" NL "RRULE:FREQ=DAILY;UNTIL=20261224T230000Z" NL),
     "2026-12-20..2026-12-25"},
    {ONE("DTSTART;TZID=America/New_York:20261220T200000" NL
         "RRULE:FREQ=DAILY;UNTIL=20261224T005959Z" NL),
     "2026-12-20..2026-12-22"},
    {ONE("DTSTART;VALUE=DATE:20260101" NL "RDATE;VALUE=DATE:20260105,20270101" NL),
     "2026-01-01 2026-01-05 2027-01-01"},
    {ONE("DTSTART:20260101T100000Z" NL "RDATE;VALUE=PERIOD:20260105T220000Z/PT4H,"
         "20260110T000000Z/20260112T000000Z" NL),
     "2026-01-01 2026-01-05..2026-01-06 2026-01-10..2026-01-11"},
    /* exceptions */
    {ONE("DTSTART;VALUE=DATE:20251225" NL "RRULE:FREQ=YEARLY" NL
         "EXDATE;VALUE=DATE:20261225,20281225" NL),
     "2027-12-25"},
    {ONE("DTSTART;TZID=Asia/Tokyo:20260101T080000" NL "RRULE:FREQ=YEARLY" NL
         "EXDATE:20261231T230000Z" NL),
     "2026-01-01 2028-01-01"},
    {ONE("DTSTART:20260101T080000Z" NL "RRULE:FREQ=YEARLY" NL "EXDATE:20270101T090000Z" NL
         "EXDATE;VALUE=DATE:20280101" NL),
     "2026-01-01 2027-01-01"},
    {CALENDAR(EVENT("UID:b" NL "RECURRENCE-ID;VALUE=DATE:20271225" NL "DTSTART:20271227" NL)
                  EVENT("UID:a" NL "DTSTART;VALUE=DATE:20251225" NL "RRULE:FREQ=YEARLY" NL)
                      EVENT("UID:a" NL "RECURRENCE-ID;VALUE=DATE:20261225" NL
                            "DTSTART;VALUE=DATE:20261228" NL)
                          EVENT("UID:a" NL "RECURRENCE-ID;VALUE=DATE:20281225" NL
                                "STATUS:CANCELLED" NL "DTSTART;VALUE=DATE:20281225" NL)),
     "2026-12-28 2027-12-25 2027-12-27"},
};

START_TEST(reading)
{
    jm_err err;
    char *got = rules_of(read[_i].text, 2026, 2028, &err);
    ck_assert_msg(got != NULL, "%s: %s", read[_i].text, err.msg);
    ck_assert_msg(!strcmp(got, read[_i].rules), "%s: %s", read[_i].text, got);
    free(got);
}
END_TEST

static const struct {
    const char *text, *message;
    int code; /* 0: JM_ERR_INVALID */
} refused[] = {
    {"", "it is empty", 0},
    {"hello", "line 1: BEGIN:VCALENDAR expected", 0},
    {"BEGIN:VEVENT\nEND:VEVENT\n", "line 1: BEGIN:VCALENDAR expected", 0},
    {CALENDAR(""), "there is no event", 0},
    {CALENDAR("x y" NL), "line 3: a name and a colon expected", 0},
    {CALENDAR("BEGIN:VEVENT" NL "DTSTART:20260101" NL), "line 5: this END has no BEGIN", 0},
    {"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\n", "line 2: BEGIN:VEVENT has no END", 0},
    {CALENDAR("SUMMARY:\xff" NL), "line 3: it is not valid UTF-8", 0},
    {ONE("SUMMARY:x" NL), "line 3: the event has no DTSTART", 0},
    {ONE("DTSTART:soon" NL), "line 4: DTSTART: it cannot be understood", 0},
    {ONE("SUMMARY:x" NL "DTSTART:20260230" NL), "line 5: DTSTART: there is no such day", 0},
    {ONE("DTSTART:20260101T250000" NL), "line 4: DTSTART: there is no such day or time", 0},
    {ONE("DTSTART:20260101" NL "X-A:b" NL " c" NL "DTSTART:20260102" NL),
     "line 7: DTSTART: it is there twice", 0},
    {ONE("DTSTART:20260102" NL "DTEND:20260101" NL), "line 5: DTEND: it lies before DTSTART", 0},
    {ONE("DTSTART:20260102" NL "DTEND:20260103T100000" NL), "line 5: DTEND: a date expected", 0},
    {ONE("DTSTART:20260102" NL "DURATION:-P1D" NL), "line 5: DURATION: it is negative", 0},
    {ONE("DTSTART:20260102" NL "DURATION:P1X" NL), "line 5: DURATION: it cannot be", 0},
    {ONE("DTSTART:20260102" NL "RRULE:FREQ=OFTEN" NL), "line 5: RRULE: it cannot be", 0},
    {ONE("DTSTART:20260102" NL "RRULE:FREQ=YEARLY;BYMONTH=13" NL), "line 5: RRULE: no day can", 0},
    {ONE("DTSTART:20260102" NL "RRULE:FREQ=YEARLY;UNTIL=20261301" NL),
     "line 5: RRULE: there is no such day or time in UNTIL", 0},
    {ONE("DTSTART:20260102" NL "EXDATE:20260101,2026x" NL), "line 5: EXDATE: it cannot be", 0},
    {ONE("DTSTART:20260102" NL "EXDATE:20260101" NL "EXDATE:20260102,20260132" NL),
     "line 6: EXDATE: there is no such day", 0},
    {ONE("DTSTART:20260102" NL "RDATE:20260132" NL), "line 5: RDATE: there is no such day", 0},
    {ONE("DTSTART:20260102" NL "RRULE:FREQ=HOURLY" NL), "line 5: RRULE: events several times a day",
     JM_ERR_UNSUPPORTED},
    {ONE("DTSTART:20260102T100000" NL "RRULE:FREQ=DAILY;BYHOUR=1,2" NL), "several times a day",
     JM_ERR_UNSUPPORTED},
    {ONE("DTSTART:20260102" NL "EXRULE:FREQ=DAILY" NL), "line 5: EXRULE", JM_ERR_UNSUPPORTED},
    {ONE("DTSTART:20260102" NL "RECURRENCE-ID;RANGE=THISANDFUTURE:20260102" NL),
     "line 5: RECURRENCE-ID: changes of all later", JM_ERR_UNSUPPORTED},
    {ONE("DTSTART;TZID=My Zone:20260102T100000" NL "DTEND:20260102T100000Z" NL),
     "line 5: DTEND: it is in another time zone than DTSTART, and \"My Zone\"", JM_ERR_UNSUPPORTED},
    {ONE("SUMMARY:x" NL "DTSTART;TZID=Mars/Base:20260102T100000" NL),
     "line 5: DTSTART: \"Mars/Base\" is neither a time zone of the system nor a VTIMEZONE", 0},
    {CALENDAR("BEGIN:VTIMEZONE" NL "TZID:My Zone" NL
              "END:VTIMEZONE" NL EVENT("DTSTART;TZID=My Zon:20260102T100000" NL)),
     "line 7: DTSTART: \"My Zon\" is neither", 0},
    {ONE("DTSTART:20250102" NL), "no event takes place from 2026 to 2028", 0},
};

START_TEST(refusal)
{
    jm_err err;
    char *got = rules_of(refused[_i].text, 2026, 2028, &err);
    ck_assert_msg(!got, "%s: %s", refused[_i].text, got);
    ck_assert_msg(strstr(err.msg, refused[_i].message), "%s: %s", refused[_i].text, err.msg);
    ck_assert_int_eq(err.code, refused[_i].code ? refused[_i].code : JM_ERR_INVALID);
}
END_TEST

START_TEST(years)
{
    static const int bad[][2] = {{1899, 2026}, {2026, 2025}, {2026, 2501}, {2501, 2501}};
    jm_err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_ptr_null(rules_of(ONE("DTSTART:20260101" NL), bad[i][0], bad[i][1], &err));
        ck_assert_str_eq(err.field, i == 0 || i == 3 ? "from_year" : "to_year");
    }
}
END_TEST

START_TEST(too_many_days)
{
    jm_err err;
    const char *text = ONE("DTSTART:20000101" NL "RRULE:FREQ=DAILY" NL);
    ck_assert_ptr_null(rules_of(text, 2000, 2050, &err));
    ck_assert_str_eq(err.msg, "its events take more than 10000 days: import fewer years");
    char *got = rules_of(text, 2000, 2026, &err);
    ck_assert_str_eq(got, "2000-01-01..2026-12-31");
    free(got);
}
END_TEST

/* Rules that match nothing, many of them: given up after some seconds. */
START_TEST(slow)
{
    jm_buf text = {0};
    jm_err err;
    jm_buf_adds(&text, "BEGIN:VCALENDAR" NL);
    for (int i = 0; i < 1000; i++)
        jm_buf_adds(&text,
                    EVENT("DTSTART:20000101" NL "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30" NL));
    jm_buf_adds(&text, "END:VCALENDAR" NL);
    int64_t start_ms = jm_mono_ms();
    ck_assert_ptr_null(rules_of(jm_buf_str(&text), 2026, 2026, &err));
    ck_assert_msg(strstr(err.msg, "take too long to expand"), "%s", err.msg);
    ck_assert_int_lt(jm_mono_ms() - start_ms, 30000);
    jm_buf_fini(&text);
}
END_TEST

/* What comes out is a definition. */
START_TEST(is_definition)
{
    json_t *definition;
    jm_calendar *calendar;
    jm_err err;
    const char *text = ONE("DTSTART:20000101" NL "RRULE:FREQ=WEEKLY" NL "DURATION:P2D" NL);
    ck_assert_int_eq(jm_calendar_from_ical(text, strlen(text), 2000, 2060, &definition, &err), 0);
    char *json = json_dumps(definition, 0);
    ck_assert_int_eq(jm_calendar_parse(&calendar, json, strlen(json), &err), 0);
    int64_t saturday = jm_days_from_civil(2050, 8, 6);
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(jm_calendar_is_open(calendar, saturday + i), i > 1);
    jm_calendar_free(calendar);
    free(json);
    json_decref(definition);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("calendar_ical");
    TCase *tc = tcase_create("calendar_ical");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, reading, 0, N(read));
    tcase_add_loop_test(tc, refusal, 0, N(refused));
    tcase_add_test(tc, years);
    tcase_add_test(tc, too_many_days);
    tcase_add_test(tc, slow);
    tcase_add_test(tc, is_definition);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
