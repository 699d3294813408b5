/* A child's pipes and its end. */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "worker/capture.h"
#include "worker/definition.h"
#include "worker/handler_protocol.h"
#include "worker/lines.h"
#include "worker/spawner.h"
#include "worker/text.h"

enum { STDIN, STDOUT, STDERR, PROTOCOL, STREAMS };
enum { READ_BYTES = 16384, READS_A_TURN = 8, DRAIN_BYTES = 4 << 20, STDERR_LINE_MAX = 8192 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Our end of one of the child's descriptors. */
typedef struct stream {
    struct process *process;
    int fd; /* -1: closed */
    jm_watch *watch;
    jm_lines lines;
    jm_capture capture;
} stream;

/* A running child: from start until the spawner has told its end. */
typedef struct process {
    jm_step_run *run;
    uint64_t id;
    jm_buf input; /* what is to be written to its stdin */
    size_t written;
    stream streams[STREAMS];
    jm_buf result;   /* the last one on descriptor 3 */
    jm_buf last_out; /* the last line of stdout that is not blank */
    jm_buf last_err;
} process;

/* ---- the definition ---- */

static int check_env(jm_def def, jm_err *err)
{
    json_t *env = NULL, *value;
    const char *name;
    if (jm_def_object(def, "env", &env, err))
        return err->code;
    json_object_foreach(env, name, value)
    {
        if (!*name || strchr(name, '=') || !json_is_string(value))
            return jm_def_error(def, "env", err, "env.%.60s must be a string, its name without '='",
                                name);
        if (!strncmp(name, "JOBMILL_", 8))
            return jm_def_error(def, "env", err,
                                "env.%.60s: names with JOBMILL_ are set by jobmill", name);
    }
    return JM_OK;
}

typedef struct exec_limits {
    double cpu_s, memory_bytes;
    int files, output_bytes;
} exec_limits;

static int read_limits(jm_def def, exec_limits *limits, jm_err *err)
{
    static const char *const known[] = {"cpu_s", "memory_bytes", "files", "output_bytes"};
    json_t *object = NULL;
    char pointer[100];
    *limits = (exec_limits){.output_bytes = JM_EXEC_OUTPUT_BYTES};
    if (jm_def_object(def, "limits", &object, err))
        return err->code;
    if (!object)
        return JM_OK;
    snprintf(pointer, sizeof pointer, "%s/limits", def.pointer);
    jm_def sub = {object, pointer};
    if (jm_def_known(sub, known, COUNT(known), err) ||
        jm_def_number(sub, "cpu_s", 1, 1e9, &limits->cpu_s, err) ||
        jm_def_number(sub, "memory_bytes", 1 << 20, 1e15, &limits->memory_bytes, err) ||
        jm_def_int(sub, "files", 8, 1 << 20, &limits->files, err))
        return err->code;
    return jm_def_int(sub, "output_bytes", 0, JM_EXEC_OUTPUT_MAX, &limits->output_bytes, err);
}

static int exec_check(const json_t *config, const char *pointer, jm_err *err)
{
    static const char *const known[] = {"argv", "env", "cwd", "user", "limits", "mode"};
    static const char *const modes[] = {"once", "loop"};
    jm_def def = {config, pointer};
    json_t *argv = NULL;
    const char *cwd = NULL, *user = NULL;
    exec_limits limits;
    int mode = 0;
    if (jm_def_known(def, known, COUNT(known), err) ||
        jm_def_strings(def, "argv", true, &argv, err))
        return err->code;
    if (!argv)
        return jm_def_error(def, NULL, err, "exec has no argv");
    for (size_t i = 0; i < json_array_size(argv); i++)
        if (!json_string_length(json_array_get(argv, i)))
            return jm_def_error(def, "argv", err, "the strings of argv must not be empty");
    if (check_env(def, err) || jm_def_string(def, "cwd", &cwd, err) ||
        jm_def_string(def, "user", &user, err) || jm_def_word(def, "mode", modes, 2, &mode, err))
        return err->code;
    if (mode)
        return jm_def_error(def, "mode", err, "mode \"loop\" is not supported yet");
    if ((cwd && !*cwd) || (user && !*user))
        return jm_def_error(def, cwd && !*cwd ? "cwd" : "user", err, "it must not be empty");
    return read_limits(def, &limits, err);
}

/* ---- what the child gets ---- */

/* A NULL-terminated list of strings of our own. */
typedef struct string_list {
    char **strings;
    size_t n;
} string_list;

static void list_add(string_list *list, const char *name, const char *value)
{
    jm_buf buf = {0};
    jm_buf_addf(&buf, "%s%s%s", name ? name : "", name ? "=" : "", value);
    list->strings = jm_realloc(list->strings, (list->n + 2) * sizeof *list->strings);
    list->strings[list->n++] = jm_buf_take(&buf);
    list->strings[list->n] = NULL;
}

static void list_fini(string_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->strings[i]);
    free(list->strings);
}

