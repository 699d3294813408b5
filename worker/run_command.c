/* `jobmill-worker run` and `check`: job types in the terminal, for people who write handlers. */
#include "run_command.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "worker/executor.h"
#include "worker/given_documents.h"
#include "worker/handler_protocol.h"
#include "worker/runner.h"
#include "worker/type_dir.h"

enum { EXIT_COMPLETED, EXIT_FAILED, EXIT_USAGE, EXIT_NOT_FOUND };
enum { KILL_GRACE_MS = 5000, MAX_ATTEMPTS = 1000, MAX_TIMEOUT_S = 366 * 86400 };

static const char run_usage[] =
    "Usage: jobmill-worker run TYPE [options]\n"
    "Runs one job here and now, with the worker's own step runner and neither Kafka nor database.\n"
    "TYPE is a type of [worker] jobs_dir, a built-in one, or a definition's file (with a '/' or "
    ".json).\n"
    "Steps, log lines and the child's stdout go to standard error, the result to standard output.\n"
    "Exits 0 when it completed, 1 when it failed, 2 for wrong usage, 3 when there is no such "
    "type.\n"
    "\n"
    "  --params JSON       an object; default {}\n"
    "  --profile NAME      default params, of the definition's profiles\n"
    "  --metadata JSON     an object of scalars\n"
    "  --project NAME      default \"default\"\n"
    "  --document N=FILE   the document N that the definition names; more than once for several\n"
    "  --timeout SECONDS   instead of the definition's timeout_s\n"
    "  --attempts N        tries, with the definition's backoff between them; default 1\n"
    "  --json              changes nothing: the result is JSON\n";

static const char check_usage[] =
    "Usage: jobmill type check [--json] FILE...    (or: jobmill-worker check)\n"
    "Checks definitions of job types: says file, line, column and reason of what is wrong.\n"
    "Exits 0 when all are sound, 1 otherwise.\n";

/* ---- arguments ---- */

typedef struct run_args {
    const char *type, *params, *profile, *metadata, *project, *timeout, *attempts;
    int timeout_s, max_attempts;
    bool help;
    json_t *documents; /* what --document gave */
} run_args;

static int usage_error(const char *what, const char *arg)
{
    fprintf(stderr, "jobmill-worker run: %s%s%s; see jobmill-worker run --help\n", what,
            arg ? " " : "", arg ? arg : "");
    return EXIT_USAGE;
}

/* The value of --name VALUE or --name=VALUE at argv[*i], which it moves past; NULL if it is
 * another. */
static const char *option_value(int argc, char **argv, int *i, const char *name)
{
    size_t len = strlen(name);
    const char *arg = argv[*i];
    if (strncmp(arg, name, len) != 0)
        return NULL;
    if (arg[len] == '=')
        return arg + len + 1;
    return arg[len] || *i + 1 >= argc ? NULL : argv[++*i];
}

static bool parse_number(const char *text, int max, int *out)
{
    char *end;
    long n = text ? strtol(text, &end, 10) : 0;
    if (text && (!*text || *end || n < 1 || n > max))
        return false;
    if (text)
        *out = (int)n;
    return true;
}

static int parse_run(run_args *args, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"--params", &args->params},     {"--profile", &args->profile},
                   {"--metadata", &args->metadata}, {"--project", &args->project},
                   {"--timeout", &args->timeout},   {"--attempts", &args->attempts}};
    for (int i = 2; i < argc; i++) {
        const char *value = NULL;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            args->help = true;
            return EXIT_COMPLETED;
        }
        if (!strcmp(argv[i], "--json"))
            continue;
        const char *arg = argv[i], *document = option_value(argc, argv, &i, "--document");
        if (document) {
            jm_err err;
            if (jm_given_documents_add(args->documents, document, &err))
                return usage_error(err.msg, NULL);
            continue;
        }
        for (size_t j = 0; j < sizeof options / sizeof *options && !value; j++)
            if ((value = option_value(argc, argv, &i, options[j].name)))
                *options[j].value = value;
        if (value)
            continue;
        if (arg[0] == '-')
            return usage_error("unknown option, or one without its value:", arg);
        if (args->type)
            return usage_error("one TYPE at a time, not also", arg);
        args->type = arg;
    }
    if (!args->type)
        return usage_error("TYPE is missing", NULL);
    if (args->params && !jm_handler_is_object(args->params, strlen(args->params)))
        return usage_error("--params is no JSON object:", args->params);
    if (args->metadata && !jm_handler_is_object(args->metadata, strlen(args->metadata)))
        return usage_error("--metadata is no JSON object:", args->metadata);
    args->max_attempts = 1;
    if (!parse_number(args->timeout, MAX_TIMEOUT_S, &args->timeout_s))
        return usage_error("--timeout is no whole number of seconds:", args->timeout);
    if (!parse_number(args->attempts, MAX_ATTEMPTS, &args->max_attempts))
        return usage_error("--attempts is no whole number from 1:", args->attempts);
    return EXIT_COMPLETED;
}

