/* Tests of the table of commands: it is sane, parses, helps, and the pages in docs are its own. */
#include "common/rows.h"
#include "producer/cli/commands.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "producer/cli/progress.h"
#include "producer/cli/table.h"
#include "common/json_exact.h"

static int saved = -1;

static void quiet(void)
{
    saved = dup(STDERR_FILENO);
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
}

static void loud(void)
{
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static const jm_cli_command *command(const char *noun, const char *verb)
{
    const jm_cli_noun *found = jm_cli_noun_find(noun);
    ck_assert_ptr_nonnull(found);
    const jm_cli_command *c = jm_cli_command_find(found, verb);
    ck_assert_ptr_nonnull(c);
    return c;
}

/* Parses up to six arguments; the exit code. */
static int parse(const char *noun, const char *verb, jm_cli **cli, char *const *args)
{
    static char *argv[12];
    int argc = 1;
    argv[0] = (char *)"jobmill";
    for (; *args; args++)
        argv[argc++] = *args;
    argv[argc] = NULL;
    return jm_cli_new(jm_cli_noun_find(noun), command(noun, verb), NULL, argc, argv, cli);
}

#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})

START_TEST(table_is_sane)
{
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        ck_assert_ptr_eq(jm_cli_noun_find(noun->name), noun);
        for (const jm_cli_command *c = noun->commands; c->summary; c++) {
            jm_cli_option option;
            ck_assert_ptr_nonnull(c->run);
            ck_assert_msg(c->summary[strlen(c->summary) - 1] != '.', "%s: %s", noun->name,
                          c->summary);
            ck_assert_msg(c->verb || c == noun->commands, "%s has a command without a verb",
                          noun->name);
            ck_assert_msg((c->max_operands == 0) == (c->operands == NULL), "%s %s: operands",
                          noun->name, c->verb ? c->verb : "");
            for (int i = 0; jm_cli_option_at(c, i, &option); i++)
                ck_assert_msg(!option.required || option.value, "%s: a required flag", option.name);
        }
    }
}
END_TEST

START_TEST(options)
{
    jm_cli *cli;
    ck_assert_int_eq(parse("job", "submit", &cli,
                           ARGS("--type", "t", "--dedup-key=k", "--json", "--max_attempts", "2")),
                     0);
    ck_assert_str_eq(jm_cli_option_text(cli, "type"), "t");
    ck_assert_str_eq(jm_cli_option_text(cli, "dedup_key"), "k");
    ck_assert_str_eq(jm_cli_option_text(cli, "dedup-key"), "k");
    ck_assert(jm_cli_json(cli));
    int64_t n;
    ck_assert_int_eq(jm_cli_option_int(cli, "max_attempts", 9, 1, 10, &n), 0);
    ck_assert_int_eq(n, 2);
    ck_assert_ptr_null(jm_cli_option_text(cli, "params"));
    jm_cli_free(cli);
    ck_assert_int_eq(parse("job", "show", &cli, ARGS("--json", "--", "--odd")), 0);
    ck_assert_str_eq(jm_cli_operand(cli, 0), "--odd");
    ck_assert_ptr_null(jm_cli_operand(cli, 1));
    jm_cli_free(cli);
}
END_TEST

START_TEST(usage_errors)
{
    static char *const bad[][6] = {{"submit", NULL},
                                   {"submit", "--type", NULL},
                                   {"submit", "--type", "t", "--tpye", "t", NULL},
                                   {"submit", "--type", "t", "--type", "t", NULL},
                                   {"submit", "--type", "t", "operand", NULL},
                                   {"show", NULL},
                                   {"show", "a", "b", NULL},
                                   {"show", "-x", NULL},
                                   {"list", "--status", "done", NULL},
                                   {"list", "--limit", NULL}};
    quiet();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        jm_cli *cli = NULL;
        ck_assert_int_eq(parse("job", bad[i][0], &cli, (char **)bad[i] + 1), JM_EXIT_USAGE);
        ck_assert_ptr_null(cli);
    }
    loud();
}
END_TEST

