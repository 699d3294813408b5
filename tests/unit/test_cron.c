/* Tests of cron expressions: the grammar, what is refused and where, the day rule, search and
 * count. */
#include "producer/cron.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

static int64_t at(int year, int month, int day, int hour, int minute, int second)
{
    return jm_days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

static jm_cron parse(const char *text)
{
    jm_cron cron;
    jm_err err = {0};
    ck_assert_msg(jm_cron_parse(&cron, text, &err) == 0, "%s: %s", text, err.msg);
    return cron;
}

#define N_COUNTED 16
#define FAR       INT64_C(253402300800)

static int64_t next(const char *text, int64_t from)
{
    jm_cron cron = parse(text);
    int64_t out = -1;
    ck_assert_msg(jm_cron_next(&cron, from, FAR, &out), "%s: no match", text);
    return out;
}

static bool same(const jm_cron *a, const jm_cron *b)
{
    return a->seconds == b->seconds && a->minutes == b->minutes && a->hours == b->hours &&
           a->days == b->days && a->months == b->months && a->weekdays == b->weekdays &&
           a->either_day == b->either_day && a->fixed == b->fixed &&
           a->nth_weekdays == b->nth_weekdays && a->nearest_days == b->nearest_days &&
           a->days_to_last == b->days_to_last && a->last_workday == b->last_workday;
}

static const struct {
    const char *text, *same_as;
} spellings[] = {
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {" @Annually ", "0 0 1 1 *"},
    {"\t0  0\t1 1 * ", "0 0 1 1 *"},
    {"0 0 * * 7", "0 0 * * 0"},
    {"0 0 * * sun", "0 0 * * SUN"},
    {"0 0 * JAN-mar Mon-FRI", "0 0 * 1-3 1-5"},
    {"0 0 * jan,dec,6 sat,1", "0 0 * 1,6,12 6,1"},
    {"0 0 * * 0-7", "0 0 * * 0-6"},
    {"0 0 * * 5-7", "0 0 * * 5,6,0"},
    {"*/15 * * * *", "*/15 */1 * * *"},
    {"5-59/10 * * * *", "5,15,25,35,45,55 * * * *"},
    {"7/20 * * * *", "7,27,47 * * * *"},
    {"1-2,4-8/2,30 * * * *", "1,2,4,6,8,30 * * * *"},
    {"0 8/4 * * *", "0 8,12,16,20 * * *"},
    {"0 1 * * 4/1", "0 1 * * 4,5,6"},
    {"0 0 30 * *", "0 0 30 1,3,4,5,6,7,8,9,10,11,12,2 *"},
    {"0 5 4 * * *", "5 4 * * *"},
    {"05 004 01 01 *", "5 4 1 1 *"},
    {"0 0 ? * ?", "0 0 * * *"},
    {"0 0 ? * fri", "0 0 * * 5"},
    {"0 0 1 * ?", "0 0 1 * *"},
    {"0 0 l * *", "0 0 L * *"},
    {"0 0 L-0 * *", "0 0 L * *"},
    {"0 0 l,lw,15w * *", "0 0 15W,LW,L * *"},
    {"0 0 * * L", "0 0 * * 6"},
    {"0 0 * * l,1", "0 0 * * mon,sat"},
    {"0 0 * * friL", "0 0 * * 5L"},
    {"0 0 * * FRIl", "0 0 * * 5l"},
    {"0 0 * * 7L", "0 0 * * 0L"},
    {"0 0 * * SUN#1", "0 0 * * 7#1"},
    {"0 0 * * 1#2,1#4", "0 0 * * mon#4,mon#2"},
};

START_TEST(spelling)
{
    jm_cron a = parse(spellings[_i].text), b = parse(spellings[_i].same_as);
    ck_assert_msg(same(&a, &b), "%s is not %s", spellings[_i].text, spellings[_i].same_as);
}
END_TEST

static const struct {
    const char *text;
    int code;
    const char *part; /* of the message */
} refused[] = {
    {"", JM_ERR_INVALID, "5 fields"},
    {"   ", JM_ERR_INVALID, "5 fields"},
    {"* * * *", JM_ERR_INVALID, "not 4"},
    {"", JM_ERR_INVALID, "character 1: fields are missing at the end"},
    {" 1 2  3  ", JM_ERR_INVALID, "character 8: fields are missing at the end"},
    {"* * * * * * *", JM_ERR_INVALID, "not 7"},
    {"* * * * *  *  * *", JM_ERR_INVALID, "character 15: a field too many"},
    {"60 * * * *", JM_ERR_INVALID, "character 1 (minute): 0 to 59 expected, not \"60\""},
    {"* 24 * * *", JM_ERR_INVALID, "character 3 (hour)"},
    {"* * 0 * *", JM_ERR_INVALID, "character 5 (day of month): 1 to 31"},
    {"* * 32 * *", JM_ERR_INVALID, "(day of month)"},
    {"* * * 13 *", JM_ERR_INVALID, "character 7 (month)"},
    {"* * * 0 *", JM_ERR_INVALID, "(month)"},
    {"* * * * 8", JM_ERR_INVALID, "character 9 (day of week): 0 to 7"},
    {"-1 * * * *", JM_ERR_INVALID, "character 1"},
    {"+1 * * * *", JM_ERR_INVALID, "character 1"},
    {"1.5 * * * *", JM_ERR_INVALID, "character 2"},
    {"5, * * * *", JM_ERR_INVALID, "character 3"},
    {",5 * * * *", JM_ERR_INVALID, "character 1"},
    {"5,,6 * * * *", JM_ERR_INVALID, "character 3"},
    {"5- * * * *", JM_ERR_INVALID, "character 3"},
    {"1-5-9 * * * *", JM_ERR_INVALID, "character 4"},
    {"*/0 * * * *", JM_ERR_INVALID, "character 3 (minute): a step"},
    {"*/ * * * *", JM_ERR_INVALID, "character 3"},
    {"*/x * * * *", JM_ERR_INVALID, "character 3"},
    {"*/-5 * * * *", JM_ERR_INVALID, "character 3"},
    {"*5 * * * *", JM_ERR_INVALID, "character 2"},
    {"*/5/2 * * * *", JM_ERR_INVALID, "character 4"},
    {"* 22-2 * * *", JM_ERR_INVALID, "backwards"},
    {"0 0 * * fri-sun", JM_ERR_INVALID, "is 7"},
    {"0 0 * nov-feb *", JM_ERR_INVALID, "backwards"},
    {"0 0 * * monday", JM_ERR_INVALID, "character 9"},
    {"0 0 * * mo", JM_ERR_INVALID, "character 9"},
    {"0 0 * mon *", JM_ERR_INVALID, "character 7"},
    {"jan * * * *", JM_ERR_INVALID, "character 1"},
    {"0 0 30 2 *", JM_ERR_INVALID,
     "character 5 (day of month): no such day exists in any of the months"},
    {"0  0 0  31 4 ?", JM_ERR_INVALID, "character 9 (day of month): no such day exists"},
    {"0 0 */15 * fri#2", JM_ERR_INVALID, "character 12 (day of week): no such day is one of"},
    {"0 0 31 2,4,6,9,11 *", JM_ERR_INVALID, "no such day"},
    {"0 0 31 4 */2", JM_ERR_INVALID, "no such day"},
    {"99999999999999999999 * * * *", JM_ERR_INVALID, "character 1"},
    {"*/99999 * * * *", JM_ERR_INVALID, "step"},
    {"@reboot", JM_ERR_INVALID, "character 1: @hourly"},
    {"@every 5m", JM_ERR_INVALID, "character 1: @every is an interval"},
    {" @daily x", JM_ERR_INVALID, "character 9: the end expected"},
    {"@daily extra", JM_ERR_INVALID, "character 8: the end expected; @daily stands alone"},
    {"@", JM_ERR_INVALID, "expected"},
    {"\xc3\xa9 * * * *", JM_ERR_INVALID, "character 1"},
    {"0\n0 * * *", JM_ERR_INVALID, "5 fields"},
    {"? * * * *", JM_ERR_INVALID, "character 1 (minute): 0 to 59 expected (? is for the day"},
    {"* ? * * *", JM_ERR_INVALID, "character 3 (hour)"},
    {"* * * ? *", JM_ERR_INVALID, "character 7 (month)"},
    {"? * * * * *", JM_ERR_INVALID, "character 1 (second)"},
    {"0 0 ?/2 * *", JM_ERR_INVALID, "character 6 (day of month): the end of the field"},
    {"0 0 ?,5 * *", JM_ERR_INVALID, "character 6 (day of month)"},
    {"0 0 5,? * *", JM_ERR_INVALID, "character 7 (day of month): 1 to 31 expected (? stands"},
    {"0 0 L-31 * *", JM_ERR_INVALID, "character 7 (day of month): 0 to 30 days before"},
    {"0 0 L- * *", JM_ERR_INVALID, "character 7 (day of month)"},
    {"0 0 L-x * *", JM_ERR_INVALID, "not \"x\""},
    {"0 0 L-3W * *", JM_ERR_INVALID, "character 8 (day of month): W takes a single day"},
    {"0 0 LL * *", JM_ERR_INVALID, "character 6 (day of month): a comma"},
    {"0 0 L/2 * *", JM_ERR_INVALID, "character 6 (day of month): a comma"},
    {"0 0 1-L * *", JM_ERR_INVALID, "character 7 (day of month): 1 to 31 expected, not \"L\""},
    {"0 0 5L * *", JM_ERR_INVALID, "character 6 (day of month)"},
    {"0 0 W * *", JM_ERR_INVALID, "character 5 (day of month): a day in front of W"},
    {"0 0 0W * *", JM_ERR_INVALID, "character 5 (day of month): 1 to 31"},
    {"0 0 32W * *", JM_ERR_INVALID, "character 5 (day of month): 1 to 31"},
    {"0 0 1-15W * *", JM_ERR_INVALID, "character 9 (day of month): W takes a single day"},
    {"0 0 */2W * *", JM_ERR_INVALID, "character 8 (day of month): W takes a single day"},
    {"0 0 15W/2 * *", JM_ERR_INVALID, "character 8 (day of month): a comma"},
    {"0 0 15WW * *", JM_ERR_INVALID, "character 8 (day of month)"},
    {"0 0 * * 5W", JM_ERR_INVALID, "character 10 (day of week): a comma"},
    {"0 0 * * LW", JM_ERR_INVALID, "character 10 (day of week): a comma"},
    {"0 0 * * 1#6", JM_ERR_INVALID, "character 11 (day of week): 1 to 5 expected"},
    {"0 0 * * 1#0", JM_ERR_INVALID, "character 11 (day of week): 1 to 5 expected"},
    {"0 0 * * 6#", JM_ERR_INVALID, "character 11 (day of week): 1 to 5 expected"},
    {"0 0 * * #2", JM_ERR_INVALID, "character 9 (day of week): 0 to 7"},
    {"0 0 * * 1#-1", JM_ERR_INVALID, "character 11"},
    {"0 0 * * 8#1", JM_ERR_INVALID, "character 9"},
    {"0 0 * * 1-5#2", JM_ERR_INVALID, "character 12 (day of week): L and # take a single day"},
    {"0 0 * * *#2", JM_ERR_INVALID, "character 10 (day of week): L and #"},
    {"0 0 * * 1-5L", JM_ERR_INVALID, "character 12 (day of week): L and #"},
    {"0 0 * * 1#2-3", JM_ERR_INVALID, "character 12 (day of week): a comma"},
    {"0 0 * * 1#2/2", JM_ERR_INVALID, "character 12"},
    {"0 0 * * friday", JM_ERR_INVALID, "character 9"},
    {"0 0 * * friW", JM_ERR_INVALID, "character 9"},
    {"0 0 1#2 * *", JM_ERR_INVALID, "character 6 (day of month)"},
    {"0 0 * janL *", JM_ERR_INVALID, "character 7 (month)"},
    {"L * * * *", JM_ERR_INVALID, "character 1 (minute)"},
    {"* 22-2 * * *", JM_ERR_INVALID, "write it as two, such as 22-23,0-2"},
    {"0 0 * * 5-1", JM_ERR_INVALID, "such as 5-6,0-1"},
    {"0 0 L-30 2 *", JM_ERR_INVALID, "no such day"},
    {"0 0 L-29 2 *", JM_ERR_INVALID, "no such day"},
    {"0 0 L-30 4,6,9,11 *", JM_ERR_INVALID, "no such day"},
    {"0 0 30W 2 *", JM_ERR_INVALID, "no such day"},
    {"0 0 31W 4 *", JM_ERR_INVALID, "no such day"},
    {"0 0 31 2 ?", JM_ERR_INVALID, "no such day"},
};

START_TEST(refusal)
{
    jm_cron cron;
    jm_err err = {0};
    int code = jm_cron_parse(&cron, refused[_i].text, &err);
    ck_assert_msg(code == refused[_i].code, "\"%s\" gave %d", refused[_i].text, code);
    ck_assert_int_eq(err.code, code);
    ck_assert_str_eq(err.field, "cron_expression");
    ck_assert_msg(strstr(err.msg, refused[_i].part) != NULL, "\"%s\" is not in \"%s\"",
                  refused[_i].part, err.msg);
    ck_assert_int_eq(jm_cron_parse(&cron, refused[_i].text, NULL), code);
}
END_TEST

START_TEST(too_long)
{
    char text[JM_CRON_TEXT_MAX + 2];
    jm_cron cron;
    jm_err err;
    memset(text, '1', sizeof text);
    text[sizeof text - 1] = 0;
    ck_assert_int_eq(jm_cron_parse(&cron, text, &err), JM_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "longer"));
}
END_TEST