static int find_type(const char *name, const char *jobs_dir, jm_job_type **out)
{
    jm_err err;
    jm_type_dir *dir = NULL;
    size_t len = strlen(name);
    *out = NULL;
    if (strchr(name, '/') || (len > 5 && !strcmp(name + len - 5, ".json"))) {
        if (!jm_type_dir_load_file(name, out, &err))
            return EXIT_COMPLETED;
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILED;
    }
    if (jm_type_dir_new(jobs_dir, &dir, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILED;
    }
    *out = jm_type_dir_get(dir, name);
    jm_type_dir_free(dir);
    if (*out)
        return EXIT_COMPLETED;
    fprintf(
        stderr,
        "there is no job type %s: no %s/%s.json, and noop, sleep, fail and jobmill.callback are "
        "all that is built in\n",
        name, jobs_dir, name);
    return EXIT_NOT_FOUND;
}

/* ---- what happens, on standard error ---- */

static void print_log(const jm_log_row *log, int64_t started_us)
{
    static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    fprintf(stderr, "%8.3f  %-7s  %s%s%s%s%s\n", (double)(log->at_us - started_us) / 1e6,
            levels[log->level], log->step ? log->step : "", log->step ? ": " : "", log->message,
            log->details ? "  " : "", log->details ? log->details : "");
}

static void print_step(const jm_step_row *step, int64_t started_us)
{
    if (!step->ended_us)
        return;
    fprintf(stderr, "%8.3f  step     %s: %s in %" PRId64 " ms",
            (double)(step->ended_us - started_us) / 1e6, step->name, step->status,
            (step->ended_us - step->started_us) / 1000);
    if (step->attempts > 1)
        fprintf(stderr, ", %d tries", step->attempts);
    if (step->error)
        fprintf(stderr, ": %s", step->error);
    if (step->data)
        fprintf(stderr, "  %s", step->data);
    fputc('\n', stderr);
}

static void print_end(const jm_report *report, const jm_buf *set, int max_attempts)
{
    static const char *const words[] = {[JM_END_COMPLETED] = "completed",
                                        [JM_END_FAILED] = "failed",
                                        [JM_END_RETRY] = "failed",
                                        [JM_END_CANCELLED] = "cancelled",
                                        [JM_END_RETURNED] = "returned"};
    if (report->out_text)
        fprintf(stderr, "--- stdout ---\n%s--------------\n", report->out_text);
    if (report->output_files)
        fprintf(stderr, "files: %s\n", report->output_files);
    if (set->len)
        fprintf(stderr, "metadata: {%.*s}\n", (int)(set->len - 1), set->data);
    fprintf(stderr, "attempt %d of %d %s in %" PRId64 " ms", report->job->attempt, max_attempts,
            words[report->end], (report->ended_us - report->started_us) / 1000);
    if (report->error)
        fprintf(stderr, ": %s", report->error);
    if (report->end == JM_END_RETRY)
        fprintf(stderr, "; next in %.1f s", (double)report->retry_in_us / 1e6);
    fputc('\n', stderr);
}

/* ---- running ---- */

typedef struct run_state {
    jm_runner *runner;
    jm_executor_env env;
    jm_queue *reports;
    int signals; /* signalfd of SIGINT and SIGTERM */
    bool stopping;
    jm_job job;
    jm_buf done; /* members of done_steps, each with a comma behind it */
    jm_buf done_steps;
    jm_buf result;
    jm_buf set; /* members of metadata that steps of this attempt have set, as done */
    jm_end end; /* of the last attempt */
    int64_t retry_in_us;
} run_state;

static bool is_own_step(const run_state *state, const char *name)
{
    for (int i = 0; i < state->job.job_type->n_steps; i++)
        if (!strcmp(state->job.job_type->steps[i].name, name))
            return true;
    return false;
}

static void take_report(run_state *state, jm_report *report)
{
    for (int i = 0; i < report->n_logs; i++)
        print_log(&report->logs[i], report->started_us);
    for (int i = 0; i < report->n_steps; i++) {
        const jm_step_row *step = &report->steps[i];
        print_step(step, report->started_us);
        if (!strcmp(step->status, "success") && is_own_step(state, step->name))
            jm_buf_addf(&state->done, "\"%s\":%s,", step->name, step->data ? step->data : "null");
    }
    if (report->progress)
        fprintf(stderr, "progress: %s\n", report->progress);
    if (report->result)
        jm_buf_adds(&state->result, report->result);
    if (report->set_metadata) /* "{...}" */
        jm_buf_addf(&state->set, "%.*s,", (int)strlen(report->set_metadata) - 2,
                    report->set_metadata + 1);
    if (report->end != JM_END_NONE) {
        print_end(report, &state->set, state->job.max_attempts);
        jm_buf_clear(&state->set);
    }
    state->end = report->end;
    state->retry_in_us = report->retry_in_us;
    jm_report_free(report);
}

/* The first signal stops the job, the second ends the program (and the spawner whatever runs). */
static void take_signal(run_state *state)
{
    struct signalfd_siginfo info;
    if (read(state->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (state->stopping)
        _exit(EXIT_FAILED);
    state->stopping = true;
    fprintf(stderr, "stopping; once more to stop at once\n");
    jm_runner_stop_all(state->runner, JM_END_CANCELLED, "stopped from the terminal", false);
}

static void run_attempt(run_state *state)
{
    jm_chain jobs = {0}, reports = {0};
    jm_chain_add(&jobs, &state->job.node);
    jm_runner_push(state->runner, &jobs);
    state->end = JM_END_NONE;
    while (state->end == JM_END_NONE) {
        struct pollfd fds[] = {{.fd = jm_queue_fd(state->reports), .events = POLLIN},
                               {.fd = state->signals, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[1].revents)
            take_signal(state);
        jm_queue_pop_all(state->reports, &reports, 0);
        for (jm_node *node; (node = jm_chain_take(&reports));)
            take_report(state, (jm_report *)node);
    }
}

/* The backoff, unless a signal comes. The next attempt skips what has succeeded. */
static bool prepare_retry(run_state *state)
{
    struct pollfd fd = {.fd = state->signals, .events = POLLIN};
    if (state->stopping || poll(&fd, 1, (int)(state->retry_in_us / 1000)) > 0)
        return false;
    state->job.attempt++;
    jm_buf_clear(&state->done_steps);
    if (state->done.len)
        jm_buf_addf(&state->done_steps, "{%.*s}", (int)state->done.len - 1, state->done.data);
    state->job.done_steps = state->done.len ? state->done_steps.data : NULL;
    return true;
}

static void fill_job(jm_job *job, const run_args *args, jm_job_type *type)
{
    *job = (jm_job){.id = jm_uuid7_new(),
                    .job_type = type,
                    .type = type->name,
                    .project = args->project ? args->project : "default",
                    .queue = "default",
                    .profile = args->profile,
                    .params = args->params ? args->params : "{}",
                    .metadata = args->metadata,
                    .metadata_len = args->metadata ? strlen(args->metadata) : 0,
                    .attempt = 1,
                    .max_attempts = args->max_attempts,
                    .timeout_s = args->timeout_s ? args->timeout_s : type->timeout_s};
    job->params_len = strlen(job->params);
}

static int start_runner(run_state *state, const jm_config *config, jm_err *err)
{
    jm_runner_options options = {.reports = state->reports,
                                 .work_dir = jm_config_str(config, "worker.work_dir"),
                                 .kill_grace_ms = KILL_GRACE_MS,
                                 .executor_env = &state->env};
    sigset_t stop;
    jm_executor_env_read(&state->env, config);
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    state->signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    if (jm_runner_new(&options, &state->runner, err))
        return err->code;
    return jm_runner_start(state->runner, err);
}

static int run_type(const run_args *args, jm_job_type *type, const jm_config *config)
{
    jm_err err;
    run_state state = {.reports = jm_queue_new(0)};
    const char *missing = NULL;
    char *documents = jm_given_documents_text(args->documents, NULL, type, &missing);
    if (missing) {
        jm_queue_free(state.reports);
        return usage_error("the type names a document; give it with --document NAME=FILE:",
                           missing);
    }
    fill_job(&state.job, args, type);
    state.job.documents = documents;
    if (start_runner(&state, config, &err)) {
        fprintf(stderr, "jobmill-worker run: %s\n", err.msg);
        state.end = JM_END_FAILED;
    } else {
        do
            run_attempt(&state);
        while (state.end == JM_END_RETRY && prepare_retry(&state));
    }
    if (state.result.len)
        printf("%s\n", state.result.data);
    jm_runner_free(state.runner);
    jm_queue_free(state.reports);
    close(state.signals);
    jm_buf_fini(&state.done);
    jm_buf_fini(&state.done_steps);
    jm_buf_fini(&state.result);
    jm_buf_fini(&state.set);
    free(documents);
    return state.end == JM_END_COMPLETED ? EXIT_COMPLETED : EXIT_FAILED;
}

static int run(int argc, char **argv, const jm_config *config)
{
    run_args args = {.documents = json_object()};
    jm_job_type *type = NULL;
    int rc = parse_run(&args, argc, argv);
    if (args.help)
        fputs(run_usage, stdout);
    if (!rc && !args.help)
        rc = find_type(args.type, jm_config_str(config, "worker.jobs_dir"), &type);
    if (!rc && type)
        rc = run_type(&args, type, config);
    jm_job_type_unref(type);
    json_decref(args.documents);
    return rc;
}

/* ---- check ---- */

static void print_items(json_t *items)
{
    json_t *document = json_pack("{s:O}", "items", items);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
}

static int check(int argc, char **argv)
{
    int rc = EXIT_COMPLETED;
    if (argc < 3 || !strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")) {
        fputs(check_usage, argc < 3 ? stderr : stdout);
        return argc < 3 ? EXIT_USAGE : EXIT_COMPLETED;
    }
    bool as_json = false;
    int n = 2;
    for (int i = 2; i < argc; i++) /* it may stand anywhere */
        if (!strcmp(argv[i], "--json"))
            as_json = true;
        else
            argv[n++] = argv[i];
    json_t *items = json_array();
    for (int i = 2; i < n; i++) {
        jm_job_type *type = NULL;
        jm_err err = {0};
        bool sound = !jm_type_dir_load_file(argv[i], &type, &err);
        rc = sound ? rc : EXIT_FAILED;
        if (as_json)
            json_array_append_new(items, json_pack("{s:s, s:b, s:s?, s:s?}", "file", argv[i], "ok",
                                                   sound, "type", sound ? type->name : NULL,
                                                   "error", sound ? NULL : err.msg));
        else if (sound)
            printf("%s: ok, type %s with %d step%s\n", argv[i], type->name, type->n_steps,
                   type->n_steps == 1 ? "" : "s");
        else
            fprintf(stderr, "%s\n", err.msg);
        jm_job_type_unref(type);
    }
    if (as_json)
        print_items(items);
    json_decref(items);
    return rc;
}

int jm_run_command(int argc, char **argv, const jm_config *config)
{
    return strcmp(argv[1], "check") ? run(argc, argv, config) : check(argc, argv);
}