START_TEST(values)
{
    jm_cli *cli;
    int64_t n;
    const char *text;
    quiet();
    ck_assert_int_eq(parse("job", "submit", &cli,
                           ARGS("--type=t", "--params", "{\"n\":12345678901234567890}",
                                "--metadata=[1]", "--priority=x")),
                     0);
    ck_assert_int_eq(jm_cli_option_json(cli, "params", JSON_OBJECT, &text), 0);
    ck_assert_str_eq(text, "{\"n\":12345678901234567890}");
    ck_assert_int_eq(jm_cli_option_json(cli, "metadata", JSON_OBJECT, &text), JM_EXIT_USAGE);
    ck_assert_int_eq(jm_cli_option_int(cli, "priority", 4, 0, 9, &n), JM_EXIT_USAGE);
    jm_cli_free(cli);
    loud();
}
END_TEST

START_TEST(pages)
{
    jm_cli *cli;
    jm_page page;
    ck_assert_int_eq(parse("job", "list", &cli, ARGS("--limit=7")), 0);
    ck_assert_int_eq(jm_cli_page_get(cli, &page), JM_EXIT_OK);
    ck_assert_int_eq(page.limit, 7);
    ck_assert_int_eq(page.offset, 0);
    jm_cli_free(cli);
    ck_assert_int_eq(parse("job", "list", &cli, ARGS("--offset", "3")), 0);
    ck_assert_int_eq(jm_cli_page_get(cli, &page), JM_EXIT_OK);
    ck_assert_int_eq(page.limit, 50);
    ck_assert_int_eq(page.offset, 3);
    jm_cli_free(cli);
    static const char *const bad[] = {"--limit=0", "--limit=10001", "--offset=-1", "--limit=x"};
    quiet();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(parse("job", "list", &cli, ARGS((char *)bad[i])), 0);
        ck_assert_int_eq(jm_cli_page_get(cli, &page), JM_EXIT_USAGE);
        jm_cli_free(cli);
    }
    loud();
}
END_TEST

/* --watch takes the next word only if that is a number. */
START_TEST(bare_options)
{
    jm_cli *cli;
    ck_assert_int_eq(parse("lock", "list", &cli, ARGS("--watch", "deploy")), 0);
    ck_assert_str_eq(jm_cli_option_text(cli, "watch"), "");
    ck_assert_str_eq(jm_cli_operand(cli, 0), "deploy");
    jm_cli_free(cli);
    ck_assert_int_eq(parse("lock", "list", &cli, ARGS("--watch", "5", "deploy")), 0);
    ck_assert_str_eq(jm_cli_option_text(cli, "watch"), "5");
    ck_assert_str_eq(jm_cli_operand(cli, 0), "deploy");
    jm_cli_free(cli);
    ck_assert_int_eq(parse("lock", "list", &cli, ARGS("--watch=1m", "--limit", "2")), 0);
    ck_assert_str_eq(jm_cli_option_text(cli, "watch"), "1m");
    jm_cli_free(cli);
    ck_assert_int_eq(parse("lock", "list", &cli, ARGS("--watch")), 0);
    ck_assert_str_eq(jm_cli_option_text(cli, "watch"), "");
    jm_cli_free(cli);
}
END_TEST

START_TEST(json_and_color)
{
    static const struct {
        char *args[2];
        bool json, lines, color;
    } cases[] = {{{"--json", NULL}, true, false, false},
                 {{"--json=lines", NULL}, true, true, false},
                 {{"--json=document", NULL}, true, false, false},
                 {{"--color=always", NULL}, false, false, true},
                 {{"--color", "never"}, false, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jm_cli *cli;
        ck_assert_int_eq(parse("job", "list", &cli, ARGS(cases[i].args[0], cases[i].args[1])), 0);
        ck_assert_int_eq(jm_cli_json(cli), cases[i].json);
        ck_assert_int_eq(jm_cli_json_lines(cli), cases[i].lines);
        if (strstr(cases[i].args[0], "color")) /* else it is the terminal's */
            ck_assert_int_eq(jm_cli_color(cli), cases[i].color);
        jm_cli_free(cli);
    }
    static char *const bad[] = {"--json=yaml", "--color=green", "--color"};
    quiet();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        jm_cli *cli = NULL;
        ck_assert_int_eq(parse("job", "list", &cli, ARGS(bad[i])), JM_EXIT_USAGE);
    }
    loud();
}
END_TEST