/* Clean but for these; the definition's own come in the place of the first three. */
static void make_env(string_list *env, const jm_step_run *run, const char *output_dir)
{
    const json_t *own = json_object_get(run->def->config, "env");
    const char *home = getenv("HOME");
    const struct {
        const char *name, *value;
    } defaults[] = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                    {"LANG", "C.UTF-8"},
                    {"HOME", home && *home ? home : "/"}};
    char id[JM_UUID_TEXT], attempt[16];
    /* With a user of its own the spawner fills in that one's home. */
    size_t n = json_object_get(run->def->config, "user") ? 2 : 3;
    for (size_t i = 0; i < n; i++)
        if (!json_object_get(own, defaults[i].name))
            list_add(env, defaults[i].name, defaults[i].value);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)own, name, value)
        list_add(env, name, json_string_value(value));
    jm_uuid_format(&run->job->id, id);
    snprintf(attempt, sizeof attempt, "%d", run->job->attempt);
    list_add(env, "JOBMILL_JOB_ID", id);
    list_add(env, "JOBMILL_ATTEMPT", attempt);
    list_add(env, "JOBMILL_OUTPUT_DIR", output_dir);
    if (run->job->trace_context)
        list_add(env, "TRACEPARENT", run->job->trace_context);
}

static void make_argv(string_list *argv, const json_t *config)
{
    const json_t *list = json_object_get(config, "argv"), *item;
    size_t i;
    json_array_foreach(list, i, item) list_add(argv, NULL, json_string_value(item));
}

/* ---- the end ---- */

static void close_stream(stream *s)
{
    if (s->fd < 0)
        return;
    jm_watch_free(s->watch);
    s->watch = NULL;
    close(s->fd);
    s->fd = -1;
}

static void process_free(process *p)
{
    for (int i = 0; i < STREAMS; i++) {
        close_stream(&p->streams[i]);
        jm_lines_fini(&p->streams[i].lines);
        jm_capture_fini(&p->streams[i].capture);
    }
    jm_buf_fini(&p->input);
    jm_buf_fini(&p->result);
    jm_buf_fini(&p->last_out);
    jm_buf_fini(&p->last_err);
    free(p);
}

jm_verdict jm_exec_verdict(int wait_status, int *return_code, jm_buf *error)
{
    if (WIFSIGNALED(wait_status)) {
        int sig = WTERMSIG(wait_status);
        const char *name = sigabbrev_np(sig), *words = sigdescr_np(sig);
        *return_code = 128 + sig;
        jm_buf_addf(error, "killed by signal %d", sig);
        if (name && words)
            jm_buf_addf(error, " (SIG%s, %s)", name, words);
        return JM_STEP_FAILURE;
    }
    int status = WEXITSTATUS(wait_status);
    *return_code = status;
    if (!status)
        return JM_STEP_SUCCESS;
    jm_buf_addf(error, "exit status %d", status);
    if (status == JM_EXEC_TEMPFAIL)
        jm_buf_adds(error, " (asks to be tried again)");
    else if (status == JM_EXEC_DATAERR)
        jm_buf_adds(error, " (its input will never do)");
    return status == JM_EXEC_DATAERR ? JM_STEP_PERMANENT : JM_STEP_FAILURE;
}

static void put_output(process *p, int return_code)
{
    jm_buf out = {0}, err = {0};
    jm_capture_text(&p->streams[STDOUT].capture, &out);
    jm_capture_text(&p->streams[STDERR].capture, &err);
    jm_step_output output = {
        .out_text = out.data, .err_text = err.data, .return_code = return_code};
    jm_step_put_output(p->run, &output);
    jm_buf_fini(&out);
    jm_buf_fini(&err);
}

/* The result on descriptor 3, or the last line of stdout if that is an object. */
static jm_raw data_of(const process *p)
{
    if (p->result.len)
        return (jm_raw){p->result.data, p->result.len};
    if (p->last_out.len && jm_handler_is_object(p->last_out.data, p->last_out.len))
        return (jm_raw){p->last_out.data, p->last_out.len};
    return (jm_raw){NULL, 0};
}