static const struct {
    const char *text;
    int from[6], to[6]; /* the first match at or after from */
} searches[] = {
    {"* * * * *", {2026, 11, 22, 14, 30, 0}, {2026, 11, 22, 14, 30, 0}},
    {"* * * * *", {2026, 11, 22, 14, 30, 1}, {2026, 11, 22, 14, 31, 0}},
    {"59 23 31 12 *", {2026, 12, 31, 23, 59, 1}, {2027, 12, 31, 23, 59, 0}},
    {"0 12 * * *", {2026, 11, 22, 12, 0, 1}, {2026, 11, 23, 12, 0, 0}},
    {"30 8 * * *", {2026, 11, 22, 8, 31, 0}, {2026, 11, 23, 8, 30, 0}},
    {"30 8,9 * * *", {2026, 11, 22, 8, 31, 0}, {2026, 11, 22, 9, 30, 0}},
    {"0 0 29 2 *", {2026, 1, 1, 0, 0, 0}, {2028, 2, 29, 0, 0, 0}},
    {"0 0 29 2 *", {2096, 3, 1, 0, 0, 0}, {2104, 2, 29, 0, 0, 0}},
    {"0 0 29 2 *", {1999, 3, 1, 0, 0, 0}, {2000, 2, 29, 0, 0, 0}},
    {"0 0 31 * *", {2026, 2, 1, 0, 0, 0}, {2026, 3, 31, 0, 0, 0}},
    {"0 0 31 * *", {2026, 4, 1, 0, 0, 0}, {2026, 5, 31, 0, 0, 0}},
    /* either day: the 13th, and Fridays */
    {"0 0 13 * 5", {2026, 11, 1, 0, 0, 0}, {2026, 11, 6, 0, 0, 0}},
    {"0 0 13 * 5", {2026, 12, 12, 0, 0, 0}, {2026, 12, 13, 0, 0, 0}},
    /* a star in front makes a day field unrestricted, but its step still counts */
    {"0 0 */5 * 1", {2026, 11, 1, 0, 0, 0}, {2026, 11, 16, 0, 0, 0}},
    {"0 0 13 * */5", {2026, 11, 1, 0, 0, 0}, {2026, 11, 13, 0, 0, 0}},
    {"0 0 13 * */5", {2026, 11, 14, 0, 0, 0}, {2026, 12, 13, 0, 0, 0}},
    {"0 0 1-31 * 1", {2026, 11, 1, 0, 0, 0}, {2026, 11, 1, 0, 0, 0}},
    {"0 0 30 2 1", {2026, 1, 1, 0, 0, 0}, {2026, 2, 2, 0, 0, 0}},
    {"0 0 * * 0", {2026, 11, 23, 0, 0, 0}, {2026, 11, 29, 0, 0, 0}},
    {"*/90 * * * *", {2026, 11, 22, 14, 1, 0}, {2026, 11, 22, 15, 0, 0}},
    {"10,50 * * * * *", {2026, 11, 22, 14, 1, 11}, {2026, 11, 22, 14, 1, 50}},
    {"10,50 * * * * *", {2026, 11, 22, 14, 59, 51}, {2026, 11, 22, 15, 0, 10}},
    {"0 0 1 1 *", {-100, 5, 1, 0, 0, 0}, {-99, 1, 1, 0, 0, 0}},
    {"0 0 * * 4", {1969, 12, 26, 0, 0, 0}, {1970, 1, 1, 0, 0, 0}},
    {"0 0 L * *", {2026, 2, 1, 0, 0, 0}, {2026, 2, 28, 0, 0, 0}},
    {"0 0 L * *", {2028, 2, 1, 0, 0, 0}, {2028, 2, 29, 0, 0, 0}},
    {"0 0 L * *", {2026, 2, 28, 0, 0, 1}, {2026, 3, 31, 0, 0, 0}},
    {"0 0 L-2 * *", {2026, 2, 1, 0, 0, 0}, {2026, 2, 26, 0, 0, 0}},
    {"0 0 L-28 2 *", {2026, 1, 1, 0, 0, 0}, {2028, 2, 1, 0, 0, 0}}, /* leap years have it */
    {"0 0 L-30 * *", {2026, 1, 2, 0, 0, 0}, {2026, 3, 1, 0, 0, 0}},
    {"0 0 1,15,L * *", {2026, 4, 16, 0, 0, 0}, {2026, 4, 30, 0, 0, 0}},
    {"0 0 1W * *", {2026, 8, 1, 0, 0, 0}, {2026, 8, 3, 0, 0, 0}},    /* a Saturday */
    {"0 0 1W * *", {2026, 11, 1, 0, 0, 0}, {2026, 11, 2, 0, 0, 0}},  /* a Sunday */
    {"0 0 31W * *", {2026, 1, 1, 0, 0, 0}, {2026, 1, 30, 0, 0, 0}},  /* a Saturday */
    {"0 0 31W * *", {2026, 5, 1, 0, 0, 0}, {2026, 5, 29, 0, 0, 0}},  /* a Sunday */
    {"0 0 31W * *", {2026, 9, 1, 0, 0, 0}, {2026, 10, 30, 0, 0, 0}}, /* not in September */
    {"0 0 28W 2 *", {2026, 2, 1, 0, 0, 0}, {2026, 2, 27, 0, 0, 0}},  /* a Saturday */
    {"0 0 29W 2 *", {2026, 1, 1, 0, 0, 0}, {2028, 2, 29, 0, 0, 0}},
    {"0 0 15W * *", {2026, 8, 1, 0, 0, 0}, {2026, 8, 14, 0, 0, 0}},
    {"0 0 15W * *", {2026, 11, 1, 0, 0, 0}, {2026, 11, 16, 0, 0, 0}},
    {"0 0 15W * *", {2026, 7, 1, 0, 0, 0}, {2026, 7, 15, 0, 0, 0}},
    {"0 0 LW * *", {2026, 2, 1, 0, 0, 0}, {2026, 2, 27, 0, 0, 0}},
    {"0 0 LW * *", {2026, 5, 1, 0, 0, 0}, {2026, 5, 29, 0, 0, 0}},
    {"0 0 LW * *", {2026, 6, 1, 0, 0, 0}, {2026, 6, 30, 0, 0, 0}},
    {"0 0 15W,LW * *", {2026, 11, 17, 0, 0, 0}, {2026, 11, 30, 0, 0, 0}},
    {"0 0 * * friL", {2026, 7, 1, 0, 0, 0}, {2026, 7, 31, 0, 0, 0}},
    {"0 0 * * 1L", {2026, 2, 1, 0, 0, 0}, {2026, 2, 23, 0, 0, 0}},
    {"0 0 * * 0L", {2028, 2, 1, 0, 0, 0}, {2028, 2, 27, 0, 0, 0}},
    {"0 0 * * fri#2", {2026, 5, 1, 0, 0, 0}, {2026, 5, 8, 0, 0, 0}},
    {"0 0 * * 6#4", {2026, 8, 23, 0, 0, 0}, {2026, 9, 26, 0, 0, 0}},
    {"0 0 * * 1#5", {2026, 1, 1, 0, 0, 0}, {2026, 3, 30, 0, 0, 0}},
    {"0 0 * 2 1#5", {2026, 1, 1, 0, 0, 0}, {2044, 2, 29, 0, 0, 0}},
    {"0 0 * 2 1#5", {2096, 1, 1, 0, 0, 0}, {2112, 2, 29, 0, 0, 0}},
    {"0 0 * * L", {2026, 11, 22, 0, 0, 0}, {2026, 11, 28, 0, 0, 0}},
    {"0 0 * * mon,fri#1", {2026, 11, 3, 0, 0, 0}, {2026, 11, 6, 0, 0, 0}},
    /* either day, with L and # as restrictions */
    {"0 0 L * fri#2", {2026, 11, 1, 0, 0, 0}, {2026, 11, 13, 0, 0, 0}},
    {"0 0 L * fri#2", {2026, 11, 14, 0, 0, 0}, {2026, 11, 30, 0, 0, 0}},
    {"0 0 ? * fri#2", {2026, 11, 14, 0, 0, 0}, {2026, 12, 11, 0, 0, 0}},
    {"0 0 1W * 0", {2026, 8, 1, 0, 0, 0}, {2026, 8, 2, 0, 0, 0}},
    {"0 0 */2 * fri#2", {2026, 11, 1, 0, 0, 0}, {2026, 11, 13, 0, 0, 0}},
    {"0 0 */2 * fri#2", {2026, 11, 14, 0, 0, 0}, {2026, 12, 11, 0, 0, 0}},
};

