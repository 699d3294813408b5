/* Tests of cron in words: known sentences, and that equal sentences mean equal instants. */
#include "producer/cron_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "producer/recurrence.h"

static jm_zone_cache *zones;

static void setup(void)
{
    zones = jm_zone_cache_new(NULL);
}

static void teardown(void)
{
    jm_zone_cache_free(zones);
}

static const struct {
    const char *text, *sentence;
} sentences[] = {
    /* times */
    {"* * * * *", "every minute"},
    {"*/15 * * * *", "every 15 minutes"},
    {"0-59/15 * * * *", "every 15 minutes"},
    {"0,30 * * * *", "every 30 minutes"},
    {"*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"},
    {"5-59/20 * * * *", "at minutes 5, 25 and 45 of every hour"},
    {"0 * * * *", "every hour"},
    {"30 * * * *", "every hour at minute 30"},
    {"15 30 * * * *", "every hour at minute 30 and second 15"},
    {"0 */6 * * *", "every 6 hours from 00:00 to 18:00"},
    {"20 */3 * * *", "every 3 hours from 00:20 to 21:20"},
    {"0 9-17 * * *", "every hour from 09:00 to 17:00"},
    {"30 2 * * *", "at 02:30 every day"},
    {"0 9,17 * * *", "at 09:00 and 17:00 every day"},
    {"0,30 9 * * *", "at 09:00 and 09:30 every day"},
    {"0 1,5,6,23 * * *", "at 01:00, 05:00, 06:00 and 23:00 every day"},
    {"15 30 2 * * *", "at 02:30:15 every day"},
    {"*/5 9-17 * * 1-5", "every 5 minutes from 09:00 to 17:59 on weekdays"},
    {"* 22-23,0-1 * * *", "every minute from 00:00 to 01:59 and from 22:00 to 23:59"},
    {"*/20 2 * * *", "every 20 minutes from 02:00 to 02:59"},
    {"1,2,5-9 3-20 * * *", "at minutes 1, 2 and 5 to 9 of every hour from 03:00 to 20:59"},
    {"* * * * * *", "every second"},
    {"*/10 * * * * *", "every 10 seconds"},
    {"5,10 * * * * *", "at seconds 5 and 10 of every minute"},
    {"5,10 0 * * * *", "at seconds 5 and 10 of minute 0 of every hour"},
    {"*/10 0-5 8 * * *",
     "every 10 seconds of minutes 0 to 5 of every hour from 08:00:00 to 08:59:59"},
    {"* * 8 * * *", "every second from 08:00:00 to 08:59:59"},
    {"15 */5 * * * *", "every 5 minutes at second 15"},
    {"15 * 8 * * *", "every minute at second 15 from 08:00 to 08:59"},
    /* days */
    {"30 2 * * 1-5", "at 02:30 on weekdays"},
    {"0 0 * * 5", "at 00:00 on Fridays"},
    {"0 0 * * 6,0", "at 00:00 on Saturdays and Sundays"},
    {"0 0 * * 5-7", "at 00:00 on Fridays to Sundays"},
    {"0 0 * * 1,3", "at 00:00 on Mondays and Wednesdays"},
    {"0 0 * * 0-2", "at 00:00 on Mondays, Tuesdays and Sundays"},
    {"0 0 * * L", "at 00:00 on Saturdays"},
    {"0 0 1 * *", "at 00:00 on the 1st of the month"},
    {"0 0 1,2,3,11,22,23,31 * *",
     "at 00:00 on the 1st to 3rd, the 11th, the 22nd, the 23rd and the 31st of the month"},
    {"0 0 1 1 *", "at 00:00 on the 1st of January"},
    {"0 0 1 1,7 *", "at 00:00 on the 1st of January and July"},
    {"0 0 * 3-5,10 *", "at 00:00 every day in March to May and October"},
    {"*/15 * * 2 *", "every 15 minutes in February"},
    {"0 0 * 2 1", "at 00:00 on Mondays in February"},
    {"0 0 L * *", "at 00:00 on the last day of the month"},
    {"0 0 L 2 *", "at 00:00 on the last day of February"},
    {"0 0 L-3 * *", "at 00:00 on the 3rd day before the last day of the month"},
    {"0 0 15W * *", "at 00:00 on the weekday nearest to the 15th of the month"},
    {"0 0 LW * *", "at 00:00 on the last weekday of the month"},
    {"0 0 1,15W,L,LW * *", "at 00:00 on the 1st, the weekday nearest to the 15th, the last day and "
                           "the last weekday of the month"},
    {"0 9 * * fri#2", "at 09:00 on the 2nd Friday of the month"},
    {"0 9 * 6 friL", "at 09:00 on the last Friday of June"},
    {"0 9 * * 1#1,5L", "at 09:00 on the 1st Monday and the last Friday of the month"},
    {"0 9 * 1 1,5#2", "at 09:00 on Mondays and on the 2nd Friday of the month, in January"},
    /* two day fields */
    {"0 0 13 * 5", "at 00:00 on the 13th of the month and on Fridays"},
    {"0 0 13 2 5", "at 00:00 on the 13th of the month and on Fridays, in February"},
    {"0 0 L * fri#2", "at 00:00 on the last day of the month and on the 2nd Friday of the month"},
    {"0 0 */15 * 1",
     "at 00:00 on the 1st, the 16th and the 31st of the month when that is a Monday"},
    {"0 0 13 * */5", "at 00:00 on the 13th of the month when that is a Friday or a Sunday"},
    {"0 0 */15 6 1-5,6#2", "at 00:00 on the 1st, the 16th and the 31st of the month when that is a "
                           "weekday or the 2nd Saturday of the month, in June"},
    {"0 0 1-31 * 1", "at 00:00 every day"},
    {"0 0 ? * ?", "at 00:00 every day"},
};

