/* Runs a job type against fixtures and says what differs. */
#include "type_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_value.h"
#include "common/mem.h"
#include "worker/definition.h"
#include "worker/given_documents.h"
#include "worker/json_diff.h"
#include "worker/runner.h"
#include "worker/executor.h"
#include "worker/type_dir.h"

enum { EXIT_PASSED, EXIT_FAILED, EXIT_USAGE, KILL_GRACE_MS = 2000, MAX_TIMEOUT_S = 366 * 86400 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char usage[] =
    "Usage: jobmill type test [--json] FILE [--fixtures FILE] [--document NAME=FILE]...\n"
    "       (or: jobmill-worker test)\n"
    "Runs a job type against fixtures, with the worker's own step runner and neither Kafka nor "
    "database.\n"
    "The fixtures are a JSON list, by default <type>.tests.json beside <type>.json:\n"
    "  [{\"name\": \"…\", \"params\": {…}, \"metadata\": {…}, \"profile\": \"…\", \"timeout_s\": "
    "n,\n"
    "    \"documents\": {\"NAME\": …},\n"
    "    \"expect\": {\"status\": \"completed\" | \"failed\", \"result\": …, \"metadata\": {…},\n"
    "               \"steps\": {\"NAME\": \"success\" | {\"status\": …, \"data\": …}}, \"error\": "
    "\"part of "
    "it\"}}]\n"
    "Documents that the type names come from the case, else from --document.\n"
    "Prints TAP, with what differs; with --json a list of cases. Exits 0 when all is as expected, "
    "1 otherwise, 2 for wrong "
    "usage.\n";

typedef struct tester {
    json_t *items; /* with --json, of cases; else NULL */
    const char *file, *fixtures;
    jm_executor_env env;
    jm_queue *reports;
    jm_runner *runner;
    jm_job_type *type;
    json_t *cases;
    json_t *documents; /* what --document gave */
    int failed;
} tester;

/* One case, its strings borrowed from the fixtures, and what became of it. */
typedef struct trial {
    jm_job job;
    char *params, *metadata, *documents;
    json_t *actual; /* {"status", "error", "result", "metadata", "steps": {name: {…}}} */
    jm_buf log;
    jm_end end;
} trial;

/* ---- fixtures ---- */

/* status, result, ... of what is expected, each compared in its way. */
static int check_expect(jm_def def, jm_err *err)
{
    static const char *const known[] = {"status", "result", "metadata", "steps", "error"};
    static const char *const statuses[] = {"completed", "failed"};
    char pointer[80];
    json_t *expect = NULL, *object = NULL;
    const char *error;
    int status;
    if (jm_def_object(def, "expect", &expect, err))
        return err->code;
    if (!expect)
        return jm_def_error(def, NULL, err, "the case has no expect");
    jm_def_pointer(def, "expect", pointer, sizeof pointer);
    jm_def sub = {expect, pointer};
    if (jm_def_known(sub, known, COUNT(known), err) ||
        jm_def_word(sub, "status", statuses, 2, &status, err) ||
        jm_def_object(sub, "metadata", &object, err) || jm_def_object(sub, "steps", &object, err))
        return err->code;
    return jm_def_string(sub, "error", &error, err);
}

static int check_case(const json_t *value, size_t i, jm_err *err)
{
    static const char *const known[] = {"name",    "params",    "metadata", "documents",
                                        "profile", "timeout_s", "expect"};
    char pointer[40];
    json_t *object = NULL;
    const char *name = NULL, *profile;
    int timeout_s;
    snprintf(pointer, sizeof pointer, "/%zu", i);
    jm_def def = {value, pointer};
    if (!json_is_object(value))
        return jm_def_error(def, NULL, err, "a case must be an object");
    if (jm_def_known(def, known, COUNT(known), err) || jm_def_string(def, "name", &name, err) ||
        jm_def_object(def, "params", &object, err) ||
        jm_def_object(def, "metadata", &object, err) ||
        jm_def_object(def, "documents", &object, err) ||
        jm_def_string(def, "profile", &profile, err) ||
        jm_def_int(def, "timeout_s", 1, MAX_TIMEOUT_S, &timeout_s, err))
        return err->code;
    if (!name)
        return jm_def_error(def, NULL, err, "the case has no name");
    return check_expect(def, err);
}

/* x.json has its fixtures in x.tests.json. */
static char *default_fixtures(const char *file)
{
    size_t len = strlen(file);
    jm_buf path = {0};
    if (len > 5 && !strcmp(file + len - 5, ".json"))
        len -= 5;
    jm_buf_addf(&path, "%.*s.tests.json", (int)len, file);
    return jm_buf_take(&path);
}

static int load_fixtures(tester *t, jm_err *err)
{
    json_error_t at;
    char *path = t->fixtures ? jm_strdup(t->fixtures) : default_fixtures(t->file);
    int rc = JM_OK;
    t->cases = json_load_file(path, JSON_REJECT_DUPLICATES, &at);
    if (!t->cases && at.line < 0)
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "%s: %s", path, at.text);
    else if (!t->cases)
        rc = jm_err_set(err, JM_ERR_INVALID, "%s:%d:%d: %s", path, at.line, at.column, at.text);
    else if (!json_array_size(t->cases))
        rc = jm_err_set(err, JM_ERR_INVALID, "%s: fixtures are a list of at least one case", path);
    for (size_t i = 0; i < json_array_size(t->cases) && !rc; i++) {
        rc = check_case(json_array_get(t->cases, i), i, err);
        if (rc) {
            char field[sizeof err->field];
            memcpy(field, err->field, sizeof field);
            jm_err_prefix(err, "%s: %s", path, field);
        }
    }
    free(path);
    return rc;
}

