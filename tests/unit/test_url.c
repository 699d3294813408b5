/* URLs that jobmill is given to call. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/url.h"

static const struct {
    const char *text;
    bool http, source;
} urls[] = {
    {"http://example.org", true, true},
    {"https://example.org:8443/a/b?c=d#e", true, true},
    {"http://127.0.0.1:/x", true, true},
    {"http://[::1]:80/", true, true},
    {"http://a_b-c.example", true, true},
    {"http://example.org?q", true, true},
    {"http://example.org/a@b", true, true},
    {"http://me:word@example.org/d.json", false, true},
    {"http://me@[::1]/", false, true},
    {"http://", false, false},
    {"https://", false, false},
    {"http:///x", false, false},
    {"http://me:word@/x", false, false},
    {"http://me:wo rd@example.org", false, false},
    {"http://:80/", false, false},
    {"http://example.org:port/", false, false},
    {"http://example.org:123456/", false, false},
    {"http://[::1", false, false},
    {"http://[]/", false, false},
    {"http://ex ample.org/", false, false},
    {"http://example.org/a b", false, false},
    {"http://example.org/\n", false, false},
    {"http://ex\xc3\xa4mple.org/", false, false},
    {"HTTP://example.org", false, false},
    {"ftp://example.org/", false, true}, /* a path, for want of a better idea */
    {"schedules/", false, true},
    {"", false, false},
};

START_TEST(each)
{
    const char *text = urls[_i].text;
    ck_assert_msg(jm_url_is_http(text, strlen(text)) == urls[_i].http, "http: %s", text);
    ck_assert_msg(jm_url_is_source(text) == urls[_i].source, "source: %s", text);
}
END_TEST

/* What lies behind its length does not count. */
START_TEST(length)
{
    ck_assert(jm_url_is_http("http://example.org \n", strlen("http://example.org")));
    ck_assert(!jm_url_is_http("http://example.org", strlen("http://")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("url");
    TCase *tcase = tcase_create("url");
    tcase_add_loop_test(tcase, each, 0, (int)(sizeof urls / sizeof *urls));
    tcase_add_test(tcase, length);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
