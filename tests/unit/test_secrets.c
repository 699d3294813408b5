/* Secrets from files, and the masking of what they leave behind. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/mask.h"
#include "worker/secrets.h"

static char dir[] = "/tmp/jm_secrets_XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const void *text, size_t len, mode_t mode)
{
    unlink(in_dir(name));
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void putstr(const char *name, const char *text)
{
    put(name, text, strlen(text), 0600);
}

static int get(jm_secrets *secrets, const char *name, const char **value, jm_err *err)
{
    size_t len = 0;
    int rc = jm_secrets_get(secrets, name, NULL, value, &len, err);
    if (!rc)
        ck_assert_uint_eq(len, strlen(*value));
    return rc;
}

START_TEST(reads_files)
{
    jm_secrets *secrets = jm_secrets_new(dir);
    const char *value;
    jm_err err;
    putstr("A", "one two\n");
    putstr("B", "line one\nline two\r\n");
    putstr("C", "exact");
    ck_assert_int_eq(get(secrets, "A", &value, &err), 0);
    ck_assert_str_eq(value, "one two");
    ck_assert_int_eq(get(secrets, "B", &value, &err), 0);
    ck_assert_str_eq(value, "line one\nline two");
    ck_assert_int_eq(get(secrets, "C", &value, &err), 0);
    ck_assert_str_eq(value, "exact");
    size_t len;
    ck_assert_int_eq(jm_secrets_get(secrets, "other", in_dir("C"), &value, &len, &err), 0);
    ck_assert_str_eq(value, "exact");
    jm_secrets_free(secrets);
}
END_TEST

START_TEST(reads_again_what_changed)
{
    jm_secrets *secrets = jm_secrets_new(dir);
    const char *value;
    jm_err err;
    putstr("A", "before");
    ck_assert_int_eq(get(secrets, "A", &value, &err), 0);
    ck_assert_str_eq(value, "before");
    putstr("A", "after!");
    ck_assert_int_eq(get(secrets, "A", &value, &err), 0);
    ck_assert_str_eq(value, "after!");
    ck_assert_int_eq(chmod(in_dir("A"), 0644), 0);
    ck_assert_int_eq(get(secrets, "A", &value, &err), JM_ERR_INVALID);
    unlink(in_dir("A"));
    ck_assert_int_eq(get(secrets, "A", &value, &err), JM_ERR_NOT_FOUND);
    putstr("A", "again");
    ck_assert_int_eq(get(secrets, "A", &value, &err), 0);
    ck_assert_str_eq(value, "again");
    jm_secrets_free(secrets);
}
END_TEST

START_TEST(refuses_files)
{
    jm_secrets *secrets = jm_secrets_new(dir), *none = jm_secrets_new(NULL);
    const char *value;
    jm_err err;
    ck_assert_int_eq(get(none, "A", &value, &err), JM_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "secrets_dir is not set"));
    ck_assert_int_eq(get(secrets, "absent", &value, &err), JM_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "secret absent"));
    put("world", "topsecret", 9, 0604);
    ck_assert_int_eq(get(secrets, "world", &value, &err), JM_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "chmod o-rw"));
    ck_assert_ptr_null(strstr(err.msg, "topsecret"));
    put("group", "topsecret", 9, 0640);
    ck_assert_int_eq(get(secrets, "group", &value, &err), 0);
    put("nul", "a\0bcd", 5, 0600);
    ck_assert_int_eq(get(secrets, "nul", &value, &err), JM_ERR_INVALID);
    putstr("short", "abc\n");
    ck_assert_int_eq(get(secrets, "short", &value, &err), JM_ERR_INVALID);
    ck_assert_int_eq(mkfifo(in_dir("pipe"), 0600), 0);
    ck_assert_int_eq(get(secrets, "pipe", &value, &err), JM_ERR_INVALID);
    unlink(in_dir("pipe"));
    ck_assert_int_eq(mkdir(in_dir("sub"), 0700), 0);
    ck_assert_int_eq(get(secrets, "sub", &value, &err), JM_ERR_INVALID);
    rmdir(in_dir("sub"));
    char *large = calloc(1, JM_SECRET_MAX_BYTES + 2);
    memset(large, 'x', JM_SECRET_MAX_BYTES + 1);
    putstr("large", large);
    ck_assert_int_eq(get(secrets, "large", &value, &err), JM_ERR_INVALID);
    free(large);
    jm_secrets_free(secrets);
    jm_secrets_free(none);
}
END_TEST

START_TEST(names)
{
    ck_assert(jm_secret_name_ok("API_KEY.v2-x") && jm_secret_name_ok("a"));
    ck_assert(!jm_secret_name_ok("") && !jm_secret_name_ok(".") && !jm_secret_name_ok("..") &&
              !jm_secret_name_ok("a/b") && !jm_secret_name_ok("a b") && !jm_secret_name_ok("ä"));
}
END_TEST

/* ---- mask ---- */