/* ---- running ---- */

static char *text_of(const json_t *object)
{
    return object ? json_dumps(object, JSON_COMPACT) : NULL;
}

static void trial_init(trial *tr, const tester *t, const json_t *fixture)
{
    const json_t *timeout = json_object_get(fixture, "timeout_s");
    *tr = (trial){.params = text_of(json_object_get(fixture, "params")),
                  .metadata = text_of(json_object_get(fixture, "metadata")),
                  .actual = json_pack("{s:{}}", "steps")};
    tr->job =
        (jm_job){.id = jm_uuid7_new(),
                 .job_type = t->type,
                 .type = t->type->name,
                 .project = "default",
                 .queue = "default",
                 .profile = json_string_value(json_object_get(fixture, "profile")),
                 .params = tr->params ? tr->params : "{}",
                 .metadata = tr->metadata,
                 .metadata_len = tr->metadata ? strlen(tr->metadata) : 0,
                 .attempt = 1,
                 .max_attempts = 1,
                 .timeout_s = timeout ? (int)json_integer_value(timeout) : t->type->timeout_s};
    tr->job.params_len = strlen(tr->job.params);
    tr->documents = jm_given_documents_text(t->documents, json_object_get(fixture, "documents"),
                                            t->type, &tr->job.no_document);
    tr->job.documents = tr->documents;
}

static void trial_fini(trial *tr)
{
    free(tr->params);
    free(tr->metadata);
    free(tr->documents);
    json_decref(tr->actual);
    jm_buf_fini(&tr->log);
}

static void set_raw(json_t *object, const char *key, const char *raw)
{
    if (raw)
        json_object_set_new(object, key, jm_json_load(raw, strlen(raw)));
}

static void take_step(trial *tr, const jm_step_row *row)
{
    json_t *step = json_pack("{s:s,s:i}", "status", row->status, "attempts", row->attempts);
    set_raw(step, "data", row->data);
    if (row->error)
        json_object_set_new(step, "error", json_string(row->error));
    json_object_set_new(json_object_get(tr->actual, "steps"), row->name, step);
}

