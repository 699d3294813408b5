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

#define FAR INT64_C(253402300800)

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
           a->either_day == b->either_day && a->fixed == b->fixed;
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
    {"* * * * * * *", JM_ERR_INVALID, "not 7"},
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
    {"0 0 ? * 1", JM_ERR_INVALID, "write *"},
    {"0 0 30 2 *", JM_ERR_INVALID, "no such day"},
    {"0 0 31 2,4,6,9,11 *", JM_ERR_INVALID, "no such day"},
    {"0 0 31 4 */2", JM_ERR_INVALID, "no such day"},
    {"99999999999999999999 * * * *", JM_ERR_INVALID, "character 1"},
    {"*/99999 * * * *", JM_ERR_INVALID, "step"},
    {"@reboot", JM_ERR_INVALID, "character 1: @hourly"},
    {"@every 5m", JM_ERR_INVALID, "character 1: @"},
    {" @daily x", JM_ERR_INVALID, "character 2: @"},
    {"@", JM_ERR_INVALID, "expected"},
    {"\xc3\xa9 * * * *", JM_ERR_INVALID, "character 1"},
    {"0\n0 * * *", JM_ERR_INVALID, "5 fields"},
    {"0 0 L * *", JM_ERR_UNSUPPORTED, "character 5 (day of month): \"L\""},
    {"0 0 15W * *", JM_ERR_UNSUPPORTED, "character 7 (day of month): \"W\""},
    {"0 0 LW * *", JM_ERR_UNSUPPORTED, "character 5"},
    {"0 0 * * 5L", JM_ERR_UNSUPPORTED, "character 10 (day of week): \"L\""},
    {"0 0 * * 1#2", JM_ERR_UNSUPPORTED, "character 10 (day of week): \"#\""},
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

/* Counting by arithmetic and one by one must agree, over odd stretches. */
START_TEST(counting)
{
    static const char *const texts[] = {
        "* * * * *",     "*/7 3-9 * * *", "0 0 29 2 *",      "5 4 13 * 5",        "0 */5 */3 * 1",
        "59 23 31 12 *", "0 0 1 1,7 *",   "1,2,3 1 * * 1-5", "*/20 */10 * * * *", "30 12 30 * */2"};
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
    tcase_add_loop_test(tc, counting, 0, 10);
    tcase_add_test(tc, fixed_or_not);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
