/* Tests of documents of schedules: what is read, what is refused and where, how it is written. */
#include "producer/service/schedule_document.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json_exact.h"
#include "producer/schedule_columns.h"
#include "producer/schedule_json.h"

static jm_schedule_document *document;
static jm_findings findings;
static jm_buf errors; /* they as lines */

static void clear(void)
{
    jm_schedule_document_free(document);
    document = NULL;
    jm_findings_fini(&findings);
    jm_buf_fini(&errors);
}

static int printed(int code)
{
    jm_findings_print(&findings, JM_FINDINGS_MAX, &errors);
    return code;
}

static int parse(const char *text)
{
    clear();
    return printed(jm_schedule_document_parse("f", text, strlen(text), &document, &findings));
}

static void ok(const char *text)
{
    ck_assert_msg(parse(text) == 0, "%s: %s", text, jm_buf_str(&errors));
    ck_assert_ptr_nonnull(document);
    ck_assert_uint_eq(errors.len, 0);
}

static void refused(const char *text, const char *line)
{
    ck_assert_msg(parse(text) == JM_ERR_INVALID, "%s is accepted", text);
    ck_assert_msg(strstr(jm_buf_str(&errors), line) != NULL, "%s: %s", text, jm_buf_str(&errors));
}

#define DAILY(name) "{\"name\":\"" name "\",\"type\":\"t\",\"cron_expression\":\"@daily\"}"

START_TEST(forms)
{
    ok("[" DAILY("b") "," DAILY("a") "]");
    ck_assert_uint_eq(document->n_schedules, 2);
    ck_assert_str_eq(document->schedules[0].schedule.name, "a"); /* sorted */
    ck_assert_str_eq(document->schedules[0].place.path, "[1]");
    ck_assert_str_eq(document->schedules[0].schedule.project, "default");
    ok(DAILY("a"));
    ck_assert_str_eq(document->schedules[0].place.path, "");
    ok("{\"$schema\":\"x\",\"calendars\":[{\"name\":\"c\",\"definition\":{\"exclude\":[\"sat\"]}}],"
       "\"schedules\":[" DAILY("a") "]}");
    ck_assert_uint_eq(document->n_calendars, 1);
    ck_assert_ptr_nonnull(jm_schedule_document_calendar(document, "default", "c"));
    ck_assert_ptr_null(jm_schedule_document_calendar(document, "other", "c"));
    ok("{\"name\":\"c\",\"project\":\"p\",\"definition\":{}}");
    ck_assert_str_eq(document->calendars[0].project, "p");
    ok("{\"schedules\":[]}");
    ok("[]");
    ok("[{\"name\":\"i\",\"type\":\"t\",\"interval_seconds\":60}]");
    ck_assert_int_eq(document->schedules[0].schedule.when.anchor_at_us, 0);
}
END_TEST

START_TEST(hash_is_of_the_content)
{
    char first[JM_DOCUMENT_HASH_TEXT];
    ok("[]");
    ck_assert_str_eq(document->hash,
                     "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945");
    memcpy(first, document->hash, sizeof first);
    ok("[ ]");
    ck_assert_str_ne(document->hash, first);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    refused("", "f: ");
    refused("{", "line 1");
    refused("3", "f: an object or an array of schedules expected");
    refused("\"\\ud800\"", "f: ");
    refused("\"\xff\"", "UTF-8");
    refused("{\"schedules\":3}", "f: schedules: an array expected, not a number");
    refused("{\"schedules\":[],\"x\":1}", "f: x: documents have no such field");
    refused("[3]", "f: [0]: a schedule is a JSON object, not a number");
    refused("{}", "f: one of cron_expression");
    refused("[{\"name\":\"a\",\"cron_expression\":\"@daily\"}]", "f: [0].type: ");
    refused("[{\"type\":\"t\",\"cron_expression\":\"@daily\"}]", "f: [0].name: ");
    refused("{\"schedules\":[" DAILY("a") ",{\"name\":\"b\",\"type\":\"t\",\"cron_expression\":"
                                          "\"0 0 30 2 *\"}]}",
            "f: schedules[1].cron_expression: ");
    refused("[{\"name\":\"a\",\"type\":\"t\",\"cron_expression\":\"@daily\",\"timezone\":\"X/Y\"}]",
            "[0].timezone: ");
    refused("[{\"name\":\"a\",\"type\":\"t\",\"cron_expression\":\"@daily\",\"prio\":1}]",
            "[0].prio: schedules have no such field");
    refused("[{\"name\":\"a\",\"type\":\"t\",\"cron_expression\":\"@daily\",\"source\":\"x\"}]",
            "[0].source: it is not for people to set");
    refused("[{\"name\":\"a\",\"type\":\"t\",\"cron_expression\":\"@daily\",\"priority\":10}]",
            "[0].priority: 0 to 9");
    refused("[{\"name\":\"a\",\"type\":\"t\",\"run_at\":\"2026-02-30T00:00:00Z\"}]",
            "[0].run_at: ");
    refused("[{\"name\":\"a\",\"type\":\"t\",\"run_at\":\"2026-02-01T00:00:00Z\","
            "\"interval_seconds\":5}]",
            "only one of");
    refused("[" DAILY("a") "," DAILY("a") "]", "f: [1]: schedule \"a\" of project default is also "
                                               "in f: [0]");
    refused("{\"calendars\":[{\"name\":\"c\"}]}", "f: calendars[0].definition: it is missing");
    refused("{\"calendars\":[{\"name\":\"C\",\"definition\":{}}]}", "calendars[0].name: ");
    refused("{\"calendars\":[{\"name\":\"c\",\"definition\":{\"exclude\":[\"nix\"]}}]}",
            "calendars[0].definition: ");
    refused("{\"calendars\":[{\"name\":\"c\",\"definition\":{},\"x\":1}]}",
            "calendars[0].x: calendars have no such field");
    refused("{\"calendars\":[7]}", "calendars[0]: a calendar is a JSON object, not a number");
}
END_TEST