START_TEST(cron_sentence)
{
    jm_cron cron;
    jm_err err = {0};
    jm_buf buf = {0};
    ck_assert_msg(!jm_cron_parse(&cron, sentences[_i].text, &err), "%s", err.msg);
    jm_cron_describe(&cron, &buf);
    ck_assert_msg(!strcmp(jm_buf_str(&buf), sentences[_i].sentence), "%s: \"%s\"",
                  sentences[_i].text, jm_buf_str(&buf));
    jm_buf_fini(&buf);
}
END_TEST

static const struct {
    jm_recurrence_spec spec;
    const char *sentence; /* NULL: refused */
} specs[] = {
    {{.cron_expression = "30 2 * * *"}, "at 02:30 every day, UTC"},
    {{.cron_expression = "30 2 * * *", .timezone = "Europe/Paris"},
     "at 02:30 every day, Europe/Paris"},
    {{.cron_expression = "30 2 * * *", .timezone = "Europe/Paris", .dst_gap = JM_DST_GAP_AFTER},
     "at 02:30 every day, Europe/Paris"},
    {{.cron_expression = "30 2 * * *", .timezone = "Europe/Paris", .dst_gap = JM_DST_GAP_SKIP},
     "at 02:30 every day, Europe/Paris (dst gap: skip)"},
    {{.cron_expression = "30 2 * * *", .timezone = "Europe/Paris", .dst_fold = JM_DST_FOLD_BOTH},
     "at 02:30 every day, Europe/Paris (dst fold: both)"},
    {{.cron_expression = "*/30 2 * * *", .timezone = "Europe/Paris"},
     "at 02:00 and 02:30 every day, Europe/Paris (dst gap: skip, dst fold: both)"},
    {{.cron_expression = "0 * * * *", .timezone = "Europe/Paris"}, "every hour, Europe/Paris"},
    {{.cron_expression = "0 0-23 * * *", .timezone = "Europe/Paris"},
     "every hour, Europe/Paris (dst gap: after, dst fold: first)"},
    {{.cron_expression = "*/30 2 * * *", .timezone = "UTC"}, "at 02:00 and 02:30 every day, UTC"},
    {{.kind = JM_RECURRENCE_INTERVAL, .interval_s = 5400, .anchor_at_us = 1790000000000000},
     "every 1 h 30 min from 2026-09-21T14:13:20Z"},
    {{.kind = JM_RECURRENCE_INTERVAL, .interval_s = 86400}, "every 1 d"},
    {{.kind = JM_RECURRENCE_INTERVAL, .interval_s = 86461}, "every 1 d 1 min 1 s"},
    {{.kind = JM_RECURRENCE_ONCE, .run_at_us = 1790000000500000},
     "once at 2026-09-21T14:13:20.500000Z"},
    {{.cron_expression = "x"}, NULL},
    {{.cron_expression = NULL}, NULL},
    {{.kind = JM_RECURRENCE_INTERVAL}, NULL},
    {{.kind = JM_RECURRENCE_INTERVAL, .interval_s = 1, .anchor_at_us = INT64_MAX}, NULL},
    {{.kind = JM_RECURRENCE_ONCE, .run_at_us = INT64_MIN}, NULL},
};

START_TEST(spec_sentence)
{
    jm_err err = {0};
    jm_buf buf = {0};
    int code = jm_recurrence_describe(&specs[_i].spec, &buf, &err);
    ck_assert_int_eq(code, specs[_i].sentence ? 0 : JM_ERR_INVALID);
    if (!code)
        ck_assert_str_eq(jm_buf_str(&buf), specs[_i].sentence);
    jm_buf_fini(&buf);
}
END_TEST

/* ---- equal sentences mean equal instants ---- */

#define N_DRAWN 6000

static unsigned seed = 5;

static const char *draw(const char *const *texts, size_t n)
{
    return texts[(size_t)rand_r(&seed) % n];
}

#define DRAW(...)                                                                                  \
    draw((const char *const[]){__VA_ARGS__}, sizeof(const char *[]){__VA_ARGS__} / sizeof(char *))

