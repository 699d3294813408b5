/* Definitions of sql steps: what is refused when a type is loaded, and where. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "worker/job_type.h"

static const struct {
    const char *sql, *field, *message;
} refused[] = {
    {"{}", "", "sql has no dsn"},
    {"{\"dsn\":\"\"}", "/dsn", "sql has no dsn"},
    {"{\"dsn\":\"host=h\"}", "", "sql has no statement"},
    {"{\"dsn\":\"host=h\",\"statement\":\" ; \"}", "/statement", "sql has no statement"},
    {"{\"dsn\":\"host=h hots=x\",\"statement\":\"SELECT 1\"}", "/dsn",
     "invalid connection option \"hots\""},
    {"{\"dsn\":\"postgresql://[h\",\"statement\":\"SELECT 1\"}", "/dsn", "dsn: "},
    {"{\"dsn\":\"host=${params.h}\",\"statement\":\"SELECT 1\"}", "/dsn", "takes only secrets"},
    {"{\"dsn\":\"${params.h}\",\"statement\":\"SELECT 1\"}", "/dsn", "takes only secrets"},
    {"{\"dsn\":\"host=h password=${secret:}\",\"statement\":\"SELECT 1\"}", "/dsn", "secret"},
    {"{\"dsn\":\"host=h\",\"statement\":\"SELECT ${params.x}\"}", "/statement",
     "values are never put into a statement: write $1"},
    {"{\"dsn\":\"host=h\",\"statement\":\"SELECT 1\",\"params\":{}}", "/params",
     "params must be a list"},
    {"{\"dsn\":\"host=h\",\"statement\":\"SELECT 1\",\"params\":[\"${parms.x}\"]}", "/params",
     "did you mean"},
    {"{\"dsn\":\"host=h\",\"statement\":\"SELECT 1\",\"max_rows\":-1}", "/max_rows",
     "max_rows must be a whole number from 0"},
    {"{\"dns\":\"host=h\"}", "/dns", "did you mean \"dsn\"?"},
};

START_TEST(refused_with_its_place)
{
    char text[400], field[100];
    jm_job_type *type = NULL;
    jm_err err;
    snprintf(text, sizeof text, "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"sql\":%s}]}",
             refused[_i].sql);
    snprintf(field, sizeof field, "/steps/0/sql%s", refused[_i].field);
    ck_assert_int_eq(jm_job_type_parse("t.json", text, strlen(text), &type, &err), JM_ERR_INVALID);
    ck_assert_str_eq(err.field, field);
    ck_assert_msg(strstr(err.msg, refused[_i].message) && !strncmp(err.msg, "t.json:1:", 9), "%s",
                  err.msg);
}
END_TEST

static const char *const accepted[] = {
    "{\"dsn\":\"${secret:db}\",\"statement\":\"SELECT 1\"}",
    "{\"dsn\":\"postgresql://u:${secret:pw}@h:5432/db?sslmode=require\",\"statement\":\"SELECT "
    "$1\","
    "\"params\":[\"${params.x}\",1,null,true,{\"a\":\"${params.y}\"},[1]]}",
    "{\"dsn\":\"host=h password=${secret:pw}\",\"statement\":\"DO $$BEGIN END$$\",\"max_rows\":0}",
};

START_TEST(accepted_with_secrets)
{
    char text[400];
    jm_job_type *type = NULL;
    jm_err err;
    snprintf(text, sizeof text, "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"sql\":%s}]}",
             accepted[_i]);
    ck_assert_msg(!jm_job_type_parse("t.json", text, strlen(text), &type, &err), "%s", err.msg);
    ck_assert_int_eq(type->slot_class, JM_SLOT_ASYNC);
    jm_job_type_unref(type);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sql_exec");
    TCase *tc = tcase_create("sql_exec");
    tcase_add_loop_test(tc, refused_with_its_place, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(tc, accepted_with_secrets, 0, sizeof accepted / sizeof *accepted);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