static void expect_text(const jm_mask *mask, const char *text, const char *want)
{
    jm_buf out = {0};
    jm_mask_text(mask, text, strlen(text), &out);
    ck_assert_str_eq(jm_buf_str(&out), want);
    jm_buf_fini(&out);
}

static void expect_json(const jm_mask *mask, const char *json, const char *want)
{
    jm_buf out = {0};
    jm_mask_json(mask, json, strlen(json), &out);
    ck_assert_str_eq(jm_buf_str(&out), want);
    jm_buf_fini(&out);
}

START_TEST(masks_text)
{
    jm_mask mask = {0};
    expect_text(&mask, "nothing yet", "nothing yet");
    jm_mask_add(&mask, "p@ss\"w/rd", 9);
    jm_mask_add(&mask, "p@ss", 4);
    size_t n = mask.n;
    jm_mask_add(&mask, "p@ss", 4);
    ck_assert_uint_eq(mask.n, n);
    expect_text(&mask, "a p@ss\"w/rd b", "a [secret] b");
    expect_text(&mask, "p@ssp@ss", "[secret][secret]");
    expect_text(&mask, "p@s p@ss", "p@s [secret]");
    expect_text(&mask, "url?k=p%40ss%22w%2Frd&x", "url?k=[secret]&x");
    expect_text(&mask, "json \"p@ss\\\"w/rd\"", "json \"[secret]\"");
    expect_text(&mask, "b64 cEBzcyJ3L3Jk", "b64 [secret]");
    jm_mask other = {0};
    jm_mask_merge(&other, &mask);
    expect_text(&other, "p@ss", "[secret]");
    jm_mask_fini(&other);
    jm_mask_fini(&mask);
}
END_TEST

START_TEST(masks_what_other_programs_make_of_it)
{
    static const char *const forms[] = {
        "k\xc3\xb6/\xf0\x9f\x8c\x8d\"s", "k\xc3\xb6/\xf0\x9f\x8c\x8d\\\"s",
        "k\\u00f6/\\ud83c\\udf0d\\\"s",  "k\\u00F6/\\uD83C\\uDF0D\\\"s",
        "k%C3%B6%2F%F0%9F%8C%8D%22s",    "k%c3%b6%2f%f0%9f%8c%8d%22s"};
    jm_mask mask = {0};
    jm_mask_add(&mask, forms[0], strlen(forms[0]));
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        expect_text(&mask, forms[i], "[secret]");
    jm_mask_fini(&mask);
}
END_TEST