/* From small pools, so that equal sets are met in many spellings. */
static void draw_expression(jm_buf *out)
{
    if (rand_r(&seed) % 5 == 0)
        jm_buf_addf(out, "%s ", DRAW("0", "15", "*", "*/10", "0-59/10", "5,10", "0,30", "*/7"));
    jm_buf_addf(out, "%s ",
                DRAW("0", "30", "*", "0-59", "*/15", "0,15,30,45", "*/30", "0,30", "5-59/20",
                     "5,25,45", "5/20", "*/7", "7-12", "0-4,9"));
    jm_buf_addf(out, "%s ",
                DRAW("*", "0-23", "2", "2,3", "1-3", "*/6", "0,6,12,18", "*/12", "0,12", "9-17",
                     "9-17/2", "22,23,0", "*/5", "1/6"));
    jm_buf_addf(out, "%s ",
                DRAW("*", "?", "*", "1-31", "1", "13", "*/15", "1,16,31", "1-15", "L", "L-3", "28",
                     "15W", "1W,15", "LW", "1,L", "L-0", "*/2", "14-16"));
    jm_buf_addf(out, "%s ", DRAW("*", "*", "*", "1-12", "2", "1-3", "jan,feb,mar", "1,7", "*/3"));
    jm_buf_adds(out,
                DRAW("*", "?", "*", "0-6", "1-7", "1-5", "mon-fri", "5", "fri", "L", "sat", "0,6",
                     "6-7", "5L", "friL", "fri#2", "1,fri#2", "*/2", "0,2,4,6", "*/5", "1#1,5L"));
}

static uint64_t mix(uint64_t hash, int64_t v)
{
    return (hash ^ (uint64_t)v) * 0x9e3779b97f4a7c15 ^ (hash >> 29);
}

#define DAY_US   86400000000LL
#define JAN_2026 1767225600000000LL
#define DST_1    1772841600000000LL /* 2026-03-07, a day before a gap in New York */
#define DST_2    1793404800000000LL /* 2026-10-31, a day before a fold */

/* Of the days of two years, the times near their beginning, and the hours near clock changes. */
static uint64_t fingerprint(const jm_recurrence *r)
{
    uint64_t hash = 1;
    int64_t at = JAN_2026;
    for (int64_t day = 0; day < 731; day++)
        hash = mix(hash,
                   jm_recurrence_count(r, JAN_2026 + day * DAY_US, JAN_2026 + (day + 1) * DAY_US));
    for (int i = 0; i < 1500 && jm_recurrence_next(r, at, &at, NULL); i++)
        hash = mix(hash, at);
    for (int64_t slot = 0; slot < 300; slot++) {
        int64_t t = slot * (DAY_US / 144);
        hash = mix(hash, jm_recurrence_count(r, DST_1 + t, DST_1 + t + DAY_US / 144));
        hash = mix(hash, jm_recurrence_count(r, DST_2 + t, DST_2 + t + DAY_US / 144));
    }
    return hash;
}

typedef struct drawn {
    char *text, *sentence;
    uint64_t fingerprint;
} drawn;

static bool draw_one(drawn *d)
{
    jm_buf text = {0}, sentence = {0};
    jm_recurrence r;
    draw_expression(&text);
    jm_recurrence_spec spec = {.cron_expression = jm_buf_str(&text),
                               .timezone = DRAW("UTC", "America/New_York"),
                               .dst_gap = (jm_dst_gap)(rand_r(&seed) % 2 * (rand_r(&seed) % 3)),
                               .dst_fold = (jm_dst_fold)(rand_r(&seed) % 2 * (rand_r(&seed) % 4))};
    bool ok = !jm_recurrence_init(&r, &spec, zones, NULL);
    if (ok) {
        ck_assert_int_eq(jm_recurrence_describe(&spec, &sentence, NULL), 0);
        *d = (drawn){jm_buf_take(&text), jm_buf_take(&sentence), fingerprint(&r)};
    }
    jm_buf_fini(&text);
    return ok;
}

static int by_sentence(const void *a, const void *b)
{
    return strcmp(((const drawn *)a)->sentence, ((const drawn *)b)->sentence);
}

START_TEST(equal_sentences)
{
    drawn *all = calloc(N_DRAWN, sizeof *all);
    int equal = 0;
    for (int i = 0; i < N_DRAWN;)
        i += draw_one(&all[i]);
    qsort(all, N_DRAWN, sizeof *all, by_sentence);
    for (int i = 1; i < N_DRAWN; i++) {
        if (strcmp(all[i - 1].sentence, all[i].sentence) != 0)
            continue;
        equal += strcmp(all[i - 1].text, all[i].text) != 0;
        ck_assert_msg(all[i - 1].fingerprint == all[i].fingerprint, "\"%s\" and \"%s\" are both %s",
                      all[i - 1].text, all[i].text, all[i].sentence);
    }
    ck_assert_int_gt(equal, 20);
    for (int i = 0; i < N_DRAWN; i++) {
        free(all[i].text);
        free(all[i].sentence);
    }
    free(all);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("cron_text");
    TCase *tc = tcase_create("cron_text");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, cron_sentence, 0, N(sentences));
    tcase_add_loop_test(tc, spec_sentence, 0, N(specs));
    tcase_add_test(tc, equal_sentences);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
