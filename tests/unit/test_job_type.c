/* Definitions of job types: what is accepted, what is refused and where the message points. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/job_type.h"
#include "worker/executor.h"
#include "worker/raw_json.h"
#include "worker/type_dir.h"

static jm_job_type *parse(const char *text)
{
    jm_job_type *type = NULL;
    jm_err err = {0};
    int rc = jm_job_type_parse("t.json", text, strlen(text), &type, &err);
    ck_assert_msg(!rc, "%s", err.msg);
    return type;
}

START_TEST(smallest)
{
    jm_job_type *type = parse("{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"noop\":{}}]}");
    ck_assert_str_eq(type->name, "t");
    ck_assert_int_eq(type->n_steps, 1);
    ck_assert_str_eq(type->steps[0].executor->name, "noop");
    ck_assert_int_eq(type->max_attempts, 3);
    ck_assert_int_eq(type->steps[0].retry, 1);
    ck_assert_int_eq(type->slot_class, JM_SLOT_NONE);
    ck_assert_int_eq(type->log_level, JM_INFO);
    ck_assert_ptr_null(type->searchable[0]);
    ck_assert_uint_eq(strlen(type->hash), 64);
    jm_job_type_unref(type);
}
END_TEST

START_TEST(everything)
{
    jm_job_type *type = parse(
        "{\"type\":\"etl.load\",\"description\":\"d\",\"params_schema\":{\"type\":\"object\"},"
        "\"profiles\":{\"big\":{\"n\":5}},\"searchable\":[\"order\",\"region\"],\"timeout_s\":60,"
        "\"max_attempts\":5,\"backoff\":{\"initial_s\":1,\"factor\":3,\"max_s\":10,\"jitter\":0},"
        "\"concurrency\":4,\"ordering\":\"key\",\"on_failure\":\"continue\",\"log_level\":"
        "\"warning\","
        "\"steps\":[{\"name\":\"a\",\"sleep\":{\"seconds\":0.5},\"timeout_s\":7,\"retry\":2},"
        "{\"name\":\"B_2\",\"fail\":{\"message\":\"m\"},\"retry\":{\"attempts\":3,\"delay_s\":0.25}"
        ","
        "\"set\":{\"rows\":\"/count\"}}]}");
    ck_assert_int_eq(type->timeout_s, 60);
    ck_assert_int_eq(type->max_attempts, 5);
    ck_assert_int_eq(type->concurrency, 4);
    ck_assert(type->ordered);
    ck_assert_int_eq(type->log_level, JM_WARNING);
    ck_assert_str_eq(type->searchable[1], "region");
    ck_assert_int_eq(type->slot_class, JM_SLOT_ASYNC);
    ck_assert_int_eq(type->steps[0].timeout_s, 7);
    ck_assert_int_eq(type->steps[0].retry, 2);
    ck_assert_int_eq(type->steps[1].retry, 3);
    ck_assert_double_eq(type->steps[1].retry_delay_s, 0.25);
    ck_assert_int_eq(jm_job_type_backoff_us(type, 1), 1000000);
    ck_assert_int_eq(jm_job_type_backoff_us(type, 2), 3000000);
    ck_assert_int_eq(jm_job_type_backoff_us(type, 3), 9000000);
    ck_assert_int_eq(jm_job_type_backoff_us(type, 4), 10000000);
    ck_assert_int_eq(jm_job_type_backoff_us(type, 1000), 10000000);
    jm_job_type_unref(type);
}
END_TEST

#define STEP "\"steps\":[{\"name\":\"run\",\"noop\":{}}]"

static const struct {
    const char *text, *field, *message;
} refused[] = {
    {"", "", "t.json:1:0: "},
    {"{\"type\":\"t\",\n \"type\":\"t\"}", "", "t.json:2:"},
    {"[]", "", "t.json:1:1: a definition must be an object"},
    {"{" STEP "}", "", "t.json:1:1: the definition has no type"},
    {"{\"type\":\"T\"," STEP "}", "/type", "t.json:1:9: /type: a type's name"},
    {"{\"type\":\".t\"," STEP "}", "/type", "a type's name"},
    {"{\"type\":5," STEP "}", "/type", "type must be a string"},
    {"{\"type\":\"t\"}", "", "steps must be a list"},
    {"{\"type\":\"t\",\"steps\":[]}", "/steps", "steps must be a list"},
    {"{\"type\":\"t\",\"steps\":[5]}", "/steps/0", "a step must be an object"},
    {"{\"type\":\"t\",\n\"steps\":[\n {\"name\":\"a\",\"noop\":{}},\n "
     "{\"name\":\"a\",\"noop\":{}}]}",
     "/steps/1/name", "t.json:4:10: /steps/1/name: two steps are named a"},
    {"{\"type\":\"t\",\"steps\":[{\"noop\":{}}]}", "/steps/0", "has no name"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a b\",\"noop\":{}}]}", "/steps/0/name",
     "a step's name"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\"}]}", "/steps/0", "no executor"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"noop\":{},\"fail\":{}}]}", "/steps/0/fail",
     "one executor"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"nop\":{}}]}", "/steps/0/nop",
     "did you mean \"noop\"?"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"noop\":{\"x\":1}}]}", "/steps/0/noop/x",
     "unknown key"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"noop\":5}]}", "/steps/0/noop",
     "must be an object"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"http\":{}}]}", "/steps/0/http",
     "http has no url"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"sql\":{}}]}", "/steps/0/sql", "sql has no dsn"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"plugin\":{}}]}", "/steps/0/plugin",
     "plugin has no path"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"noop\":{},\"when\":\"x\"}]}", "/steps/0/when",
     "when must be an object of conditions"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"noop\":{},\"retry\":0}]}", "/steps/0/retry",
     "from 1"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"noop\":{},\"retry\":{\"delay\":1}}]}",
     "/steps/0/retry/delay", "did you mean \"delay_s\"?"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"noop\":{},\"set\":{\"k\":\"x\"}}]}",
     "/steps/0/set", "JSON pointer"},
    {"{\"type\":\"t\",\"steps\":[{\"name\":\"a\",\"sleep\":{\"seconds\":-1}}]}",
     "/steps/0/sleep/seconds", "from 0"},
    {"{\"type\":\"t\",\"timeout\":5," STEP "}", "/timeout", "did you mean \"timeout_s\"?"},
    {"{\"type\":\"t\",\"timeout_s\":0," STEP "}", "/timeout_s", "from 1"},
    {"{\"type\":\"t\",\"max_attempts\":1.5," STEP "}", "/max_attempts", "whole number"},
    {"{\"type\":\"t\",\"backoff\":{\"factor\":0.5}," STEP "}", "/backoff/factor", "from 1"},
    {"{\"type\":\"t\",\"backoff\":{\"factr\":2}," STEP "}", "/backoff/factr",
     "did you mean \"factor\"?"},
    {"{\"type\":\"t\",\"profiles\":{\"a/b\":5}," STEP "}", "/profiles/a~1b", "must be an object"},
    {"{\"type\":\"t\",\"searchable\":[5]," STEP "}", "/searchable", "list of strings"},
    {"{\"type\":\"t\",\"searchable\":[\"a\",\"b\",\"a\"]," STEP "}", "/searchable", "\"a\" twice"},
    {"{\"type\":\"t\",\"log_level\":\"loud\"," STEP "}", "/log_level", "one of debug, info"},
    {"{\"type\":\"t\",\"ordering\":\"any\"," STEP "}", "/ordering", "one of none, key"},
    {"{\"type\":\"t\",\"on_failure\":\"block\"," STEP "}", "/on_failure", "needs ordering"},
    {"{\"type\":\"t\",\"documents\":[\"d\",\"e\",\"d\"]," STEP "}", "/documents", "\"d\" twice"},
    {"{\"type\":\"t\",\"documents\":[\"a/b\"]," STEP "}", "/documents", "no name of a document"},
    {"{\"type\":\"t\",\"documents\":\"d\"," STEP "}", "/documents", "list of strings"},
};

START_TEST(bad)
{
    jm_job_type *type = NULL;
    jm_err err = {0};
    const char *text = refused[_i].text;
    ck_assert_int_eq(jm_job_type_parse("t.json", text, strlen(text), &type, &err), JM_ERR_INVALID);
    ck_assert_ptr_null(type);
    ck_assert_msg(strstr(err.msg, refused[_i].message) != NULL, "%s\n%s", text, err.msg);
    ck_assert_msg(!strncmp(err.msg, "t.json:", 7), "%s", err.msg);
    ck_assert_str_eq(err.field, refused[_i].field);
}
END_TEST

START_TEST(hash_is_of_the_content)
{
    jm_job_type *a = parse("{\"type\":\"t\", \"max_attempts\":2," STEP "}");
    jm_job_type *b = parse("{" STEP ",\n\"max_attempts\" : 2,\"type\":\"t\"}");
    jm_job_type *c = parse("{\"type\":\"t\",\"max_attempts\":3," STEP "}");
    ck_assert_str_eq(a->hash, b->hash);
    ck_assert_str_ne(a->hash, c->hash);
    jm_job_type_unref(a);
    jm_job_type_unref(b);
    jm_job_type_unref(c);
}
END_TEST

START_TEST(builtins)
{
    static const char *const names[] = {"noop", "sleep", "fail"};
    jm_job_type *type;
    jm_err err;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(jm_job_type_builtin(names[i], &type, &err), 0);
        ck_assert_str_eq(type->name, names[i]);
        ck_assert_str_eq(type->steps[0].name, "run");
        jm_job_type_unref(type);
    }
    ck_assert_int_eq(jm_job_type_builtin("nope", &type, &err), JM_ERR_NOT_FOUND);
}
END_TEST

START_TEST(jitter_stays_in_bounds)
{
    jm_job_type *type =
        parse("{\"type\":\"t\",\"backoff\":{\"initial_s\":10,\"jitter\":0.5}," STEP "}");
    for (int i = 0; i < 1000; i++) {
        int64_t us = jm_job_type_backoff_us(type, 1);
        ck_assert_int_ge(us, 5000000);
        ck_assert_int_le(us, 15000000);
    }
    jm_job_type_unref(type);
}
END_TEST

static const struct {
    const char *text, *pointer, *value;
} pointers[] = {
    {"{\"a\":1}", "", "{\"a\":1}"},
    {" {\"a\" : 12345678901234567890 } ", "/a", "12345678901234567890"},
    {"{\"a\":{\"b\":[1,{\"c\":\"x,}\\\"]\"}]}}", "/a/b/1/c", "\"x,}\\\"]\""},
    {"{\"a/b\":1,\"m~n\":2}", "/a~1b", "1"},
    {"{\"a/b\":1,\"m~n\":2}", "/m~0n", "2"},
    {"{\"\\u0061\":7}", "/a", "7"},
    {"{\"a\":1,\"a\":2}", "/a", "2"},
    {"{\"\":3}", "/", "3"},
    {"[10,20,[30]]", "/2/0", "30"},
    {"[10,20]", "/02", NULL},
    {"[10,20]", "/2", NULL},
    {"[10,20]", "/-", NULL},
    {"{\"a\":1}", "/b", NULL},
    {"{\"a\":1}", "/a/b", NULL},
    {"{}", "/a", NULL},
    {"[]", "/0", NULL},
    {"5", "/a", NULL},
};

START_TEST(pointer_finds)
{
    const char *text = pointers[_i].text, *want = pointers[_i].value;
    jm_raw raw = jm_raw_at(text, strlen(text), pointers[_i].pointer, false);
    if (!want) {
        ck_assert_ptr_null(raw.p);
        return;
    }
    ck_assert_ptr_nonnull(raw.p);
    ck_assert_uint_eq(raw.len, strlen(want));
    ck_assert_mem_eq(raw.p, want, raw.len);
}
END_TEST

/* ---- the directory ---- */

