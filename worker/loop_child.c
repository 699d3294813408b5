/* A child with mode "loop": gives it its job, understands its end, and notices what goes wrong. */
#include "loop_child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "worker/exec.h"
#include "worker/handler_protocol.h"
#include "worker/text.h"

enum {
    READ_BYTES = 16384,
    READS_A_TURN = 8,
    DRAIN_BYTES = 4 << 20,
    /* Who dies closes its descriptors first: how long its end is waited for before the closing
     * itself is taken for the fault. */
    MOMENT_MS = 300
};

static bool has_job(const jm_loop_child *child)
{
    return child->output.run != NULL;
}

static void close_stream(jm_loop_child *child, int i)
{
    if (child->fds[i] < 0)
        return;
    jm_watch_free(child->watches[i]);
    child->watches[i] = NULL;
    close(child->fds[i]);
    child->fds[i] = -1;
}

/* ---- leaving ---- */

static void send_signal(jm_loop_child *child, int number)
{
    jm_spawner_kill(child->spawner, child->id, number);
}

static void on_grace_over(void *ctx)
{
    send_signal(ctx, SIGKILL);
}

static void set_grace(jm_loop_child *child)
{
    jm_timer_set(child->loop, &child->timer,
                 jm_loop_now_us(child->loop) + (int64_t)child->kill_grace_ms * 1000, on_grace_over,
                 child);
}

static void begin_leaving(jm_loop_child *child)
{
    if (child->state == JM_LOOP_CHILD_LEAVING)
        return;
    child->state = JM_LOOP_CHILD_LEAVING;
    close_stream(child, JM_CHILD_STDIN);
    child->events->left(child);
}

void jm_loop_child_leave(jm_loop_child *child)
{
    set_grace(child);
    begin_leaving(child);
}

static void kill_now(jm_loop_child *child)
{
    jm_timer_clear(child->loop, &child->timer);
    send_signal(child, SIGKILL);
    begin_leaving(child);
}

/* ---- the job's end ---- */

static size_t read_some(jm_loop_child *child, int i);

/* What it wrote before the end is in the pipes by now. */
static void drain(jm_loop_child *child, int from, int to)
{
    for (int i = from; i <= to; i++)
        for (size_t n, sum = 0; child->fds[i] >= 0 && sum < DRAIN_BYTES; sum += n)
            if (!(n = read_some(child, i)))
                break;
}

/* Gives the job what its handler said of its end. The child has none afterwards. */
static void finish_as_said(jm_loop_child *child)
{
    jm_buf words = {0};
    int return_code;
    jm_verdict verdict = jm_exec_verdict(child->exit << 8, &return_code, &words);
    if (child->error.len) {
        jm_buf_clear(&child->output.last_err); /* the error says it all */
        jm_buf_clear(&words);
        jm_text_clean(&words, child->error.data, child->error.len);
    }
    child->n_jobs++;
    jm_exec_output_finish(&child->output, verdict, return_code,
                          verdict == JM_STEP_SUCCESS ? NULL : &words);
    jm_buf_fini(&words);
}

static void job_failed(jm_loop_child *child, jm_verdict verdict, int return_code, jm_buf *error)
{
    drain(child, JM_CHILD_STDOUT, JM_CHILD_STDERR);
    jm_exec_output_finish(&child->output, verdict, return_code, error);
}

/* The job has ended soundly, and with it the use of the child if it was to stop, or did something
 * that leaves no trust in what comes next. */
static void job_ended(jm_loop_child *child)
{
    bool stopping = child->state == JM_LOOP_CHILD_STOPPING;
    drain(child, JM_CHILD_STDOUT, JM_CHILD_STDERR);
    if (child->lines.rest.len && !child->wrong.len)
        jm_buf_adds(&child->wrong, "it wrote behind the end");
    if (child->written < child->input.len && !child->wrong.len)
        jm_buf_adds(&child->wrong, "it ended the job before it had read all of its line");
    if (child->wrong.len)
        jm_step_complain(child->output.run, "the handler's process is replaced", child->wrong.data,
                         NULL, 0);
    finish_as_said(child);
    if (child->wrong.len)
        kill_now(child);
    else if (stopping)
        begin_leaving(child); /* the grace that was set for the job goes on */
    else {
        child->state = JM_LOOP_CHILD_IDLE;
        child->events->idle(child);
    }
}