static bool is_among(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(*words, word))
            return true;
    return false;
}

/* A command that changes something has --dry-run and --reason; what deletes has --yes as well. What
 * only reads, and what need not, stands here. */
START_TEST(changes_can_be_tried_and_explained)
{
    static const char *const reads[] = {
        "list",     "show",    "logs",   "steps",  "result", "wait",   "history", "ticks",
        "versions", "preview", "export", "status", "check",  "test",   "get",     "diff",
        "search",   "recent",  "stats",  "backup", "run",    "doctor", "dev",     NULL};
    static const struct {
        const char *noun, *verb;
        unsigned shares;                /* what it has all the same */
    } others[] = {{"job", "submit", 0}, /* who submitted it stands in the job */
                  {"lock", "acquire", 0},
                  {"lock", "extend", 0},
                  {"lock", "run", 0},                 /* for a while only */
                  {"schema", "init", JM_CLI_DRY_RUN}, /* there need be no audit log yet */
                  {"schema", "migrate", JM_CLI_DRY_RUN},
                  {"schema", "reset", JM_CLI_DRY_RUN | JM_CLI_YES},
                  {"topics", "create", JM_CLI_DRY_RUN}, /* Kafka's */
                  {"topics", "recreate", JM_CLI_YES},
                  {"schedule", "sync", JM_CLI_DRY_RUN}, /* the source is the reason */
                  {"schedule", "run", JM_CLI_CHANGE},
                  {"calendar", "import", JM_CLI_REASON}}; /* its --dry-run needs no database */
    static const char *const deletes[] = {"delete", "reset", "recreate", "revoke", "cleanup", NULL};
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        for (const jm_cli_command *c = noun->commands; c->summary; c++) {
            const char *verb = c->verb ? c->verb : noun->name;
            unsigned needs = is_among(verb, reads) ? 0 : JM_CLI_CHANGE;
            if (is_among(verb, deletes))
                needs |= JM_CLI_YES;
            for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                if (!strcmp(others[i].noun, noun->name) && !strcmp(others[i].verb, verb))
                    needs = others[i].shares;
            ck_assert_msg((c->shares & needs) == needs, "%s %s shares %u, needs %u", noun->name,
                          verb, c->shares, needs);
            if (!strcmp(verb, "list"))
                ck_assert_msg(c->shares & JM_CLI_WATCH, "%s list has no --watch", noun->name);
            if (!strcmp(noun->name, "dead"))
                continue; /* its --reason is that of the letters */
            for (int o = 0; c->options && c->options[o].name; o++)
                ck_assert_msg(!is_among(c->options[o].name,
                                        (const char *[]){"reason", "yes", "watch", "offset", NULL}),
                              "%s %s has an option of its own that it could share: %s", noun->name,
                              verb, c->options[o].name);
        }
    }
}
END_TEST

/* Every command takes all of its options at once: there is room for them, and no two are alike. */
START_TEST(options_are_distinct)
{
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        for (const jm_cli_command *c = noun->commands; c->summary; c++) {
            char names[60][JM_CLI_NAME_MAX];
            jm_cli_option option;
            int n = 0;
            for (; jm_cli_option_at(c, n, &option); n++) {
                ck_assert_int_lt(n, 48);
                jm_cli_option_name(&option, names[n]);
                ck_assert_str_ne(names[n], "json");
                ck_assert_str_ne(names[n], "color");
                ck_assert_str_ne(names[n], "config");
                for (int i = 0; i < n; i++)
                    ck_assert_msg(strcmp(names[i], names[n]) != 0, "%s %s: --%s twice", noun->name,
                                  c->verb ? c->verb : "", names[n]);
            }
        }
    }
}
END_TEST