START_TEST(search)
{
    const int *f = searches[_i].from, *t = searches[_i].to;
    int64_t got = next(searches[_i].text, at(f[0], f[1], f[2], f[3], f[4], f[5]));
    char text[JM_RFC3339_TEXT];
    jm_rfc3339_format(got * 1000000, text);
    ck_assert_msg(got == at(t[0], t[1], t[2], t[3], t[4], t[5]), "%s: %s", searches[_i].text, text);
}
END_TEST

START_TEST(bounds)
{
    jm_cron cron = parse("0 12 * * *");
    int64_t noon = at(2026, 11, 22, 12, 0, 0), out;
    ck_assert(!jm_cron_next(&cron, noon, noon, &out));
    ck_assert(jm_cron_next(&cron, noon, noon + 1, &out));
    ck_assert(!jm_cron_next(&cron, noon + 1, noon + 86400, &out));
    ck_assert(jm_cron_next(&cron, noon + 1, noon + 86401, &out));
    ck_assert(!jm_cron_next(&cron, noon + 5, noon - 5, &out));
}
END_TEST

START_TEST(bounds_backwards)
{
    jm_cron cron = parse("0 12 * * *");
    int64_t noon = at(2026, 11, 22, 12, 0, 0), out;
    ck_assert(!jm_cron_previous(&cron, noon, noon, &out));
    ck_assert(jm_cron_previous(&cron, noon, noon + 1, &out));
    ck_assert_int_eq(out, noon);
    ck_assert(jm_cron_previous(&cron, noon, noon + 86400, &out));
    ck_assert_int_eq(out, noon);
    ck_assert(jm_cron_previous(&cron, noon, noon + 86401, &out));
    ck_assert_int_eq(out, noon + 86400);
    ck_assert(!jm_cron_previous(&cron, noon + 1, noon + 86400, &out));
    ck_assert(!jm_cron_previous(&cron, noon + 5, noon - 5, &out));
    ck_assert(!jm_cron_previous(&cron, 0, INT64_MIN, &out));
}
END_TEST