/* It did something wrong: its job fails, if it has one, and it is gone. */
static void dismiss(jm_loop_child *child)
{
    bool had_job = has_job(child);
    if (!had_job && child->state != JM_LOOP_CHILD_LEAVING)
        jm_log_kv(JM_WARNING, "exec", "an idle handler is replaced", "type", child->type, "why",
                  child->wrong.data, NULL);
    if (had_job) {
        jm_buf error = {0};
        jm_buf_adds(&error, "the handler broke the protocol: ");
        jm_buf_adds(&error, child->wrong.data);
        /* Before the job's end is told, so that nothing is given to this child. */
        child->state = JM_LOOP_CHILD_STOPPING;
        job_failed(child, JM_STEP_FAILURE, -1, &error);
        jm_buf_fini(&error);
    }
    kill_now(child);
}

/* ---- descriptor 3 ---- */

static void say_wrong(jm_loop_child *child, const char *what, const char *line, size_t len)
{
    if (child->wrong.len)
        return;
    jm_buf_adds(&child->wrong, what);
    if (!line)
        return;
    jm_buf_adds(&child->wrong, ": ");
    jm_text_clean(&child->wrong, line, jm_text_cut(line, len, 200));
}

static void take_end(jm_loop_child *child, const jm_handler_end *end, const char *line, size_t len)
{
    char id[JM_UUID_TEXT];
    jm_uuid_format(&child->output.run->job->id, id);
    if (end->id && strcmp(end->id, id) != 0) {
        say_wrong(child, "it ended a job that it does not have", line, len);
        return;
    }
    child->ended = true;
    child->exit = end->exit;
    jm_buf_clear(&child->error);
    if (end->error)
        jm_buf_adds(&child->error, end->error);
}

static void take_line(jm_loop_child *child, const char *text, size_t len)
{
    jm_step_run *run = child->output.run;
    jm_handler_line line;
    jm_err err;
    text = jm_step_masked_line(run, text, &len);
    if (!jm_handler_line_parse(text, len, &line, &err)) {
        jm_step_take_line(run, &line);
        if (line.result.p)
            jm_exec_output_result(&child->output, line.result);
        if (line.end.given)
            take_end(child, &line.end, text, len);
        jm_handler_line_fini(&line);
    } else if (line.is_object && !line.has_end) {
        jm_step_complain(run, JM_HANDLER_NOT_UNDERSTOOD, err.msg, text, len);
    } else {
        jm_buf_adds(&child->wrong, err.msg);
        jm_buf_adds(&child->wrong, ": ");
        jm_text_clean(&child->wrong, text, jm_text_cut(text, len, 200));
    }
}

static void on_line(void *ctx, const char *line, size_t len, bool cut)
{
    jm_loop_child *child = ctx;
    if (child->wrong.len || (!cut && jm_exec_is_blank(line, len)))
        return;
    if (!has_job(child))
        say_wrong(child, "it wrote on descriptor 3 without a job", line, len);
    else if (child->ended)
        say_wrong(child, "it wrote behind the end", line, len);
    else if (cut)
        say_wrong(child, "a line on descriptor 3 is longer than 1 MiB", line, len);
    else
        take_line(child, line, len);
}

/* ---- streams ---- */

static void on_moment_over(void *ctx)
{
    dismiss(ctx);
}

/* It has closed what it needs. It may be dying, which will be told in words: that comes first. */
static void cut_off(jm_loop_child *child, const char *what)
{
    say_wrong(child, what, NULL, 0);
    if (child->state == JM_LOOP_CHILD_IDLE) {
        child->left_idle = true;
        jm_loop_child_leave(child);
    } else if (child->state == JM_LOOP_CHILD_BUSY) {
        jm_timer_set(child->loop, &child->timer, jm_loop_now_us(child->loop) + MOMENT_MS * 1000,
                     on_moment_over, child);
    }
}