START_TEST(letters)
{
    jm_cli *cli;
    ck_assert_int_eq(parse("job", "logs", &cli, ARGS("-f", "id")), 0);
    ck_assert(jm_cli_option_flag(cli, "follow"));
    ck_assert_str_eq(jm_cli_operand(cli, 0), "id");
    jm_cli_free(cli);
    quiet();
    ck_assert_int_eq(parse("job", "logs", &cli, ARGS("-f", "--follow", "id")), JM_EXIT_USAGE);
    ck_assert_int_eq(parse("job", "logs", &cli, ARGS("-ff", "id")), JM_EXIT_USAGE);
    ck_assert_int_eq(parse("job", "show", &cli, ARGS("-f", "id")), JM_EXIT_USAGE);
    loud();
}
END_TEST

START_TEST(progress)
{
    static const struct {
        int64_t done, of, elapsed_ms;
        const char *bar, *line;
    } cases[] = {
        {0, 10, 0, "[........................]   0 %  0 of 10 x", "0 of 10 x (0 %)"},
        {5, 10, 1000, "[############............]  50 %  5 of 10 x", "5 of 10 x (50 %)"},
        {5, 10, 10000, "[############............]  50 %  5 of 10 x, 11 s left",
         "5 of 10 x (50 %), 11 s left"},
        {1, 1000, 10000, "[........................]   0 %  1 of 1000 x, 2 h left",
         "1 of 1000 x (0 %), 2 h left"},
        {10, 10, 10000, "[########################] 100 %  10 of 10 x", "10 of 10 x (100 %)"},
        {11, 10, 10000, "11 x", "11 x"},
        {7, 0, 10000, "7 x", "7 x"},
        {INT64_MAX / 2, INT64_MAX, 0, "[############............]  50 %  ", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jm_buf bar = {0}, line = {0};
        jm_cli_progress_text(&bar, "x", cases[i].done, cases[i].of, cases[i].elapsed_ms, true);
        jm_cli_progress_text(&line, "x", cases[i].done, cases[i].of, cases[i].elapsed_ms, false);
        if (cases[i].line) {
            ck_assert_str_eq(jm_buf_str(&bar), cases[i].bar);
            ck_assert_str_eq(jm_buf_str(&line), cases[i].line);
        } else {
            ck_assert(!strncmp(jm_buf_str(&bar), cases[i].bar, strlen(cases[i].bar)));
        }
        jm_buf_fini(&bar);
        jm_buf_fini(&line);
    }
}
END_TEST

START_TEST(near_words)
{
    ck_assert_str_eq(jm_cli_noun_near("jbo"), "job");
    ck_assert_str_eq(jm_cli_noun_near("shema"), "schema");
    ck_assert_ptr_null(jm_cli_noun_near("xylophone"));
    ck_assert_str_eq(jm_cli_verb_near(jm_cli_noun_find("job"), "sumbit"), "submit");
}
END_TEST

START_TEST(help_of_every_level)
{
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        for (const jm_cli_command *c = noun->commands; c->summary; c++) {
            char *text = NULL;
            size_t len;
            FILE *to = open_memstream(&text, &len);
            jm_cli_print_help(to, noun, c);
            fclose(to);
            ck_assert_ptr_nonnull(strstr(text, c->summary));
            ck_assert_ptr_nonnull(strstr(text, "Usage: jobmill"));
            free(text);
        }
    }
}
END_TEST

START_TEST(numbers_stay_exact)
{
    static const char *const same[] = {"0.1",
                                       "12345678901234567890123",
                                       "1e999",
                                       "-0",
                                       "-0.0",
                                       "1.10",
                                       "9007199254740993",
                                       "{\"a\":[1,2.50,\"x\"]}",
                                       "\"\xee\x80\x80#1\"",
                                       "\"\xee\x80\x80\"",
                                       "[\"a\\\"b\",1.0]",
                                       "\"1.5\"",
                                       "\"\\\"\xee\x80\x80#1\"",
                                       "\"\\\\\""};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        json_t *value;
        jm_err err;
        ck_assert_msg(jm_json_exact_load(same[i], strlen(same[i]), &value, &err) == JM_OK, "%s: %s",
                      same[i], err.msg);
        char *text = jm_json_exact_dump(value, JSON_COMPACT);
        ck_assert_str_eq(text, strcmp(same[i], "-0") ? same[i] : "0");
        free(text);
        json_decref(value);
    }
    static const char *const bad[] = {"01", "1.", "{\"a\":1,\"a\":2}", "-", "\"", "1e", "[1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *value;
        jm_err err;
        ck_assert_int_eq(jm_json_exact_load(bad[i], strlen(bad[i]), &value, &err), JM_ERR_INVALID);
    }
}
END_TEST