/* Every member of every schedule and calendar, each once, with its place. */
START_TEST(all_that_is_wrong)
{
    static const char *const expected[] = {"/calendars/0/name",
                                           "/calendars/0/description",
                                           "/calendars/0/x",
                                           "/calendars/0/definition",
                                           "/schedules/0/priority",
                                           "/schedules/0/prio",
                                           "/schedules/0/name",
                                           "/schedules/0/timezone",
                                           "/schedules/0/cron_expression",
                                           "/schedules/2",
                                           "/schedules/2/type",
                                           "/schedules/2/overlap",
                                           "/schedules/3/run_at",
                                           "/schedules/3/metadata",
                                           "/schedules/3/callback_url",
                                           "/schedules/3/max_instances"};
    const char *text =
        "{\"calendars\":[{\"name\":\"C\",\"description\":1,\"x\":2,\"definition\":3}],"
        "\"schedules\":[{\"priority\":\"4\",\"prio\":1,\"type\":\"t\",\"timezone\":\"X/Y\","
        "\"cron_expression\":\"61 * * * *\"}," DAILY(
            "good") ",{\"name\":\"b\",\"type\":7,"
                    "\"overlap\":\"maybe\"},{\"name\":\"c\",\"type\":\"t\",\"run_at\":\"soon\","
                    "\"max_instances\":0,\"metadata\":{\"a\":[]},\"callback_url\":\"ftp://x\"}]}";
    ck_assert_int_eq(parse(text), JM_ERR_INVALID);
    json_t *list = jm_findings_json(&findings), *error;
    size_t i;
    json_array_foreach(list, i, error)
    {
        const char *pointer = json_string_value(json_object_get(error, "pointer"));
        size_t k = 0;
        while (k < sizeof expected / sizeof *expected && strcmp(expected[k], pointer) != 0)
            k++;
        ck_assert_msg(k < sizeof expected / sizeof *expected, "%s", pointer);
        ck_assert_ptr_null(strchr(json_string_value(json_object_get(error, "detail")), '\n'));
    }
    ck_assert_msg(i == sizeof expected / sizeof *expected, "%s", jm_buf_str(&errors));
    json_decref(list);
}
END_TEST

START_TEST(up_to_a_number)
{
    jm_buf text = {0};
    for (int i = 0; i < JM_FINDINGS_MAX + 5; i++)
        jm_buf_addf(&text,
                    "%s{\"name\":\"n%d\",\"type\":\"T\",\"run_at\":\"2030-01-01T00:00:00Z\"}",
                    i ? "," : "[", i);
    jm_buf_adds(&text, "]");
    refused(jm_buf_str(&text), "f: [999].type: ");
    ck_assert_ptr_null(strstr(jm_buf_str(&errors), "[1000]"));
    ck_assert_ptr_nonnull(strstr(jm_buf_str(&errors), "and 5 more\n"));
    jm_buf_fini(&errors);
    jm_findings_print(&findings, 2, &errors);
    ck_assert_ptr_nonnull(strstr(jm_buf_str(&errors), "f: [1].type: "));
    ck_assert_ptr_null(strstr(jm_buf_str(&errors), "[2]"));
    ck_assert_ptr_nonnull(strstr(jm_buf_str(&errors), "and 1003 more\n"));
    json_t *list = jm_findings_json(&findings);
    ck_assert_uint_eq(json_array_size(list), JM_FINDINGS_MAX + 1);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 999), "pointer")),
                     "/999/type");
    json_decref(list);
    jm_buf_fini(&text);
}
END_TEST

static json_t *read_json(const char *path)
{
    json_t *value = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(value);
    return value;
}