static void take_bytes(jm_loop_child *child, int i, const char *bytes, size_t len)
{
    if (i == JM_CHILD_STDOUT)
        jm_exec_output_stdout(&child->output, bytes, len);
    else if (i == JM_CHILD_STDERR)
        jm_exec_output_stderr(&child->output, bytes, len);
    else
        jm_lines_add(&child->lines, bytes, len);
}

/* Returns the bytes read; 0 when there is nothing now, or nothing more. */
static size_t read_some(jm_loop_child *child, int i)
{
    char bytes[READ_BYTES];
    ssize_t n;
    do
        n = read(child->fds[i], bytes, sizeof bytes);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        take_bytes(child, i, bytes, (size_t)n);
        return (size_t)n;
    }
    if (!n || errno != EAGAIN)
        close_stream(child, i);
    return 0;
}

static void on_output(jm_loop_child *child, int i)
{
    for (int n = 0; n < READS_A_TURN && child->fds[i] >= 0; n++)
        if (read_some(child, i) < READ_BYTES)
            return;
}

static void on_stdout(void *ctx, uint32_t events)
{
    (void)events;
    on_output(ctx, JM_CHILD_STDOUT);
}

static void on_stderr(void *ctx, uint32_t events)
{
    (void)events;
    on_output(ctx, JM_CHILD_STDERR);
}

static void on_protocol(void *ctx, uint32_t events)
{
    jm_loop_child *child = ctx;
    (void)events;
    bool was_wrong = child->wrong.len != 0;
    read_some(child, JM_CHILD_PROTOCOL);
    if (child->state == JM_LOOP_CHILD_LEAVING)
        jm_buf_clear(&child->wrong);
    else if (child->ended && has_job(child))
        job_ended(child);
    else if (child->wrong.len && !was_wrong)
        dismiss(child);
    else if (child->fds[JM_CHILD_PROTOCOL] < 0)
        cut_off(child, "it closed descriptor 3");
}

static void write_input(jm_loop_child *child);

static void on_writable(void *ctx, uint32_t events)
{
    (void)events;
    write_input(ctx);
}

static void write_input(jm_loop_child *child)
{
    ssize_t n = write(child->fds[JM_CHILD_STDIN], child->input.data + child->written,
                      child->input.len - child->written);
    if (n > 0)
        child->written += (size_t)n;
    bool all = child->written == child->input.len;
    bool broken = n < 0 && errno != EAGAIN && errno != EINTR;
    jm_watch **watch = &child->watches[JM_CHILD_STDIN];
    if ((all || broken) && *watch) {
        jm_watch_free(*watch);
        *watch = NULL;
    } else if (!all && !broken && !*watch) {
        *watch =
            jm_loop_watch(child->loop, child->fds[JM_CHILD_STDIN], EPOLLOUT, on_writable, child);
    }
    if (broken)
        cut_off(child, "it closed its standard input");
}

/* ---- the process's end ---- */

/* Whether none of the job's line has left the pipe. */
static bool is_unread(const jm_loop_child *child)
{
    int left = 0;
    return child->fds[JM_CHILD_STDIN] >= 0 && !ioctl(child->fds[JM_CHILD_STDIN], FIONREAD, &left) &&
           (size_t)left >= child->written;
}

/* It ended with a job in hand, and had not ended that. */
static void job_lost(jm_loop_child *child, const jm_spawn_end *end)
{
    jm_buf error = {0};
    int return_code = -1;
    jm_verdict verdict = JM_STEP_FAILURE;
    if (end->failed) {
        jm_exec_child_say_failed(child->def, end, &error);
    } else {
        jm_buf_adds(&error, "the handler's process ended before the job: ");
        verdict = jm_exec_verdict(end->status, &return_code, &error);
        if (verdict == JM_STEP_SUCCESS) {
            verdict = JM_STEP_FAILURE;
            jm_buf_adds(&error, "exit status 0, without an end");
        }
    }
    job_failed(child, verdict, return_code, &error);
    jm_buf_fini(&error);
}

static void say_idle_end(const jm_loop_child *child, const jm_spawn_end *end)
{
    jm_buf words = {0};
    int return_code;
    if (end->failed || jm_exec_verdict(end->status, &return_code, &words) != JM_STEP_SUCCESS)
        jm_log_kv(JM_WARNING, "exec", "an idle handler has ended", "type", child->type, "how",
                  jm_buf_str(&words), "stderr",
                  child->output.last_err.len ? child->output.last_err.data : NULL, NULL);
    jm_buf_fini(&words);
}

