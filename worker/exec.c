/* The executor exec: with mode "once", a child's pipes and its end; mode "loop" is in exec_loop.c.
 */
#include "exec.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "worker/exec_child.h"
#include "worker/exec_loop.h"
#include "worker/exec_output.h"
#include "worker/handler_protocol.h"
#include "worker/sdk_dir.h"

enum { READ_BYTES = 16384, READS_A_TURN = 8, DRAIN_BYTES = 4 << 20 };

/* Our end of one of the child's descriptors. */
typedef struct stream {
    struct process *process;
    int fd; /* -1: closed */
    jm_watch *watch;
} stream;

/* A running child: from start until the spawner has told its end. */
typedef struct process {
    jm_step_run *run;
    uint64_t id;
    jm_buf input; /* what is to be written to its stdin */
    size_t written;
    stream streams[JM_CHILD_STREAMS];
    jm_lines protocol_lines;
    jm_exec_output output;
} process;

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

/* ---- streams ---- */

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
    for (int i = 0; i < JM_CHILD_STREAMS; i++)
        close_stream(&p->streams[i]);
    jm_lines_fini(&p->protocol_lines);
    jm_exec_output_fini(&p->output);
    jm_buf_fini(&p->input);
    free(p);
}

static void on_protocol_line(void *ctx, const char *line, size_t len, bool cut)
{
    static const char too_long[] = "a line on descriptor 3 is longer than 1 MiB and left out";
    process *p = ctx;
    if (cut) {
        jm_step_log(p->run, JM_WARNING, too_long, sizeof too_long - 1, NULL);
        return;
    }
    if (jm_exec_is_blank(line, len))
        return;
    jm_raw result = jm_step_handler_line(p->run, line, len);
    if (result.p)
        jm_exec_output_result(&p->output, result);
}

static void take_bytes(const stream *s, const char *bytes, size_t len)
{
    process *p = s->process;
    if (s == &p->streams[JM_CHILD_STDOUT])
        jm_exec_output_stdout(&p->output, bytes, len);
    else if (s == &p->streams[JM_CHILD_STDERR])
        jm_exec_output_stderr(&p->output, bytes, len);
    else
        jm_lines_add(&p->protocol_lines, bytes, len);
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
        take_bytes(s, bytes, (size_t)n);
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

/* ---- the end ---- */

/* All that the child wrote is in the pipes by now; what strays still write is not waited for. */
static void drain(process *p)
{
    for (int i = JM_CHILD_STDOUT; i < JM_CHILD_STREAMS; i++) {
        stream *s = &p->streams[i];
        for (size_t n, sum = 0; s->fd >= 0 && sum < DRAIN_BYTES && (n = read_some(s)); sum += n)
            ;
    }
    jm_lines_end(&p->protocol_lines);
}

static void on_end(void *ctx, const jm_spawn_end *end)
{
    process *p = ctx;
    jm_buf error = {0};
    int return_code = -1;
    jm_verdict verdict = JM_STEP_FAILURE;
    drain(p);
    if (end->failed)
        jm_exec_child_say_failed(p->run->def->compiled, end, &error);
    else
        verdict = jm_exec_verdict(end->status, &return_code, &error);
    for (int i = 0; i < JM_CHILD_STREAMS; i++)
        close_stream(&p->streams[i]);
    jm_exec_output_finish(&p->output, verdict, return_code,
                          verdict == JM_STEP_SUCCESS ? NULL : &error);
    process_free(p);
    jm_buf_fini(&error);
}

/* ---- start and stop ---- */

static bool watch_streams(process *p)
{
    for (int i = 0; i < JM_CHILD_STREAMS; i++) {
        stream *s = &p->streams[i];
        bool in = i == JM_CHILD_STDIN;
        s->watch = jm_loop_watch(p->run->loop, s->fd, in ? EPOLLOUT : EPOLLIN,
                                 in ? on_writable : on_readable, s);
        if (!s->watch)
            return false;
    }
    return true;
}

static process *process_new(jm_step_run *run)
{
    const jm_exec_def *def = run->def->compiled;
    process *p = jm_calloc(1, sizeof *p);
    p->run = run;
    p->protocol_lines = (jm_lines){.max = JM_EXEC_LINE_MAX, .fn = on_protocol_line, .ctx = p};
    jm_exec_output_init(&p->output, def->output_bytes);
    jm_exec_output_begin(&p->output, run);
    for (int i = 0; i < JM_CHILD_STREAMS; i++)
        p->streams[i] = (stream){.process = p, .fd = -1};
    return p;
}

static void start_once(jm_step_run *run)
{
    int fds[JM_CHILD_STREAMS];
    jm_err err;
    process *p = process_new(run);
    run->output_dir = jm_step_output_dir(run, &err);
    if (!run->output_dir ||
        jm_exec_child_start(run, fds, &p->output.mask, on_end, p, &p->id, &err)) {
        process_free(p);
        jm_step_end(run, JM_STEP_FAILURE, NULL, 0, err.msg);
        return;
    }
    for (int i = 0; i < JM_CHILD_STREAMS; i++)
        p->streams[i].fd = fds[i];
    run->state = p;
    jm_handler_input(&p->input, run);
    if (!watch_streams(p))
        jm_spawner_kill(run->spawner, p->id, SIGKILL);
}

static void on_grace_over(void *ctx)
{
    process *p = ctx;
    jm_spawner_kill(p->run->spawner, p->id, SIGKILL);
}

static void stop_once(jm_step_run *run)
{
    process *p = run->state;
    jm_spawner_kill(run->spawner, p->id, SIGTERM);
    jm_timer_set(run->loop, &run->timer,
                 jm_loop_now_us(run->loop) + (int64_t)run->kill_grace_ms * 1000, on_grace_over, p);
}

/* ---- the executor ---- */

static bool is_loop(const jm_step_run *run)
{
    return ((const jm_exec_def *)run->def->compiled)->loop;
}

static void exec_start(jm_step_run *run)
{
    jm_exec_shared *shared = run->shared;
    if (is_loop(run))
        jm_exec_pools_start(shared->pools, run);
    else
        start_once(run);
}

static void exec_stop(jm_step_run *run)
{
    if (is_loop(run))
        jm_exec_pools_stop(run);
    else
        stop_once(run);
}

static int exec_open(jm_loop *loop, const jm_executor_env *env, void **out, jm_err *err)
{
    (void)err;
    jm_exec_shared *shared = jm_calloc(1, sizeof *shared);
    shared->sdk_dir = jm_sdk_dir_find();
    shared->pools = jm_exec_pools_new(loop, env);
    *out = shared;
    return JM_OK;
}

static void exec_close(void *ctx)
{
    jm_exec_shared *shared = ctx;
    jm_exec_pools_free(shared->pools);
    free(shared->sdk_dir);
    free(shared);
}

static void exec_reload(void *ctx)
{
    jm_exec_shared *shared = ctx;
    jm_exec_pools_reload(shared->pools);
}

const jm_executor jm_executor_exec = {.name = "exec",
                                      .slot_class = JM_SLOT_PROCESS,
                                      .open = exec_open,
                                      .close = exec_close,
                                      .reload = exec_reload,
                                      .compile = jm_exec_def_compile,
                                      .discard = jm_exec_def_discard,
                                      .start = exec_start,
                                      .stop = exec_stop};