static char dir_path[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir_path, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void make_dir(void)
{
    snprintf(dir_path, sizeof dir_path, "/tmp/jm_types_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir_path));
}

static void remove_dir(void)
{
    static const char *const files[] = {"a.json", "b.json", "noop.json", "README", ".hidden.json"};
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir_path, files[i]);
        unlink(path);
    }
    ck_assert_int_eq(rmdir(dir_path), 0);
}

static bool has(jm_type_dir *dir, const char *name, int max_attempts)
{
    jm_job_type *type = jm_type_dir_get(dir, name);
    bool is = type && type->max_attempts == max_attempts;
    jm_job_type_unref(type);
    return is;
}

START_TEST(directory)
{
    jm_type_dir *dir = NULL;
    jm_err err;
    make_dir();
    write_file("a.json", "{\"type\":\"a\",\"max_attempts\":4," STEP "}");
    write_file("README", "not a type");
    write_file(".hidden.json", "not a type");
    ck_assert_msg(!jm_type_dir_new(dir_path, &dir, &err), "%s", err.msg);
    ck_assert(has(dir, "a", 4) && has(dir, "noop", 3) && has(dir, "sleep", 3) &&
              has(dir, "fail", 3) && has(dir, "jobmill.callback", 10));
    jm_job_type **all = jm_type_dir_all(dir);
    int n = 0;
    for (; all[n]; n++)
        jm_job_type_unref(all[n]);
    free(all);
    ck_assert_int_eq(n, 5);
    jm_job_type *before = jm_type_dir_get(dir, "a");
    uint64_t generation = jm_type_dir_generation(dir);

    ck_assert_int_eq(jm_type_dir_reload(dir, &err), 0);
    ck_assert_uint_eq(jm_type_dir_generation(dir), generation);
    jm_job_type *same = jm_type_dir_get(dir, "a");
    ck_assert_ptr_eq(before, same);
    jm_job_type_unref(same);

    write_file("a.json", "{\"type\":\"a\",");
    write_file("b.json", "{\"type\":\"b\"," STEP "}");
    write_file("noop.json", "{\"type\":\"noop\",\"max_attempts\":9," STEP "}");
    ck_assert_int_eq(jm_type_dir_reload(dir, &err), 0);
    ck_assert(has(dir, "a", 4) && has(dir, "b", 3) && has(dir, "noop", 9));
    ck_assert_uint_gt(jm_type_dir_generation(dir), generation);

    char path[128];
    snprintf(path, sizeof path, "%s/a.json", dir_path);
    unlink(path);
    ck_assert_int_eq(jm_type_dir_reload(dir, &err), 0);
    ck_assert(!has(dir, "a", 4) && has(dir, "b", 3));
    ck_assert_str_eq(before->name, "a");
    jm_job_type_unref(before);
    jm_type_dir_free(dir);
    remove_dir();
}
END_TEST

START_TEST(directory_refuses)
{
    jm_type_dir *dir = NULL;
    jm_err err;
    make_dir();
    write_file("a.json", "{\"type\":\"b\"," STEP "}");
    ck_assert_int_ne(jm_type_dir_new(dir_path, &dir, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "named for type a and defines b"));
    write_file("a.json", "{\"type\":\"a\",\n \"steps\":5}");
    ck_assert_int_ne(jm_type_dir_new(dir_path, &dir, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "/a.json:2:10: /steps: "));
    remove_dir();
    ck_assert_int_eq(jm_type_dir_new("/nonexistent/jobs.d", &dir, &err), 0);
    ck_assert(has(dir, "noop", 3));
    jm_type_dir_free(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job_type");
    TCase *tc = tcase_create("parse");
    tcase_add_test(tc, smallest);
    tcase_add_test(tc, everything);
    tcase_add_loop_test(tc, bad, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tc, hash_is_of_the_content);
    tcase_add_test(tc, builtins);
    tcase_add_test(tc, jitter_stays_in_bounds);
    tcase_add_loop_test(tc, pointer_finds, 0, sizeof pointers / sizeof *pointers);
    tcase_add_test(tc, directory);
    tcase_add_test(tc, directory_refuses);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