/* Counting by arithmetic, one by one and one by one backwards must agree, over odd stretches. */
START_TEST(counting)
{
    static const char *const texts[] = {
        "* * * * *",         "*/7 3-9 * * *",  "0 0 29 2 *",    "5 4 13 * 5",
        "0 */5 */3 * 1",     "59 23 31 12 *",  "0 0 1 1,7 *",   "1,2,3 1 * * 1-5",
        "*/20 */10 * * * *", "30 12 30 * */2", "7 5 L,15W * *", "0 9 LW * 1#1",
        "*/9 1 * * 5L,2#5",  "0 3 L-30 * *",   "1 2 31W * ?",   "5/20 */8 1-31/9 2-5 3"};
    ck_assert_int_eq((int)(sizeof texts / sizeof *texts), N_COUNTED);
    jm_cron cron = parse(texts[_i]);
    unsigned seed = 42;
    for (int i = 0; i < 60; i++) {
        int64_t from =
            at(1960 + (int)(rand_r(&seed) % 80), 1, 1, 0, 0, 0) + rand_r(&seed) % (366 * 86400);
        int64_t to = from + (int64_t)(rand_r(&seed) % (i % 2 ? 86400 * 3 : 86400 * 70));
        int64_t n = 0, t = from, out;
        while (jm_cron_next(&cron, t, to, &out)) {
            n++;
            t = out + 1;
        }
        ck_assert_int_eq(jm_cron_count(&cron, from, to), n);
        for (t = to; jm_cron_previous(&cron, from, t, &out); t = out, n--) {
            int64_t again;
            ck_assert(jm_cron_next(&cron, out, t, &again) && again == out);
        }
        ck_assert_int_eq(n, 0);
    }
}
END_TEST

