/* The parts of http that need no server: which addresses are public, what a definition may say, the
 * signature of callbacks, the child of a trace. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "worker/http_address.h"
#include "worker/http_plan.h"
#include "worker/http_request.h"
#include "worker/job_type.h"

static const struct {
    const char *address, *words; /* NULL: public */
} addresses[] = {
    {"0.0.0.0", "this network"},
    {"0.255.255.255", "this network"},
    {"1.0.0.0", NULL},
    {"8.8.8.8", NULL},
    {"9.255.255.255", NULL},
    {"10.0.0.0", "private"},
    {"10.255.255.255", "private"},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.64.0.0", "shared"},
    {"100.127.255.255", "shared"},
    {"100.128.0.0", NULL},
    {"126.255.255.255", NULL},
    {"127.0.0.1", "loopback"},
    {"127.255.255.255", "loopback"},
    {"128.0.0.0", NULL},
    {"169.253.255.255", NULL},
    {"169.254.169.254", "link-local"},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.16.0.0", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"192.0.0.8", "reserved"},
    {"192.0.1.0", NULL},
    {"192.0.2.1", "documentation"},
    {"192.88.99.1", "reserved"},
    {"192.167.255.255", NULL},
    {"192.168.0.1", "private"},
    {"192.169.0.0", NULL},
    {"198.17.255.255", NULL},
    {"198.18.0.1", "benchmarks"},
    {"198.19.255.255", "benchmarks"},
    {"198.20.0.0", NULL},
    {"198.51.100.7", "documentation"},
    {"203.0.113.7", "documentation"},
    {"223.255.255.255", NULL},
    {"224.0.0.1", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.1", "reserved"},
    {"255.255.255.255", "reserved"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "reserved"},
    {"::7f00:1", "reserved"},
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:10.1.2.3", "private"},
    {"::ffff:8.8.8.8", NULL},
    {"::ffff:0:127.0.0.1", "loopback"},
    {"64:ff9b::7f00:1", "loopback"},
    {"64:ff9b::808:808", NULL},
    {"64:ff9b:1::808:808", "reserved"},
    {"100::1", "reserved"},
    {"2000::1", NULL},
    {"2001::1", "reserved"},
    {"2001:1ff:ffff::", "reserved"},
    {"2001:200::1", NULL},
    {"2001:4860:4860::8888", NULL},
    {"2001:db8::1", "documentation"},
    {"2002:7f00:1::", "loopback"},
    {"2002:c0a8:1::1", "private"},
    {"2002:808:808::1", NULL},
    {"2a00:1450:4001::1", NULL},
    {"3fff::1", "documentation"},
    {"3fff:1000::1", NULL},
    {"4000::1", "reserved"},
    {"5f00::1", "reserved"},
    {"fbff::1", "reserved"},
    {"fc00::1", "unique local"},
    {"fdff:ffff::1", "unique local"},
    {"fe00::1", "reserved"},
    {"fe80::1", "link-local"},
    {"febf:ffff::1", "link-local"},
    {"fec0::1", "site-local"},
    {"ff02::1", "multicast"},
};

static void expect_words(const char *address, const char *got, const char *want)
{
    if (want)
        ck_assert_msg(got && strstr(got, want), "%s is %s", address, got ? got : "public");
    else
        ck_assert_msg(!got, "%s is %s", address, got);
}

START_TEST(judges_addresses)
{
    const char *text = addresses[_i].address, *want = addresses[_i].words;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        expect_words(text, jm_http_address_refusal((struct sockaddr *)&in), want);
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        expect_words(text, jm_http_address_refusal((struct sockaddr *)&in6), want);
    else
        ck_abort_msg("%s is no address", text);
    expect_words(text, jm_http_address_text_refusal(text), want);
}
END_TEST

START_TEST(refuses_other_families)
{
    struct sockaddr address = {.sa_family = AF_UNIX};
    ck_assert_ptr_nonnull(jm_http_address_refusal(&address));
    ck_assert_ptr_nonnull(jm_http_address_text_refusal("localhost"));
    ck_assert_ptr_nonnull(jm_http_address_text_refusal(""));
}
END_TEST

/* ---- definitions ---- */

static const struct {
    const char *http, *field, *says; /* says NULL: it is sound */
} plans[] = {
    {"{\"url\":\"https://example.org\"}", NULL, NULL},
    {"{\"url\":\"https://example.org/a/${params.x}/b?c=${params.y:-a?b}&d=1\"}", NULL, NULL},
    {"{\"url\":\"http://[2001:db8::1]:8080/\"}", NULL, NULL},
    {"{\"url\":\"https://example.org?x=${params.x}\"}", NULL, NULL},
    {"{\"url\":\"${params.url}\",\"body\":{\"a\":1},\"method\":\"PUT\",\"expect\":[200,409],"
     "\"timeout_s\":0.5,\"max_bytes\":0,\"redirects\":3,\"sign\":\"hook\","
     "\"headers\":{\"Authorization\":\"Bearer ${secret:T}\"}}",
     NULL, NULL},
    {"{\"url\":\"https://example.org\",\"expect\":404,\"body\":\"x=${params.a}\","
     "\"headers\":{\"content-type\":\"application/x-www-form-urlencoded\"}}",
     NULL, NULL},
    {"{}", "/steps/0/http", "http has no url"},
    {"{\"url\":5}", "/steps/0/http/url", "must be a string"},
    {"{\"url\":\"\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"ftp://example.org/\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"file:///etc/passwd\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"https://${params.host}/\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"https://a.${params.host}/\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"https://example.org:${params.port}/\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"${params.base}/x\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"${params.scheme}://example.org\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"https://u:p@example.org/\"}", "/steps/0/http/url", "credentials"},
    {"{\"url\":\"https:///x\"}", "/steps/0/http/url", "literally"},
    {"{\"url\":\"https://example.org/#x\"}", "/steps/0/http/url", "fragment"},
    {"{\"url\":\"https://example.org/a b\"}", "/steps/0/http/url", "no URL"},
    {"{\"url\":\"https://example.org/${parms.x}\"}", "/steps/0/http/url", "did you mean"},
    {"{\"url\":\"https://example.org\",\"metod\":\"GET\"}", "/steps/0/http/metod", "\"method\""},
    {"{\"url\":\"https://example.org\",\"method\":\"get\"}", "/steps/0/http/method", "one of GET"},
    {"{\"url\":\"https://example.org\",\"method\":\"HEAD\",\"body\":1}", "/steps/0/http/body",
     "no body"},
    {"{\"url\":\"https://example.org\",\"headers\":{\"A B\":\"x\"}}", "/steps/0/http/headers/A B",
     "no name of a header"},
    {"{\"url\":\"https://example.org\",\"headers\":{\"A\":1}}", "/steps/0/http/headers/A",
     "must be a string"},
    {"{\"url\":\"https://example.org\",\"headers\":{\"A\":\"x\\r\\nB: y\"}}",
     "/steps/0/http/headers/A", "control character"},
    {"{\"url\":\"https://example.org\",\"headers\":{\"A\":\"1\",\"a\":\"2\"}}",
     "/steps/0/http/headers/a", "twice"},
    {"{\"url\":\"https://example.org\",\"headers\":{\"content-length\":\"2\"}}",
     "/steps/0/http/headers/content-length", "set by jobmill"},
    {"{\"url\":\"https://example.org\",\"headers\":{\"A\":\"${secret:../x}\"}}",
     "/steps/0/http/headers/A", "a secret's name"},
    {"{\"url\":\"https://example.org\",\"body\":{\"a\":[\"${nope}\"]}}", "/steps/0/http/body",
     "there is no \"nope\""},
    {"{\"url\":\"https://example.org\",\"body\":\"{\\\"a\\\":\\\"${params.a}\\\"}\","
     "\"headers\":{\"Content-Type\":\"application/json\"}}",
     "/steps/0/http/body", "escaped only"},
    {"{\"url\":\"https://example.org\",\"expect\":99}", "/steps/0/http/expect", "status"},
    {"{\"url\":\"https://example.org\",\"expect\":[]}", "/steps/0/http/expect", "status"},
    {"{\"url\":\"https://example.org\",\"expect\":[\"2xx\"]}", "/steps/0/http/expect", "status"},
    {"{\"url\":\"https://example.org\",\"timeout_s\":0}", "/steps/0/http/timeout_s", "number"},
    {"{\"url\":\"https://example.org\",\"max_bytes\":9000000}", "/steps/0/http/max_bytes",
     "whole number"},
    {"{\"url\":\"https://example.org\",\"redirects\":21}", "/steps/0/http/redirects",
     "whole number"},
    {"{\"url\":\"https://example.org\",\"sign\":\"a/b\"}", "/steps/0/http/sign",
     "name of a secret"},
};

START_TEST(checks_definitions)
{
    char text[1000];
    jm_job_type *type = NULL;
    jm_err err = {0};
    snprintf(text, sizeof text, "{\"type\":\"t\",\n\"steps\":[{\"name\":\"run\",\n\"http\":\n%s}]}",
             plans[_i].http);
    int rc = jm_job_type_parse("t.json", text, strlen(text), &type, &err);
    if (!plans[_i].says) {
        ck_assert_msg(!rc, "%s", err.msg);
        ck_assert_int_eq(type->slot_class, JM_SLOT_ASYNC);
    } else {
        ck_assert_int_ne(rc, 0);
        ck_assert_str_eq(err.field, plans[_i].field);
        ck_assert_msg(strstr(err.msg, plans[_i].says) && strstr(err.msg, "t.json:4:"), "%s",
                      err.msg);
    }
    jm_job_type_unref(type);
}
END_TEST

START_TEST(checks_urls)
{
    static const char *const good[] = {"http://example.org", "https://example.org:8443/a?b=c",
                                       "http://[::1]:80/", "HTTPS://EXAMPLE.ORG/"};
    static const char *const bad[] = {"",
                                      "example.org",
                                      "/path",
                                      "ftp://example.org",
                                      "gopher://example.org",
                                      "file:///etc/passwd",
                                      "http://user@example.org/",
                                      "http://u:p@example.org/",
                                      "http://example.org/a b",
                                      "http://example.org/\r\nX: y",
                                      "javascript:alert(1)",
                                      "http://",
                                      "dict://127.0.0.1:11211/"};
    jm_err err;
    char *host = NULL;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(!jm_http_url_check(good[i], NULL, &err), "%s: %s", good[i], err.msg);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(jm_http_url_check(bad[i], NULL, &err), "%s", bad[i]);
    ck_assert_int_eq(jm_http_url_check("https://example.org:8443/a", &host, &err), 0);
    ck_assert_str_eq(host, "example.org:8443");
    free(host);
    char *lengthy = malloc(JM_HTTP_URL_MAX + 100);
    memset(lengthy, 'a', JM_HTTP_URL_MAX + 99);
    memcpy(lengthy, "http://example.org/", 19);
    lengthy[JM_HTTP_URL_MAX + 99] = 0;
    ck_assert_int_ne(jm_http_url_check(lengthy, NULL, &err), 0);
    free(lengthy);
}
END_TEST

START_TEST(signs)
{
    /* printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'a secret' */
    char out[100];
    jm_http_sign("a secret", 8, 1700000000, "{\"a\":1}", 7, out);
    ck_assert_str_eq(out, "t=1700000000,v1="
                          "b4c5d5c08194254de18b80695176335ee482a5907fb5e68f7bd993b1b00b018d");
}
END_TEST

START_TEST(makes_child_traces)
{
    static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const char *const bad[] = {NULL,
                                      "",
                                      "00",
                                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71",
                                      "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
                                      "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
    char one[56], two[56];
    ck_assert(jm_http_child_trace(parent, one) && jm_http_child_trace(parent, two));
    ck_assert_uint_eq(strlen(one), sizeof parent - 1);
    ck_assert(!memcmp(one, parent, 36) && !strcmp(one + 52, parent + 52));
    ck_assert_str_ne(one, parent);
    ck_assert_str_ne(one, two);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert(!jm_http_child_trace(bad[i], one));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *tcase = tcase_create("http");
    tcase_add_loop_test(tcase, judges_addresses, 0, sizeof addresses / sizeof *addresses);
    tcase_add_test(tcase, refuses_other_families);
    tcase_add_loop_test(tcase, checks_definitions, 0, sizeof plans / sizeof *plans);
    tcase_add_test(tcase, checks_urls);
    tcase_add_test(tcase, signs);
    tcase_add_test(tcase, makes_child_traces);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