static void take_report(trial *tr, jm_report *report)
{
    for (int i = 0; i < report->n_steps; i++)
        take_step(tr, &report->steps[i]);
    for (int i = 0; i < report->n_logs; i++)
        jm_buf_addf(&tr->log, "log %s%s%s\n", report->logs[i].step ? report->logs[i].step : "",
                    report->logs[i].step ? ": " : "", report->logs[i].message);
    if (report->set_metadata) {
        json_t *set = jm_json_load(report->set_metadata, strlen(report->set_metadata));
        if (!json_object_get(tr->actual, "metadata"))
            json_object_set_new(tr->actual, "metadata", json_object());
        json_object_update(json_object_get(tr->actual, "metadata"), set);
        json_decref(set);
    }
    set_raw(tr->actual, "result", report->result);
    if (report->error)
        json_object_set_new(tr->actual, "error", json_string(report->error));
    tr->end = report->end;
    jm_report_free(report);
}

static void run(const tester *t, trial *tr)
{
    jm_chain jobs = {0}, reports = {0};
    jm_chain_add(&jobs, &tr->job.node);
    jm_runner_push(t->runner, &jobs);
    while (tr->end == JM_END_NONE) {
        jm_queue_pop_all(t->reports, &reports, -1);
        for (jm_node *node; (node = jm_chain_take(&reports));)
            take_report(tr, (jm_report *)node);
    }
    json_object_set_new(tr->actual, "status",
                        json_string(tr->end == JM_END_COMPLETED ? "completed" : "failed"));
}

/* ---- comparing ---- */

/* Of each step that is named, what is named: its status alone, or members of its row. */
static bool same_steps(const json_t *expected, const json_t *actual, jm_buf *out)
{
    const char *name;
    json_t *value;
    bool same = true;
    json_object_foreach((json_t *)(uintptr_t)expected, name, value)
    {
        const json_t *found = json_object_get(actual, name);
        jm_buf at = {0};
        jm_buf_addf(&at, "/steps/%s", name);
        same &=
            jm_json_diff(value, json_is_string(value) ? json_object_get(found, "status") : found,
                         at.data, true, out);
        jm_buf_fini(&at);
    }
    return same;
}

static bool same_error(const json_t *expected, const json_t *actual, jm_buf *out)
{
    const char *part = json_string_value(expected), *error = json_string_value(actual);
    if (!part || (error && strstr(error, part)))
        return true;
    jm_buf_addf(out, "/error: expected \"%s\" in it, got %s%s%s\n", part, error ? "\"" : "",
                error ? error : "nothing", error ? "\"" : "");
    return false;
}

static bool compare(const json_t *expect, const json_t *actual, jm_buf *out)
{
    static const char *const whole[] = {"result", "metadata"};
    json_t *status = json_object_get(expect, "status"), *completed = json_string("completed");
    bool same = jm_json_diff(status ? status : completed, json_object_get(actual, "status"),
                             "/status", false, out);
    json_decref(completed);
    for (size_t i = 0; i < COUNT(whole); i++) {
        char pointer[20];
        snprintf(pointer, sizeof pointer, "/%s", whole[i]);
        if (json_object_get(expect, whole[i]))
            same &= jm_json_diff(json_object_get(expect, whole[i]),
                                 json_object_get(actual, whole[i]), pointer, false, out);
    }
    same &= same_steps(json_object_get(expect, "steps"), json_object_get(actual, "steps"), out);
    return same_error(json_object_get(expect, "error"), json_object_get(actual, "error"), out) &&
           same;
}

static void print_comment(const jm_buf *text)
{
    for (const char *line = jm_buf_str(text), *end; (end = strchr(line, '\n')); line = end + 1)
        printf("#   %.*s\n", (int)(end - line), line);
}