static const struct {
    const char *text;
    int64_t s; /* -1: refused */
} intervals[] = {
    {"@every 90s", 90},
    {" @Every\t1h30m ", 5400},
    {"@every 2w", 1209600},
    {"@every 1000ms", 1},
    {"@every 36525d", 3155760000},
    {"@every 36526d", -1},
    {"@every", -1},
    {"@every ", -1},
    {"@every 0s", -1},
    {"@every 1500ms", -1},
    {"@every 90", -1},
    {"@every 5m 3s", -1},
    {"@every -5m", -1},
    {"@every 5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m5m", -1},
    {"@everything 5m", 0},
    {"@daily", 0},
    {"*/5 * * * *", 0},
    {"", 0},
};

START_TEST(every)
{
    int64_t s = -7;
    jm_err err = {0};
    int code = jm_cron_every(intervals[_i].text, &s, &err);
    ck_assert_int_eq(code, intervals[_i].s < 0 ? JM_ERR_INVALID : 0);
    if (code) {
        ck_assert_str_eq(err.field, "cron_expression");
        ck_assert_ptr_nonnull(strstr(err.msg, "character "));
    } else {
        ck_assert_int_eq(s, intervals[_i].s);
    }
}
END_TEST

START_TEST(fixed_or_not)
{
    ck_assert(parse("30 2 * * *").fixed);
    ck_assert(parse("0-59 2 * * *").fixed);
    ck_assert(!parse("* 2 * * *").fixed);
    ck_assert(!parse("30 */2 * * *").fixed);
    ck_assert(!parse("@hourly").fixed);
    ck_assert(parse("@daily").fixed);
    ck_assert(parse("* 30 2 * * *").fixed);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("cron");
    TCase *tc = tcase_create("cron");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, spelling, 0, N(spellings));
    tcase_add_loop_test(tc, refusal, 0, N(refused));
    tcase_add_test(tc, too_long);
    tcase_add_loop_test(tc, search, 0, N(searches));
    tcase_add_test(tc, bounds);
    tcase_add_test(tc, bounds_backwards);
    tcase_add_loop_test(tc, counting, 0, N_COUNTED);
    tcase_add_loop_test(tc, every, 0, N(intervals));
    tcase_add_test(tc, fixed_or_not);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
