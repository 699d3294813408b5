/* Keys in memory, and their rates. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "producer/http/key_cache.h"

#define S INT64_C(1000000)

static jm_key_row row_of(unsigned n, unsigned parent)
{
    jm_key_row row = {.is_session = parent != 0};
    memcpy(row.hash, &n, sizeof n);
    memcpy(row.id.b, &n, sizeof n);
    memcpy(row.parent_id.b, &parent, sizeof parent);
    return row;
}

static jm_key_entry *put(jm_key_cache *cache, unsigned n, unsigned parent, int64_t now_ms)
{
    jm_key_row row = row_of(n, parent);
    return jm_key_cache_put(cache, &row, false, now_ms);
}

static jm_key_entry *find(jm_key_cache *cache, unsigned n)
{
    jm_key_row row = row_of(n, 0);
    return jm_key_cache_find(cache, row.hash);
}

START_TEST(put_find_drop)
{
    jm_key_cache *cache = jm_key_cache_new(10);
    for (unsigned n = 1; n <= 5; n++)
        put(cache, n, 0, 1);
    put(cache, 6, 1, 1); /* a session of the first */
    ck_assert_int_eq(jm_key_cache_size(cache), 6);
    ck_assert_ptr_eq(find(cache, 1)->bucket, find(cache, 6)->bucket);
    ck_assert_ptr_ne(find(cache, 1)->bucket, find(cache, 2)->bucket);
    put(cache, 2, 0, 7);
    ck_assert_int_eq(jm_key_cache_size(cache), 6);
    ck_assert_int_eq(find(cache, 2)->checked_ms, 7);
    jm_key_row row = row_of(1, 0);
    jm_key_cache_drop(cache, &row.id);
    ck_assert_ptr_null(find(cache, 1));
    ck_assert_ptr_null(find(cache, 6));
    ck_assert_int_eq(jm_key_cache_size(cache), 4);
    jm_key_cache_free(cache);
}
END_TEST

START_TEST(a_session_goes_alone)
{
    jm_key_cache *cache = jm_key_cache_new(10);
    put(cache, 1, 0, 1);
    put(cache, 2, 1, 1);
    jm_key_row session = row_of(2, 1);
    jm_key_cache_drop(cache, &session.id);
    ck_assert_ptr_null(find(cache, 2));
    ck_assert_ptr_nonnull(find(cache, 1));
    jm_key_cache_free(cache);
}
END_TEST

START_TEST(only_what_was_asked_about_is_lost)
{
    jm_key_cache *cache = jm_key_cache_new(10);
    put(cache, 1, 0, 10)->asked = true; /* not found again */
    put(cache, 2, 0, 10)->asked = true;
    put(cache, 3, 0, 10); /* came later */
    find(cache, 2)->checked_ms = 20;
    jm_key_cache_drop_lost(cache, 20);
    ck_assert_ptr_null(find(cache, 1));
    ck_assert_ptr_nonnull(find(cache, 2));
    ck_assert_ptr_nonnull(find(cache, 3));
    jm_key_cache_free(cache);
}
END_TEST

START_TEST(holds)
{
    jm_key_cache *cache = jm_key_cache_new(2);
    jm_key_row row = row_of(1, 0), session = row_of(2, 1), nobody = row_of(9, 0);
    put(cache, 1, 0, 1);
    put(cache, 2, 1, 1)->row.expires_us = 10 * S;
    ck_assert(!jm_key_entry_is_held(find(cache, 1)));
    jm_key_hold *one = jm_key_cache_hold(cache, &row.id);
    jm_key_hold *again = jm_key_cache_hold(cache, &row.id);
    jm_key_hold *brief = jm_key_cache_hold(cache, &session.id);
    put(cache, 3, 0, 2); /* there is no room: what streams hold stays */
    ck_assert_ptr_nonnull(find(cache, 1));
    jm_key_cache_drop_expired(cache, 10 * S - 1);
    ck_assert(!jm_key_hold_has_ended(brief));
    jm_key_cache_drop_expired(cache, 10 * S);
    ck_assert(jm_key_hold_has_ended(brief));
    jm_key_hold_free(again);
    ck_assert(jm_key_entry_is_held(find(cache, 1)));
    ck_assert(!jm_key_hold_has_ended(one));
    jm_key_cache_drop(cache, &row.id);
    ck_assert(jm_key_hold_has_ended(one));
    jm_key_hold *late = jm_key_cache_hold(cache, &nobody.id); /* it was revoked a moment ago */
    ck_assert(jm_key_hold_has_ended(late));
    ck_assert(!jm_key_hold_has_ended(NULL));
    jm_key_hold_free(late);
    jm_key_hold_free(one);
    jm_key_hold_free(brief);
    jm_key_hold_free(NULL);
    jm_key_cache_free(cache);
}
END_TEST

START_TEST(full)
{
    jm_key_cache *cache = jm_key_cache_new(100);
    for (unsigned n = 1; n <= 1000; n++)
        put(cache, n, 0, n);
    ck_assert_int_eq(jm_key_cache_size(cache), 100);
    ck_assert_ptr_null(find(cache, 900));
    ck_assert_ptr_nonnull(find(cache, 901));
    ck_assert_ptr_nonnull(find(cache, 1000));
    jm_key_cache_free(cache);
}
END_TEST

START_TEST(rates)
{
    jm_key_bucket bucket = {0};
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(jm_key_bucket_take(&bucket, 10, 0, 1 * S), 0);
    ck_assert_int_eq(jm_key_bucket_take(&bucket, 10, 0, 1 * S), 1);
    ck_assert_int_eq(jm_key_bucket_take(&bucket, 10, 0, 1 * S + S / 10), 0);
    ck_assert_int_eq(jm_key_bucket_take(&bucket, 10, 0, 1 * S + S / 10), 1);
    for (int i = 0; i < 10; i++) /* a long rest gives no more than a burst */
        ck_assert_int_eq(jm_key_bucket_take(&bucket, 10, 0, 100 * S), 0);
    ck_assert_int_eq(jm_key_bucket_take(&bucket, 10, 0, 100 * S), 1);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(jm_key_bucket_take(&bucket, 0, 0, 100 * S), 0);
}
END_TEST

START_TEST(unknown)
{
    jm_key_cache *cache = jm_key_cache_new(10);
    jm_key_row one = row_of(1, 0), other = row_of(2, 0);
    ck_assert(!jm_key_cache_is_unknown(cache, one.hash, 100));
    jm_key_cache_note_unknown(cache, one.hash, 100);
    ck_assert(jm_key_cache_is_unknown(cache, one.hash, 1099));
    ck_assert(!jm_key_cache_is_unknown(cache, one.hash, 1100));
    ck_assert(!jm_key_cache_is_unknown(cache, other.hash, 100));
    jm_key_cache_free(cache);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("key_cache");
    TCase *tc = tcase_create("key_cache");
    tcase_add_test(tc, put_find_drop);
    tcase_add_test(tc, a_session_goes_alone);
    tcase_add_test(tc, only_what_was_asked_about_is_lost);
    tcase_add_test(tc, holds);
    tcase_add_test(tc, full);
    tcase_add_test(tc, rates);
    tcase_add_test(tc, unknown);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