START_TEST(schema_knows_the_columns)
{
    json_t *schema = read_json(JM_SOURCE_DIR "/schema/schedules.v1.json");
    json_t *properties = json_object_get(
        json_object_get(json_object_get(schema, "$defs"), "schedule"), "properties");
    const char *name;
    json_t *property;
    for (const jm_schedule_column *c = jm_schedule_column_table; c->name; c++) {
        property = json_object_get(properties, c->name);
        ck_assert_msg(!property == !c->defined, "%s", c->name);
        const json_t *words = json_object_get(property, "enum");
        size_t n = 0;
        for (const char *const *w = c->choices; w && *w; w++)
            n += **w != '\0';
        ck_assert_msg(!c->choices || json_array_size(words) == n + 1, "%s", c->name);
        for (size_t i = 0; c->choices && i < n; i++)
            ck_assert_int_ge(
                jm_choice_find(c->choices, json_string_value(json_array_get(words, i))), 0);
    }
    json_object_foreach(properties, name, property)
    {
        const jm_schedule_column *c = jm_schedule_column_table;
        while (c->name && strcmp(c->name, name) != 0)
            c++;
        ck_assert_msg(c->name || !strcmp(name, "$schema"), "%s is no column", name);
        /* the default that the schema names is the one there is */
        json_t *usual = json_object_get(property, "default");
        if (usual) {
            jm_schedule schedule, other;
            jm_err err;
            jm_arena *arena = jm_arena_new(0);
            json_t *changes = json_pack("{s:O}", name, usual);
            jm_schedule_init(&schedule);
            jm_schedule_init(&other);
            ck_assert_int_eq(jm_schedule_apply(&schedule, changes, arena, &err), 0);
            json_t *is = jm_schedule_to_json(&schedule), *was = jm_schedule_to_json(&other);
            ck_assert_msg(json_equal(is, was), "%s", name);
            json_decref(is);
            json_decref(was);
            json_decref(changes);
            jm_arena_free(arena);
        }
    }
    json_decref(schema);
}
END_TEST

static void in_dir(const char *dir, const char *name, const char *text)
{
    jm_buf path = {0};
    jm_buf_addf(&path, "%s/%s", dir, name);
    FILE *file = fopen(jm_buf_str(&path), "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    jm_buf_fini(&path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_dir(const char *dir)
{
    ck_assert_int_eq(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int load(const char *path)
{
    clear();
    return printed(jm_schedule_document_load(path, &document, &findings));
}

START_TEST(directories)
{
    char dir[] = "/tmp/jm-document-XXXXXX", sub[64], line[400];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(load(dir), JM_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(jm_buf_str(&errors), "there is no .json file in it"));
    snprintf(sub, sizeof sub, "%s/sub", dir);
    mkdir(sub, 0777);
    in_dir(dir, "b.json", DAILY("b"));
    in_dir(sub, "a.json", DAILY("a"));
    in_dir(dir, "README.md", "# no schedules");
    in_dir(dir, ".hidden.json", "{");
    ck_assert_int_eq(load(dir), 0);
    ck_assert_uint_eq(document->n_schedules, 2);
    in_dir(sub, "z.json", "[" DAILY("b") "]");
    ck_assert_int_eq(load(dir), JM_ERR_INVALID);
    snprintf(line, sizeof line,
             "%s/z.json: [0]: schedule \"b\" of project default is also in "
             "%s/b.json",
             sub, dir);
    ck_assert_msg(strstr(jm_buf_str(&errors), line) != NULL, "%s", jm_buf_str(&errors));
    ck_assert_int_eq(load("/nowhere/at/all"), JM_ERR_IO);
    ck_assert_ptr_nonnull(strstr(jm_buf_str(&errors), "/nowhere/at/all: No such file"));
    remove_dir(dir);
}
END_TEST

START_TEST(writing)
{
    static const char *const names[] = {"..", "a/b", "\xc3\xbc", "calendars", NULL};
    char dir[] = "/tmp/jm-document-XXXXXX";
    jm_err err;
    jm_buf longest = {0};
    json_t *list = json_array();
    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (int i = 0; i < 255; i++)
        jm_buf_adds(&longest, "\xc3\xa9");
    for (const char *const *n = names; *n; n++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", *n, "type", "t",
                                              "cron_expression", "@daily"));
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:s}", "name", jm_buf_str(&longest), "type",
                                    "t", "cron_expression", "@daily", "project", "other"));
    json_t *whole = json_pack("{s:[{s:s, s:{}}], s:o}", "calendars", "name", "c", "definition",
                              "schedules", list);
    ck_assert_msg(!jm_schedule_document_write(whole, dir, &err), "%s", err.msg);
    ck_assert_msg(load(dir) == 0, "%s", jm_buf_str(&errors));
    ck_assert_uint_eq(document->n_schedules, 5);
    ck_assert_uint_eq(document->n_calendars, 1);
    ck_assert_str_eq(document->schedules[0].schedule.name, "..");
    ck_assert_str_eq(document->schedules[4].schedule.name, jm_buf_str(&longest));
    ck_assert_int_eq(jm_schedule_document_write(whole, "/nowhere/at/all", &err), JM_ERR_IO);
    json_decref(whole);
    jm_buf_fini(&longest);
    remove_dir(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule_document");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, NULL, clear);
    tcase_add_test(tc, forms);
    tcase_add_test(tc, hash_is_of_the_content);
    tcase_add_test(tc, what_is_wrong_is_named);
    tcase_add_test(tc, all_that_is_wrong);
    tcase_add_test(tc, up_to_a_number);
    tcase_add_test(tc, schema_knows_the_columns);
    tcase_add_test(tc, directories);
    tcase_add_test(tc, writing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