static void finish(process *p, jm_verdict verdict, int return_code, jm_buf *error)
{
    jm_step_run *run = p->run;
    put_output(p, return_code);
    jm_raw data = data_of(p);
    jm_buf kept = {0};
    if (data.p)
        jm_buf_add(&kept, data.p, data.len);
    if (verdict != JM_STEP_SUCCESS && p->last_err.len) {
        jm_buf_adds(error, ": ");
        jm_text_clean(error, p->last_err.data, jm_text_cut(p->last_err.data, p->last_err.len, 300));
    }
    process_free(p);
    jm_step_end(run, verdict, kept.data, kept.len, verdict == JM_STEP_SUCCESS ? NULL : error->data);
    jm_buf_fini(&kept);
    jm_buf_fini(error);
}

/* ---- streams ---- */

static bool is_blank(const char *line, size_t len)
{
    size_t i = 0;
    while (i < len && (line[i] == ' ' || line[i] == '\t'))
        i++;
    return i == len;
}

static void keep_line(jm_buf *last, const char *line, size_t len)
{
    if (is_blank(line, len))
        return;
    jm_buf_clear(last);
    jm_buf_add(last, line, len);
}

static void on_out_line(void *ctx, const char *line, size_t len, bool cut)
{
    process *p = ctx;
    if (cut)
        jm_buf_clear(&p->last_out);
    else
        keep_line(&p->last_out, line, len);
}

static void on_err_line(void *ctx, const char *line, size_t len, bool cut)
{
    process *p = ctx;
    (void)cut;
    if (is_blank(line, len))
        return;
    keep_line(&p->last_err, line, len);
    jm_step_log(p->run, JM_INFO, line, len, NULL);
}

static void on_protocol_line(void *ctx, const char *line, size_t len, bool cut)
{
    static const char too_long[] = "a line on descriptor 3 is longer than 1 MiB and left out";
    process *p = ctx;
    if (cut) {
        jm_step_log(p->run, JM_WARNING, too_long, sizeof too_long - 1, NULL);
        return;
    }
    if (is_blank(line, len))
        return;
    jm_raw result = jm_step_handler_line(p->run, line, len);
    if (result.p) {
        jm_buf_clear(&p->result);
        jm_buf_add(&p->result, result.p, result.len);
    }
}

/* Returns the bytes read; 0 when there is nothing now, or nothing more. */
static size_t read_some(stream *s)
{
    char bytes[READ_BYTES];
    ssize_t n;
    do
        n = read(s->fd, bytes, sizeof bytes);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        if (s->capture.cap)
            jm_capture_add(&s->capture, bytes, (size_t)n);
        jm_lines_add(&s->lines, bytes, (size_t)n);
        return (size_t)n;
    }
    if (!n || errno != EAGAIN)
        close_stream(s);
    return 0;
}

static void on_readable(void *ctx, uint32_t events)
{
    stream *s = ctx;
    (void)events;
    for (int i = 0; i < READS_A_TURN && s->fd >= 0 && read_some(s) == READ_BYTES; i++)
        ;
}

/* What it does not read is no failure: many a handler needs no input. */
static void on_writable(void *ctx, uint32_t events)
{
    stream *s = ctx;
    process *p = s->process;
    (void)events;
    ssize_t n = write(s->fd, p->input.data + p->written, p->input.len - p->written);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        p->written += (size_t)n;
    if (n <= 0 || p->written == p->input.len) {
        close_stream(s);
        jm_buf_fini(&p->input);
    }
}

/* All that the child wrote is in the pipes by now; what strays still write is not waited for. */
static void drain(process *p)
{
    for (int i = STDOUT; i < STREAMS; i++) {
        stream *s = &p->streams[i];
        for (size_t n, sum = 0; s->fd >= 0 && sum < DRAIN_BYTES && (n = read_some(s)); sum += n)
            ;
        jm_lines_end(&s->lines);
    }
}

static void on_end(void *ctx, const jm_spawn_end *end)
{
    process *p = ctx;
    jm_buf error = {0};
    int return_code = -1;
    drain(p);
    if (end->failed) {
        const json_t *argv = json_object_get(p->run->def->config, "argv");
        jm_buf_addf(&error, "cannot %s (%s): %s", end->failed,
                    json_string_value(json_array_get(argv, 0)), strerror(end->error));
        finish(p, JM_STEP_FAILURE, -1, &error);
        return;
    }
    jm_verdict verdict = jm_exec_verdict(end->status, &return_code, &error);
    finish(p, verdict, return_code, &error);
}

