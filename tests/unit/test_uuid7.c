/* Ids: order, time, derivation from records, text. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/uuid7.h"

START_TEST(new_ids_only_grow)
{
    jm_uuid last = jm_uuid7_new();
    for (int i = 0; i < 200000; i++) {
        jm_uuid id = jm_uuid7_new();
        ck_assert_int_lt(jm_uuid_cmp(&last, &id), 0);
        ck_assert(jm_uuid7_is(&id));
        last = id;
    }
    ck_assert_int_le(llabs(jm_uuid7_ms(&last) - jm_utc_ms()), 5000);
}
END_TEST

START_TEST(by_another_clock)
{
    int64_t ms = jm_utc_ms() + 86400000;
    jm_uuid first = jm_uuid7_at(ms), back = jm_uuid7_at(ms - 1000), on = jm_uuid7_at(ms + 1);
    ck_assert_int_eq(jm_uuid7_ms(&first), ms);
    ck_assert_int_lt(jm_uuid_cmp(&first, &back), 0);
    ck_assert_int_lt(jm_uuid_cmp(&back, &on), 0);
    ck_assert_int_eq(jm_uuid7_ms(&on), ms + 1);
}
END_TEST

START_TEST(text)
{
    static const char *const bad[] = {"019adc445b807abc8def0123456789ab",
                                      "019adc44-5b80-7abc-8def-0123456789a",
                                      "019adc44-5b80-7abc-8def-0123456789abc",
                                      "019adc44x5b80-7abc-8def-0123456789ab",
                                      "g19adc44-5b80-7abc-8def-0123456789ab",
                                      "{19adc44-5b80-7abc-8def-0123456789a}",
                                      ""};
    const char *good = "019ADC44-5b80-7abc-8def-0123456789ab";
    char out[JM_UUID_TEXT];
    jm_uuid id;
    ck_assert(jm_uuid_parse(good, strlen(good), &id));
    jm_uuid_format(&id, out);
    ck_assert_str_eq(out, "019adc44-5b80-7abc-8def-0123456789ab");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!jm_uuid_parse(bad[i], strlen(bad[i]), &id), "%s", bad[i]);
}
END_TEST

START_TEST(version_and_variant)
{
    jm_uuid id;
    ck_assert(jm_uuid_parse("7d444840-9dc0-41d1-b245-5ffdce74fad2", 36, &id) && !jm_uuid7_is(&id));
    ck_assert(jm_uuid_parse("019adc44-5b80-7abc-cdef-0123456789ab", 36, &id) && !jm_uuid7_is(&id));
    ck_assert(jm_uuid_parse("019adc44-5b80-7abc-bdef-0123456789ab", 36, &id) && jm_uuid7_is(&id));
}
END_TEST

START_TEST(time_and_floor)
{
    static const uint8_t seed[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    const int64_t ms = 1795357800123;
    jm_uuid id = jm_uuid7_derive(ms, seed), floor = jm_uuid7_floor(ms),
            next = jm_uuid7_floor(ms + 1);
    ck_assert_int_eq(jm_uuid7_ms(&id), ms);
    ck_assert_int_eq(jm_uuid7_ms(&floor), ms);
    ck_assert(jm_uuid7_is(&id));
    ck_assert_int_lt(jm_uuid_cmp(&floor, &id), 0);
    jm_uuid first = jm_uuid7_floor(0), before = jm_uuid7_floor(-1),
            long_before = jm_uuid7_floor(-62135596800000);
    ck_assert_int_eq(jm_uuid7_ms(&before), 0);
    ck_assert_int_eq(jm_uuid_cmp(&before, &first), 0);
    ck_assert_int_eq(jm_uuid_cmp(&long_before, &first), 0);
    ck_assert_int_lt(jm_uuid_cmp(&id, &next), 0);
}
END_TEST

/* Whatever differs between two records tells their ids apart; the same record gives the same id. */
START_TEST(of_a_record)
{
    const int64_t ms = 1795357800123;
    jm_uuid ids[] = {
        jm_uuid7_from_record("t", 1, 2, ms, "k", 1, "v", 1),
        jm_uuid7_from_record("u", 1, 2, ms, "k", 1, "v", 1),
        jm_uuid7_from_record("t", 2, 2, ms, "k", 1, "v", 1),
        jm_uuid7_from_record("t", 1, 3, ms, "k", 1, "v", 1),
        jm_uuid7_from_record("t", 1, 2, ms + 1, "k", 1, "v", 1),
        jm_uuid7_from_record("t", 1, 2, ms, "l", 1, "v", 1),
        jm_uuid7_from_record("t", 1, 2, ms, NULL, 0, "v", 1),
        jm_uuid7_from_record("t", 1, 2, ms, "", 0, "v", 1),
        jm_uuid7_from_record("t", 1, 2, ms, "k", 1, "w", 1),
        jm_uuid7_from_record("t", 1, 2, ms, "kv", 2, "", 0),
        jm_uuid7_from_record("t", 1, 2, ms, "", 0, "kv", 2),
    };
    enum { N = sizeof ids / sizeof *ids };
    jm_uuid again = jm_uuid7_from_record("t", 1, 2, ms, "k", 1, "v", 1);
    ck_assert_int_eq(jm_uuid_cmp(&ids[0], &again), 0);
    for (int i = 0; i < N; i++) {
        ck_assert(jm_uuid7_is(&ids[i]));
        ck_assert_int_eq(jm_uuid7_ms(&ids[i]), i == 4 ? ms + 1 : ms);
        for (int j = 0; j < i; j++)
            ck_assert_msg(jm_uuid_cmp(&ids[i], &ids[j]) != 0, "%d and %d", i, j);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uuid7");
    TCase *tc = tcase_create("uuid7");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, new_ids_only_grow);
    tcase_add_test(tc, by_another_clock);
    tcase_add_test(tc, text);
    tcase_add_test(tc, version_and_variant);
    tcase_add_test(tc, time_and_floor);
    tcase_add_test(tc, of_a_record);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
