/* Keys as text, and lines of a file of keys. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "producer/service/key_text.h"

#define HASH "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define KNOWN                                                                                      \
    "b2548874563d7917ed56299c538416fcb937ffaac3c6b043d96ed8230ae089b1" /* of jm_ and 52 times a */

START_TEST(made_keys_are_read_again)
{
    jm_key key, again;
    jm_err err;
    ck_assert_int_eq(jm_key_make(&key, &err), JM_OK);
    ck_assert_uint_eq(strlen(key.text), JM_KEY_TEXT - 1);
    ck_assert_int_eq(strncmp(key.text, "jm_", 3), 0);
    ck_assert_int_eq(strncmp(key.text + 3, key.prefix, 8), 0);
    ck_assert(jm_key_read(&again, key.text, strlen(key.text)));
    ck_assert(jm_key_hash_equal(key.hash, again.hash));
    ck_assert_str_eq(key.prefix, again.prefix);
    ck_assert_str_eq(key.hex, again.hex);
    ck_assert_int_eq(jm_key_make(&again, &err), JM_OK);
    ck_assert_str_ne(key.text, again.text);
    ck_assert(!jm_key_hash_equal(key.hash, again.hash));
}
END_TEST

/* Of 1000 keys every digit stands at every place but the last, which has one bit of the bytes. */
START_TEST(all_bits_are_random)
{
    static bool seen[JM_KEY_TEXT][128];
    jm_key key;
    jm_err err;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(jm_key_make(&key, &err), JM_OK);
        for (int at = 3; at < JM_KEY_TEXT - 1; at++)
            seen[at][(unsigned char)key.text[at]] = true;
    }
    for (int at = 3; at < JM_KEY_TEXT - 1; at++) {
        int n = 0;
        for (int c = 0; c < 128; c++)
            n += seen[at][c];
        ck_assert_int_eq(n, at < JM_KEY_TEXT - 2 ? 32 : 2);
    }
}
END_TEST

START_TEST(what_is_no_key)
{
    jm_key key, other;
    jm_err err;
    char text[JM_KEY_TEXT + 1];
    ck_assert_int_eq(jm_key_make(&key, &err), JM_OK);
    ck_assert(!jm_key_read(&other, "", 0));
    ck_assert(!jm_key_read(&other, key.text, JM_KEY_TEXT - 2));
    memcpy(text, key.text, JM_KEY_TEXT);
    text[JM_KEY_TEXT - 1] = 'a';
    text[JM_KEY_TEXT] = 0;
    ck_assert(!jm_key_read(&other, text, JM_KEY_TEXT));
    for (const char *bad = "A1089 _-'\"\n\x7f\xc3"; *bad; bad++) {
        memcpy(text, key.text, JM_KEY_TEXT);
        text[20] = *bad;
        ck_assert_msg(!jm_key_read(&other, text, JM_KEY_TEXT - 1), "%s", text);
    }
    memcpy(text, key.text, JM_KEY_TEXT);
    text[20] = 0;
    ck_assert(!jm_key_read(&other, text, JM_KEY_TEXT - 1));
    text[0] = 'J';
    ck_assert(!jm_key_read(&other, text, JM_KEY_TEXT - 1));
}
END_TEST

START_TEST(known_hash)
{
    jm_key key;
    char text[JM_KEY_TEXT] = "jm_";
    memset(text + 3, 'a', JM_KEY_TEXT - 4);
    ck_assert(jm_key_read(&key, text, JM_KEY_TEXT - 1));
    ck_assert_str_eq(key.hex, KNOWN);
}
END_TEST

START_TEST(names)
{
    char longest[102];
    memset(longest, 'a', 101);
    longest[101] = 0;
    ck_assert(!jm_key_is_name(longest));
    longest[100] = 0;
    ck_assert(jm_key_is_name(longest));
    ck_assert(jm_key_is_name("alice@example.org") && jm_key_is_name("CI-2"));
    for (size_t i = 0; i < 8; i++) {
        static const char *const bad[] = {"", ".a", "-a", "@a", "a b", "a:b", "a\n", "\xc3\xa9"};
        ck_assert_msg(!jm_key_is_name(bad[i]), "%s", bad[i]);
    }
    ck_assert(jm_key_is_scope("read") && !jm_key_is_scope("") && !jm_key_is_scope("Admin"));
}
END_TEST

START_TEST(lines)
{
    jm_key_line line;
    jm_err err;
    bool is_key;
    ck_assert_int_eq(jm_key_line_parse("  " HASH "\tread  *  a@b\r\n", &line, &is_key, &err), 0);
    ck_assert(is_key && line.hash[0] == 0x9f && line.hash[31] == 0x08);
    ck_assert_str_eq(line.scope, "read");
    ck_assert_str_eq(line.project, "");
    ck_assert_str_eq(line.name, "a@b");
    ck_assert_int_eq(jm_key_line_parse(HASH " submit p.1 k", &line, &is_key, &err), 0);
    ck_assert_str_eq(line.scope, "submit");
    ck_assert_str_eq(line.project, "p.1");
    for (size_t i = 0; i < 4; i++) {
        static const char *const none[] = {"", "\n", "# " HASH " read * a", "   \t\n"};
        ck_assert_int_eq(jm_key_line_parse(none[i], &line, &is_key, &err), 0);
        ck_assert(!is_key);
    }
}
END_TEST

START_TEST(bad_lines)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {HASH " read *", "parted by spaces"},       {HASH " read * a b", "parted by spaces"},
        {HASH "0 read * a", "64 hexadecimal"},      {"xx read * a", "64 hexadecimal"},
        {HASH " root * a", "\"root\" is none of"},  {HASH " administrator * a", "is none of"},
        {HASH " read P a", "no name of a project"}, {HASH " read ** a", "no name of a project"},
        {HASH " read * a/b", "no name of a key"}};
    jm_key_line line;
    jm_err err;
    bool is_key;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(jm_key_line_parse(bad[i].line, &line, &is_key, &err), JM_ERR_INVALID);
        ck_assert_msg(strstr(err.msg, bad[i].says) != NULL, "%s: %s", bad[i].line, err.msg);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("key_text");
    TCase *tc = tcase_create("key_text");
    tcase_add_test(tc, made_keys_are_read_again);
    tcase_add_test(tc, all_bits_are_random);
    tcase_add_test(tc, what_is_no_key);
    tcase_add_test(tc, known_hash);
    tcase_add_test(tc, names);
    tcase_add_test(tc, lines);
    tcase_add_test(tc, bad_lines);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
