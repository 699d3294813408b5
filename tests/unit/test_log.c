/* Tests of the log: one line an event, text or JSON, levels, and no password in it. */
#include "common/log.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int saved = -1, lines[2];

static void capture(void)
{
    ck_assert_int_eq(pipe(lines), 0);
    saved = dup(STDERR_FILENO);
    dup2(lines[1], STDERR_FILENO);
    close(lines[1]);
}

/* What has been logged since capture, and stderr as it was. */
static const char *captured(char *to, size_t size)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = read(lines[0], to, size - 1);
    close(lines[0]);
    to[n > 0 ? n : 0] = 0;
    return to;
}

static void masks(const char *text, const char *expected)
{
    char *copy = strdup(text);
    jm_mask_secrets(copy);
    ck_assert_str_eq(copy, expected);
    free(copy);
}

START_TEST(masking)
{
    masks("postgresql://me:secret@h:5432/db", "postgresql://me:***@h:5432/db");
    masks("postgresql://me:p@ss@h/db and http://a:b@c",
          "postgresql://me:***@h/db and http://a:*@c");
    masks("postgresql://me@h/db", "postgresql://me@h/db");
    masks("http://host:80/a:b@c", "http://host:80/a:b@c");
    masks("host=h password=secret user=u", "host=h password=*** user=u");
    masks("host='h' password='se cret' user='u'", "host='h' password='***' user='u'");
    masks("password='it\\'s secret' x", "password='***' x");
    masks("url?password=secret&x=1", "url?password=***&x=1");
    masks("sslpassword=secret", "sslpassword=***");
    masks("nothing to hide: a=b", "nothing to hide: a=b");
}
END_TEST

START_TEST(text_line)
{
    char text[1000];
    jm_log_init(JM_INFO, false);
    capture();
    jm_log_kv(JM_WARNING, "relay", "two\nlines", "job_id", "x1", "left_out", NULL, "why", "a \"b\"",
              NULL);
    captured(text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "WARNING relay: two lines job_id=x1"));
    ck_assert_int_eq(strchr(text, '\n') - text, (long)strlen(text) - 1);
}
END_TEST

START_TEST(json_line)
{
    char text[1000];
    jm_log_init(JM_INFO, true);
    capture();
    jm_log_kv(JM_ERROR, "store", "a \"quoted\"\nthing", "url", "postgresql://u:secret@h/d", NULL);
    captured(text, sizeof text);
    json_t *line = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "ERROR");
    ck_assert_str_eq(json_string_value(json_object_get(line, "module")), "store");
    ck_assert_str_eq(json_string_value(json_object_get(line, "message")), "a \"quoted\"\nthing");
    ck_assert_str_eq(json_string_value(json_object_get(line, "url")), "postgresql://u:***@h/d");
    json_decref(line);
}
END_TEST

START_TEST(levels)
{
    char text[1000];
    jm_log_level level;
    ck_assert(jm_log_level_parse("Warning", &level));
    ck_assert_int_eq(level, JM_WARNING);
    ck_assert(!jm_log_level_parse("loud", &level));
    jm_log_init(JM_WARNING, false);
    capture();
    jm_logf(JM_INFO, "x", "not %s", "written");
    jm_logf(JM_ERROR, "x", "is %s", "written");
    captured(text, sizeof text);
    ck_assert_ptr_null(strstr(text, "not written"));
    ck_assert_ptr_nonnull(strstr(text, "is written"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("log");
    tcase_add_test(tcase, masking);
    tcase_add_test(tcase, text_line);
    tcase_add_test(tcase, json_line);
    tcase_add_test(tcase, levels);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
