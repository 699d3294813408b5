/* What the audit log shows of secrets. */
#include <check.h>
#include <stdlib.h>

#include "producer/service/audit_mask.h"

static void check(const char *from, const char *to)
{
    json_t *value = json_loads(from, 0, NULL), *wanted = json_loads(to, 0, NULL);
    ck_assert_ptr_nonnull(value);
    ck_assert_ptr_nonnull(wanted);
    jm_audit_mask(value);
    char *got = json_dumps(value, JSON_COMPACT);
    ck_assert_msg(json_equal(value, wanted), "%s became %s", from, got);
    free(got);
    json_decref(value);
    json_decref(wanted);
}

START_TEST(members)
{
    check("{\"password\":\"x\",\"DB_PASSWORD\":\"x\",\"api-key\":\"x\",\"ApiKey\":\"x\"}",
          "{\"password\":\"[secret]\",\"DB_PASSWORD\":\"[secret]\",\"api-key\":\"[secret]\","
          "\"ApiKey\":\"[secret]\"}");
    check("{\"a\":[{\"b\":{\"token\":\"x\"}}],\"Authorization\":\"Basic x\"}",
          "{\"a\":[{\"b\":{\"token\":\"[secret]\"}}],\"Authorization\":\"[secret]\"}");
    check("{\"secrets\":[\"a\",\"b\"],\"credentials\":{\"a\":1}}",
          "{\"secrets\":\"[secret]\",\"credentials\":\"[secret]\"}");
    check("{\"ordering_key\":\"x\",\"author\":\"x\",\"name\":\"token\",\"key\":\"x\"}",
          "{\"ordering_key\":\"x\",\"author\":\"x\",\"name\":\"token\",\"key\":\"x\"}");
    check("{\"token\":7,\"max_tokens\":5,\"password\":null,\"secret\":false}",
          "{\"token\":7,\"max_tokens\":5,\"password\":null,\"secret\":false}");
    check("{\"token\":\"${secret:T}\",\"secret\":\"${secret:T}x\",\"password\":\"${secret:\"}",
          "{\"token\":\"${secret:T}\",\"secret\":\"[secret]\",\"password\":\"[secret]\"}");
}
END_TEST

START_TEST(urls)
{
    check("[\"https://u:p@h/x?a=1\",\"postgres://u:p@h\",\"https://u@h/\",\"https://h:80/a@b:c\"]",
          "[\"https://u:[secret]@h/x?a=1\",\"postgres://u:[secret]@h\",\"https://u@h/\","
          "\"https://h:80/a@b:c\"]");
    check("[\"https://h/?token=x&a=1#f\",\"https://h?access_token=x\",\"see http://u:p@h/ and "
          "http://v:q@h/?sig=1&X-Amz-Signature=2 there\"]",
          "[\"https://h/?token=[secret]&a=1#f\",\"https://h?access_token=[secret]\",\"see "
          "http://u:[secret]@h/ and http://v:[secret]@h/?sig=1&X-Amz-Signature=[secret] there\"]");
    check("[\"://\",\"a://\",\"a://?\",\"a://@\",\"a://:@\",\"a://x:y@z@h\"]",
          "[\"://\",\"a://\",\"a://?\",\"a://@\",\"a://:[secret]@\",\"a://x:[secret]@h\"]");
}
END_TEST

START_TEST(others)
{
    check("[]", "[]");
    check("{}", "{}");
    check("[1,null,true,\"x\",[[]]]", "[1,null,true,\"x\",[[]]]");
    jm_audit_mask(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit_mask");
    TCase *tc = tcase_create("audit_mask");
    tcase_add_test(tc, members);
    tcase_add_test(tc, urls);
    tcase_add_test(tc, others);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