/* ---- start and stop ---- */

/* Four pipes: theirs are the child's ends, ours do not block. */
static int make_pipes(process *p, int theirs[STREAMS])
{
    for (int i = 0; i < STREAMS; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC)) {
            int saved = errno;
            for (int j = 0; j < i; j++)
                close(theirs[j]);
            errno = saved;
            return -1;
        }
        theirs[i] = ends[i == STDIN ? 0 : 1];
        p->streams[i].fd = ends[i == STDIN ? 1 : 0];
        fcntl(p->streams[i].fd, F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static bool watch_streams(process *p)
{
    for (int i = 0; i < STREAMS; i++) {
        stream *s = &p->streams[i];
        s->watch = jm_loop_watch(p->run->loop, s->fd, i == STDIN ? EPOLLOUT : EPOLLIN,
                                 i == STDIN ? on_writable : on_readable, s);
        if (!s->watch)
            return false;
    }
    return true;
}

static process *process_new(jm_step_run *run)
{
    static const struct {
        size_t max;
        jm_line_fn *fn;
    } readers[STREAMS] = {[STDOUT] = {JM_EXEC_LINE_MAX, on_out_line},
                          [STDERR] = {STDERR_LINE_MAX, on_err_line},
                          [PROTOCOL] = {JM_EXEC_LINE_MAX, on_protocol_line}};
    process *p = jm_calloc(1, sizeof *p);
    p->run = run;
    for (int i = 0; i < STREAMS; i++) {
        p->streams[i].process = p;
        p->streams[i].fd = -1;
        p->streams[i].lines = (jm_lines){.max = readers[i].max, .fn = readers[i].fn, .ctx = p};
    }
    return p;
}

static int spawn(process *p, const int theirs[STREAMS], const char *output_dir, jm_err *err)
{
    const json_t *config = p->run->def->config;
    string_list argv = {0}, env = {0};
    exec_limits limits;
    read_limits((jm_def){config, ""}, &limits, err); /* was checked when the type was loaded */
    p->streams[STDOUT].capture.cap = p->streams[STDERR].capture.cap = (size_t)limits.output_bytes;
    make_argv(&argv, config);
    make_env(&env, p->run, output_dir);
    jm_spawn_request request = {
        .argv = (const char *const *)argv.strings,
        .env = (const char *const *)env.strings,
        .cwd = json_string_value(json_object_get(config, "cwd")),
        .user = json_string_value(json_object_get(config, "user")),
        .output_dir = output_dir,
        .fds = {theirs[0], theirs[1], theirs[2], theirs[3]},
        .cpu_s = (int64_t)ceil(limits.cpu_s),
        .memory_bytes = (int64_t)limits.memory_bytes,
        .files = limits.files,
    };
    int rc = jm_spawner_spawn(p->run->spawner, &request, on_end, p, &p->id, err);
    list_fini(&argv);
    list_fini(&env);
    return rc;
}

static void exec_start(jm_step_run *run)
{
    int theirs[STREAMS];
    jm_err err;
    process *p = process_new(run);
    const char *output_dir = jm_step_output_dir(run, &err);
    bool ok = output_dir != NULL;
    if (ok && make_pipes(p, theirs)) {
        jm_err_errno(&err, JM_ERR_IO, "cannot make the child's pipes");
        ok = false;
    }
    if (ok && !spawn(p, theirs, output_dir, &err)) {
        run->state = p;
        jm_handler_input(&p->input, run);
        if (!watch_streams(p))
            jm_spawner_kill(run->spawner, p->id, SIGKILL);
        return;
    }
    process_free(p);
    jm_step_end(run, JM_STEP_FAILURE, NULL, 0, err.msg);
}

static void on_grace_over(void *ctx)
{
    process *p = ctx;
    jm_spawner_kill(p->run->spawner, p->id, SIGKILL);
}

static void exec_stop(jm_step_run *run)
{
    process *p = run->state;
    jm_spawner_kill(run->spawner, p->id, SIGTERM);
    jm_timer_set(run->loop, &run->timer,
                 jm_loop_now_us(run->loop) + (int64_t)run->kill_grace_ms * 1000, on_grace_over, p);
}

const jm_executor jm_executor_exec = {.name = "exec",
                                      .slot_class = JM_SLOT_PROCESS,
                                      .check = exec_check,
                                      .start = exec_start,
                                      .stop = exec_stop};