/* Without an expected error, the one that came says most about a case that failed. */
static void test_case(tester *t, size_t i)
{
    const json_t *fixture = json_array_get(t->cases, i),
                 *expect = json_object_get(fixture, "expect");
    trial tr;
    jm_buf diff = {0};
    trial_init(&tr, t, fixture);
    run(t, &tr);
    bool same = compare(expect, tr.actual, &diff);
    const char *name = json_string_value(json_object_get(fixture, "name"));
    const char *error = json_string_value(json_object_get(tr.actual, "error"));
    if (!same && error && !json_object_get(expect, "error"))
        jm_buf_addf(&diff, "error %s\n", error);
    t->failed += !same;
    if (t->items) {
        json_array_append_new(t->items, json_pack("{s:s, s:b, s:s}", "name", name, "ok", same,
                                                  "differs", same ? "" : jm_buf_str(&diff)));
    } else {
        printf("%s %zu - %s\n", same ? "ok" : "not ok", i + 1, name);
        if (!same) {
            print_comment(&diff);
            print_comment(&tr.log);
        }
        fflush(stdout);
    }
    jm_buf_fini(&diff);
    trial_fini(&tr);
}

/* ---- the command ---- */

/* --document NAME=FILE, or --document=NAME=FILE. */
static int take_document(tester *t, const char *given)
{
    jm_err err;
    if (!jm_given_documents_add(t->documents, given, &err))
        return EXIT_PASSED;
    fprintf(stderr, "%s\n", err.msg);
    return EXIT_USAGE;
}

static int parse(tester *t, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        bool apart = !strcmp(argv[i], "--document") && i + 1 < argc;
        if (apart || !strncmp(argv[i], "--document=", 11)) {
            if (take_document(t, apart ? argv[++i] : argv[i] + 11))
                return EXIT_USAGE;
            continue;
        }
        if (!strncmp(argv[i], "--fixtures=", 11))
            t->fixtures = argv[i] + 11;
        else if (!strcmp(argv[i], "--json"))
            t->items = json_array();
        else if (!strcmp(argv[i], "--fixtures") && i + 1 < argc)
            t->fixtures = argv[++i];
        else if (argv[i][0] == '-' || t->file)
            return EXIT_USAGE;
        else
            t->file = argv[i];
    }
    return t->file ? EXIT_PASSED : EXIT_USAGE;
}

static int prepare(tester *t, const jm_config *config, jm_err *err)
{
    if (jm_type_dir_load_file(t->file, &t->type, err) || load_fixtures(t, err))
        return err->code;
    jm_executor_env_read(&t->env, config);
    jm_runner_options options = {.reports = t->reports,
                                 .work_dir = jm_config_str(config, "worker.work_dir"),
                                 .kill_grace_ms = KILL_GRACE_MS,
                                 .executor_env = &t->env};
    if (jm_runner_new(&options, &t->runner, err))
        return err->code;
    return jm_runner_start(t->runner, err);
}

int jm_type_test_command(int argc, char **argv, const jm_config *config)
{
    tester t = {.documents = json_object()};
    jm_err err;
    bool help = argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"));
    if (help || parse(&t, argc, argv)) {
        fputs(usage, help ? stdout : stderr);
        json_decref(t.documents);
        return help ? EXIT_PASSED : EXIT_USAGE;
    }
    t.reports = jm_queue_new(0);
    if (prepare(&t, config, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        t.failed++;
    } else {
        if (!t.items)
            printf("1..%zu\n", json_array_size(t.cases));
        for (size_t i = 0; i < json_array_size(t.cases); i++)
            test_case(&t, i);
    }
    if (t.items) {
        json_t *document = json_pack("{s:O, s:i}", "items", t.items, "failed", t.failed);
        json_dumpf(document, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(document);
    }
    json_decref(t.items);
    jm_runner_free(t.runner);
    jm_queue_free(t.reports);
    jm_job_type_unref(t.type);
    json_decref(t.cases);
    json_decref(t.documents);
    return t.failed ? EXIT_FAILED : EXIT_PASSED;
}