static void end_job_of_dead(jm_loop_child *child, const jm_spawn_end *end)
{
    jm_step_run *run = child->output.run;
    if (child->ended) {
        drain(child, JM_CHILD_STDOUT, JM_CHILD_STDERR);
        finish_as_said(child);
    } else if (child->state == JM_LOOP_CHILD_BUSY && child->n_jobs && is_unread(child)) {
        child->output.run = NULL;
        child->events->unread(child, run);
    } else {
        job_lost(child, end);
    }
}

static void on_end(void *ctx, const jm_spawn_end *end)
{
    jm_loop_child *child = ctx;
    jm_timer_clear(child->loop, &child->timer);
    drain(child, JM_CHILD_PROTOCOL, JM_CHILD_PROTOCOL);
    if (has_job(child))
        end_job_of_dead(child, end);
    else if (child->state == JM_LOOP_CHILD_IDLE || child->left_idle)
        say_idle_end(child, end);
    begin_leaving(child);
    child->events->gone(child);
    jm_loop_child_free(child);
}

/* ---- interface ---- */

static bool watch_streams(jm_loop_child *child)
{
    static jm_watch_fn *const fns[] = {[JM_CHILD_STDOUT] = on_stdout,
                                       [JM_CHILD_STDERR] = on_stderr,
                                       [JM_CHILD_PROTOCOL] = on_protocol};
    for (int i = JM_CHILD_STDOUT; i < JM_CHILD_STREAMS; i++)
        if (!(child->watches[i] =
                  jm_loop_watch(child->loop, child->fds[i], EPOLLIN, fns[i], child)))
            return false;
    return true;
}

int jm_loop_child_new(jm_step_run *run, const jm_loop_child_events *events, void *pool,
                      jm_loop_child **out, jm_err *err)
{
    jm_loop_child *child = jm_calloc(1, sizeof *child);
    child->pool = pool;
    child->events = events;
    child->def = run->def->compiled;
    child->type = run->job->job_type->name;
    child->loop = run->loop;
    child->spawner = run->spawner;
    child->kill_grace_ms = run->kill_grace_ms;
    child->lines = (jm_lines){.max = JM_EXEC_LINE_MAX, .fn = on_line, .ctx = child};
    jm_exec_output_init(&child->output, child->def->output_bytes);
    int rc =
        jm_exec_child_start(run, child->fds, &child->output.mask, on_end, child, &child->id, err);
    if (rc) {
        memset(child->fds, -1, sizeof child->fds);
        jm_loop_child_free(child);
        return rc;
    }
    if (!watch_streams(child)) /* its end will be told, and its job fails by that */
        send_signal(child, SIGKILL);
    *out = child;
    return JM_OK;
}

void jm_loop_child_free(jm_loop_child *child)
{
    if (!child)
        return;
    jm_timer_clear(child->loop, &child->timer);
    for (int i = 0; i < JM_CHILD_STREAMS; i++)
        close_stream(child, i);
    jm_exec_output_fini(&child->output);
    jm_lines_fini(&child->lines);
    jm_buf_fini(&child->input);
    jm_buf_fini(&child->error);
    jm_buf_fini(&child->wrong);
    free(child);
}

void jm_loop_child_give(jm_loop_child *child, jm_step_run *run, jm_buf *line)
{
    assert(child->state == JM_LOOP_CHILD_IDLE);
    child->state = JM_LOOP_CHILD_BUSY;
    child->ended = false;
    child->began_us = jm_loop_now_us(child->loop);
    run->state = child;
    jm_exec_output_begin(&child->output, run);
    jm_buf_fini(&child->input);
    child->input = *line;
    *line = (jm_buf){0};
    child->written = 0;
    write_input(child);
}

void jm_loop_child_stop(jm_loop_child *child)
{
    child->state = JM_LOOP_CHILD_STOPPING;
    send_signal(child, SIGTERM);
    set_grace(child);
}