START_TEST(cells)
{
    static const struct {
        const char *json;
        jm_cli_format format;
        const char *cell;
    } cases[] = {{"null", JM_CLI_TEXT, "-"},
                 {"\"\"", JM_CLI_TEXT, "-"},
                 {"true", JM_CLI_TEXT, "yes"},
                 {"[\"a\",\"b\"]", JM_CLI_WIDE, "a, b"},
                 {"\"2026-11-22T14:30:00.5+00:00\"", JM_CLI_TIME, "2026-11-22T14:30:00Z"},
                 {"\"a\\u001b[2Jb\\nc\"", JM_CLI_TEXT, "a [2Jb c"},
                 {"\"a\\u009bb\"", JM_CLI_TEXT, "a  b"},
                 {"12", JM_CLI_MS, "12 ms"},
                 {"1250", JM_CLI_MS, "1.2 s"},
                 {"3725000", JM_CLI_MS, "1h 02m"},
                 {"{\"a\":1.50}", JM_CLI_TEXT, "{\"a\":1.50}"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value;
        jm_err err;
        ck_assert_int_eq(jm_json_exact_load(cases[i].json, strlen(cases[i].json), &value, &err),
                         JM_OK);
        char *cell = jm_cli_table_cell(value, cases[i].format);
        ck_assert_str_eq(cell, cases[i].cell);
        free(cell);
        json_decref(value);
    }
}
END_TEST

static char *read_whole(const char *path)
{
    char *text = NULL, name[500];
    size_t size = 0;
    snprintf(name, sizeof name, "%s/%s", JM_SOURCE_DIR, path);
    FILE *file = fopen(name, "r");
    ck_assert_msg(file != NULL, "%s is not there", name);
    ssize_t n = getdelim(&text, &size, 0, file);
    ck_assert_int_gt(n, 0);
    fclose(file);
    return text;
}

static void check_page(const char *path, const char *option, void (*print)(FILE *to))
{
    char *text = NULL, *there = read_whole(path);
    size_t len;
    FILE *to = open_memstream(&text, &len);
    print(to);
    fclose(to);
    ck_assert_msg(!strcmp(text, there), "%s is out of date: jobmill %s > %s", path, option, path);
    free(text);
    free(there);
}

START_TEST(pages_are_up_to_date)
{
    check_page("docs/configuration.md", "--print-config-markdown", jm_config_print_markdown);
    check_page("compose/jobmill.conf.sample", "--print-config-sample", jm_config_print_sample);
    check_page("docs/cli.md", "--print-cli-markdown", jm_cli_print_markdown);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("commands");
    TCase *tcase = tcase_create("commands");
    tcase_add_test(tcase, table_is_sane);
    tcase_add_test(tcase, options);
    tcase_add_test(tcase, usage_errors);
    tcase_add_test(tcase, values);
    tcase_add_test(tcase, pages);
    tcase_add_test(tcase, bare_options);
    tcase_add_test(tcase, json_and_color);
    tcase_add_test(tcase, changes_can_be_tried_and_explained);
    tcase_add_test(tcase, options_are_distinct);
    tcase_add_test(tcase, letters);
    tcase_add_test(tcase, progress);
    tcase_add_test(tcase, near_words);
    tcase_add_test(tcase, help_of_every_level);
    tcase_add_test(tcase, numbers_stay_exact);
    tcase_add_test(tcase, cells);
    tcase_add_test(tcase, pages_are_up_to_date);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