/* base64 of "…secret\n": digits that hold bits of what stands beside it are left. */
START_TEST(masks_base64_in_context)
{
    jm_mask mask = {0};
    jm_mask_add(&mask, "s3cretVALUE42xyz", 16);
    expect_text(&mask, "czNjcmV0VkFMVUU0Mnh5eg==", "[secret]");
    expect_text(&mask, "czNjcmV0VkFMVUU0Mnh5ego=", "[secret]go=");
    expect_text(&mask, "dXMzY3JldFZBTFVFNDJ4eXoK", "dX[secret]oK");
    expect_text(&mask, "dXNzM2NyZXRWQUxVRTQyeHl6Cg==", "dXN[secret]Cg==");
    expect_text(&mask, "dXNlcjpzM2NyZXRWQUxVRTQyeHl6Cg==", "dXNlcjp[secret]Cg==");
    jm_mask_fini(&mask);
}
END_TEST

START_TEST(masks_lines_of_long_secrets)
{
    jm_mask mask = {0};
    static const char key[] = "-----BEGIN-----\nMIIabcdefgh\nshort\nQRSTUVWX\n-----END-----";
    jm_mask_add(&mask, key, sizeof key - 1);
    expect_text(&mask, key, "[secret]");
    expect_text(&mask, "line MIIabcdefgh.", "line [secret].");
    expect_text(&mask, "a short walk", "a short walk");
    jm_mask_fini(&mask);
}
END_TEST

START_TEST(masks_json)
{
    jm_mask mask = {0};
    jm_mask_add(&mask, "12345", 5);
    jm_mask_add(&mask, "kä\"se", 6);
    expect_json(&mask, "{\"a\":12345,\"b\":[1123456, 1.5, true, null]}",
                "{\"a\":\"[secret]\",\"b\":[\"[secret]\", 1.5, true, null]}");
    expect_json(&mask, "{\"x12345y\":\"k\\u00e4\\u0022se\"}", "{\"x[secret]y\":\"[secret]\"}");
    expect_json(&mask, "{\"n\":\"a\\n\\\\\"}", "{\"n\":\"a\\n\\\\\"}");
    expect_json(&mask, "\"k\\u00E4\\\"se!\"", "\"[secret]!\"");
    jm_mask_fini(&mask);
}
END_TEST

/* However the text is cut, what comes out is the same. */
START_TEST(masks_streams)
{
    jm_mask mask = {0};
    jm_mask_add(&mask, "abcabd", 6);
    jm_mask_add(&mask, "cdef", 4);
    static const char text[] = "xabcabcabd-cde-cdef-abcabcdef abca";
    static const char want[] = "xabc[secret]-cde-[secret]-abcab[secret] abca";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        jm_buf out = {0}, rest = {0};
        for (size_t i = 0; i < sizeof text - 1; i += piece) {
            size_t n = sizeof text - 1 - i < piece ? sizeof text - 1 - i : piece;
            jm_mask_stream(&mask, &rest, text + i, n, false, &out);
        }
        jm_mask_stream(&mask, &rest, "", 0, true, &out);
        ck_assert_str_eq(jm_buf_str(&out), want);
        ck_assert_uint_eq(rest.len, 0);
        jm_buf_fini(&out);
        jm_buf_fini(&rest);
    }
    jm_mask_fini(&mask);
}
END_TEST

int main(void)
{
    if (!mkdtemp(dir))
        return EXIT_FAILURE;
    Suite *suite = suite_create("secrets");
    TCase *tcase = tcase_create("secrets");
    tcase_add_test(tcase, reads_files);
    tcase_add_test(tcase, reads_again_what_changed);
    tcase_add_test(tcase, refuses_files);
    tcase_add_test(tcase, names);
    tcase_add_test(tcase, masks_text);
    tcase_add_test(tcase, masks_what_other_programs_make_of_it);
    tcase_add_test(tcase, masks_base64_in_context);
    tcase_add_test(tcase, masks_lines_of_long_secrets);
    tcase_add_test(tcase, masks_json);
    tcase_add_test(tcase, masks_streams);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    static const char *const names_left[] = {"A",   "B",     "C",     "world", "group",
                                             "nul", "short", "large", "pipe",  "sub"};
    for (size_t i = 0; i < sizeof names_left / sizeof *names_left; i++)
        unlink(in_dir(names_left[i]));
    rmdir(dir);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
